"""The benchmark of writing: checks that can fail, and stages that add up, on a tiny random model."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_write.py"))
ARGS = SCRIPT["parse_args"](["--num-facts", "120", "--num-checked", "10"])


@pytest.fixture
def memory(tiny_frozen_lm: Callable[..., FrozenLM]) -> KnowledgeMemory:
    """An empty memory of a tiny random LLM."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    return KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm)))


def test_written_facts_pass_the_check_and_spoilt_rows_do_not(memory: KnowledgeMemory) -> None:
    facts = SCRIPT["draw_facts"](ARGS, memory.lm)
    assert 60 < facts.height <= 120
    SCRIPT["write_all"](memory, facts, batch_size=50)
    found = SCRIPT["check"](memory, facts, args=ARGS)
    assert found["num_checked"] == 10
    assert found["num_recalled"] >= 9
    memory.store.table.weight.data.mul_(1.1)
    with pytest.raises(SystemExit, match="rows differ"):
        SCRIPT["check"](memory, facts, args=ARGS)


def test_stages_add_up_to_the_whole(memory: KnowledgeMemory) -> None:
    facts = SCRIPT["draw_facts"](ARGS, memory.lm)
    stages = SCRIPT["Stages"](memory.lm.device)
    seconds = SCRIPT["write_all"](memory, facts, batch_size=50, stages=stages)
    assert sum(stages.seconds.values()) == pytest.approx(seconds, rel=0.2)
    assert all(stages.seconds[name] > 0 for name in SCRIPT["STAGES"])
    assert len(memory.store) == facts.height


def test_measure_starts_from_an_empty_memory(memory: KnowledgeMemory) -> None:
    facts = SCRIPT["draw_facts"](ARGS, memory.lm)
    result = SCRIPT["measure"](memory, facts, batch_size=100, repeats=2)
    assert result["facts_per_s"] >= result["slowest_per_s"] > 0
    assert len(memory.store) == facts.height
