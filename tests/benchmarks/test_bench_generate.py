"""The speed benchmark on a tiny random model: what its kinds of run do, and that they do the same work."""

import runpy
from pathlib import Path

import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_generate.py"))


@pytest.fixture
def runs(tiny_frozen_lm):  # noqa: ANN001, ANN201 - a fixture's factory; the class is the script's
    """Three prompts on a tiny Llama with wide open gates."""
    lm: FrozenLM = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    for adapter in memory.reader.adapters:
        adapter.gate.data.fill_(4.0)
    memory.write(SCRIPT["records"](3))
    return SCRIPT["Runs"](memory, batch_size=3, new_tokens=5)


def test_a_known_prompt_brings_all_facts_and_an_unknown_one_none(runs) -> None:  # noqa: ANN001
    assert runs.facts_a_prompt(is_known=True) == SCRIPT["NUM_FACTS"]
    assert runs.facts_a_prompt(is_known=False) == 0


def test_every_run_writes_the_same_number_of_tokens(runs) -> None:  # noqa: ANN001
    for is_known, names in ((True, ("bare", "hits", "observed")), (False, ("no hit",))):
        for name in names:
            assert runs.kinds()[name]().shape == (3, runs.inputs[is_known]["input_ids"].shape[1] + 5)


def test_only_a_hit_changes_the_tokens(runs) -> None:  # noqa: ANN001
    unhooked = runs.memory.lm.model.generate(**runs.inputs[False], **runs._options())
    assert torch.equal(runs.no_hit(), unhooked)
    assert not torch.equal(runs.hits(), runs.bare())
    assert torch.equal(runs.hits(), runs.observed())


def test_steps_in_fixed_buffers_write_the_same_tokens(runs) -> None:  # noqa: ANN001
    assert torch.equal(runs.bare_steps(), runs.bare())
    assert torch.equal(runs.hits_steps(), runs.hits())
    assert runs.memory.hooks.binding is None


def test_the_warm_up_is_not_counted(runs) -> None:  # noqa: ANN001
    times = SCRIPT["measure"](runs, num_runs=2, step_runs=[runs])
    eager, steps = ({(name, 32) for name in kinds} for kinds in (runs.kinds(), runs.step_kinds()))
    assert {key: len(values) for key, values in times.items()} == dict.fromkeys(eager, 2) | dict.fromkeys(steps, 6)
    assert all(value > 0 for values in times.values() for value in values)


def test_results_tell_of_equal_tokens_and_fewer_facts(runs) -> None:  # noqa: ANN001
    runs.memory.write(SCRIPT["records"](3, num_facts=8))
    fewer = SCRIPT["Runs"](runs.memory, batch_size=3, new_tokens=5, num_facts=8)
    assert fewer.facts_a_prompt(is_known=True) == 8
    found = {(r["kind"], r["facts"]): r for r in SCRIPT["results"]([runs, fewer], num_runs=1)}
    assert set(found) == {(k, 32) for k in (*runs.kinds(), *runs.step_kinds())} | {("hits, steps", 8)}
    assert found["bare", 32]["ratio"] == found["bare, steps", 32]["ratio"] == 1
    assert all(r["equal_tokens"] == 1 for (kind, _), r in found.items() if kind.endswith("steps"))


def test_tokens_behind_the_first_that_differs_count_as_different() -> None:
    ours, theirs = torch.tensor([[9, 1, 2, 3, 4], [9, 1, 2, 3, 4]]), torch.tensor([[9, 1, 2, 3, 4], [9, 1, 0, 3, 4]])
    assert SCRIPT["equal_share"](ours, theirs, num_new=4) == 5 / 8


def test_memory_takes_more_operations_a_step_and_counting_leaves_no_trace(runs) -> None:  # noqa: ANN001
    counts = {kind: SCRIPT["operations_a_step"](runs.memory, run) for kind, run in runs.kinds().items()}
    assert counts["bare"] == counts["no hit"] < counts["hits"] < counts["observed"]
    assert "forward" not in vars(runs.memory.lm.model)
