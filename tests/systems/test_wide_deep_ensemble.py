"""Rows alone and a deep memory alone: their mean beside a slow reference, and trainings that stay apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM, end_ids
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.schema import facts_from_records
from widedeep_kb.systems import wide, wide_deep, wide_deep_ensemble
from widedeep_kb.systems.protocol import Closable, Trained, Tunable, Updatable
from widedeep_kb.systems.wide_deep import Deep, WideDeep
from widedeep_kb.systems.wide_deep_ensemble import TrainedWide, WideDeepEnsemble, mean_log_probabilities

QUESTIONS = ["What is the flag colour of Zorvania?", "What is the mean height of Quillfax Ridge, they ask?", "Who?"]


@pytest.fixture(autouse=True)
def tiny_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random readers with open gates in the place of the shipped one."""

    def made(lm: FrozenLM) -> Reader:
        torch.manual_seed(0)
        reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8))
        for adapter in reader.adapters:
            adapter.gate.data.fill_(1.0)
        return reader

    for module in (wide, wide_deep):
        monkeypatch.setattr(module, "fresh_reader", made)


def quick(part: WideDeep, **changes: object) -> None:
    """A few small steps with large rates, so that both memories say something."""
    sizes = {"batch_size": 4, "num_subkeys": 4, "num_validation": 4, "steps": 6}
    part.config = replace(part.config, **{**sizes, "row_lr": 0.1, "dense_lr": 3e-2, **changes})


@pytest.fixture
def system(tiny_lm: FrozenLM, facts: pl.DataFrame) -> Iterator[WideDeepEnsemble]:
    """Trained on the facts."""
    made = WideDeepEnsemble(tiny_lm, max_new_tokens=6, batch_size=3)
    for part in made.parts:
        quick(part)
    made.ingest(facts)
    yield made
    made.close()


def alone(memory: KnowledgeMemory, question: str, ids: list[int]) -> Tensor:
    """Logits [V] of one memory behind the question's prompt and further tokens, in one pass without a cache."""
    (head,) = memory.lm.encode([ask_prompt(question)])
    prompt = torch.tensor([head])
    binding = memory.relevant(memory.binding([question])[0], prompt)
    with memory.hooks.bind(binding), torch.no_grad():
        return memory.lm.model(input_ids=torch.tensor([head + ids])).logits[0, -1].double()


def mean(system: WideDeepEnsemble, question: str, ids: list[int]) -> Tensor:
    """Probabilities [V] of the ensemble, in float64."""
    return sum(alone(memory, question, ids).softmax(0) for memory in system.memories) / 2


def test_the_mean_is_of_probabilities() -> None:
    logits = [torch.randn(3, 7, dtype=torch.float64) * 20 for _ in range(3)]
    expected = (sum(one.softmax(-1) for one in logits) / 3).log()
    torch.testing.assert_close(mean_log_probabilities(*logits).double(), expected, rtol=1e-5, atol=1e-5)
    far = torch.tensor([[0.0, -1e4]])
    assert mean_log_probabilities(far, far.flip(1)).tolist() == [pytest.approx([math.log(0.5)] * 2)]


def test_the_likeliest_token_of_the_mean_is_written(system: WideDeepEnsemble) -> None:
    differs = False
    for question, answer in zip(QUESTIONS, system.generate(QUESTIONS), strict=True):
        expected: list[int] = []
        for _ in range(answer.generated_tokens):
            expected.append(int(mean(system, question, expected).argmax()))
            differs |= len({int(alone(memory, question, expected).argmax()) for memory in system.memories}) == 2
        assert answer.generated_tokens > 0 and not set(expected) & set(end_ids(system.lm))
        assert answer.text == system.lm.tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert differs  # the two halves do not agree on everything


def test_likelihoods_are_those_of_the_mean(system: WideDeepEnsemble) -> None:
    texts = ["teal", "-3, they say", "nobody"]
    for question, text, found in zip(QUESTIONS, texts, system.loglikelihood(QUESTIONS, texts), strict=True):
        (ids,) = system.lm.encode([f" {text}"])
        expected = sum(float(mean(system, question, ids[:i])[token].log()) for i, token in enumerate(ids))
        assert found == pytest.approx(expected, rel=1e-3)


def test_what_the_gate_shuts_out_is_left_to_the_deep_memory(system: WideDeepEnsemble) -> None:
    gate = system.memories[0].reader.gate
    gate.weight[:] = 1e-9  # as if it was fitted
    gate.bias.fill_(-1.0)
    (shut,) = system.generate(QUESTIONS[:1])
    assert shut.evidence == []
    assert torch.equal(alone(system.memories[0], QUESTIONS[0], []), bare(system.lm, QUESTIONS[0]))
    expected: list[int] = []
    for _ in range(shut.generated_tokens):
        expected.append(int(mean(system, QUESTIONS[0], expected).argmax()))
    assert shut.text == system.lm.tokenizer.decode(expected, skip_special_tokens=True).strip()


def bare(lm: FrozenLM, question: str) -> Tensor:
    """Logits [V] of the LLM behind the question's prompt."""
    with torch.no_grad():
        return lm.model(input_ids=torch.tensor(lm.encode([ask_prompt(question)]))).logits[0, -1].double()


def test_each_half_is_what_it_would_be_by_itself(
    system: WideDeepEnsemble, tiny_lm: FrozenLM, facts: pl.DataFrame
) -> None:
    for own, make in zip(system.parts, (TrainedWide, Deep), strict=True):
        single = make(tiny_lm)
        quick(single)
        single.ingest(facts)
        assert single.loglikelihood(QUESTIONS, ["teal"] * 3) == own.loglikelihood(QUESTIONS, ["teal"] * 3)
        single.close()
    rows, deep = system.memories
    assert (rows.use_wide, rows.use_deep, rows.reader.has_deep) == (True, False, False)
    assert (deep.use_wide, deep.use_deep, deep.reader.has_deep) == (False, True, True)
    assert set(system.history) == {"wide", "deep"} and all(one["steps"] == 6 for one in system.history.values())
    assert system.generate(QUESTIONS[:1])[0].evidence and system.parts[1].generate(QUESTIONS[:1])[0].evidence == []
    assert system.size_bytes() == sum(part.size_bytes() for part in system.parts)


def test_seed_time_and_settings_reach_both(tiny_lm: FrozenLM, facts: pl.DataFrame) -> None:
    system = WideDeepEnsemble(tiny_lm, seed=3, max_seconds=0.5)
    assert all(isinstance(system, protocol) for protocol in (Trained, Tunable, Updatable, Closable))
    assert all(system.use(setting) for setting in system.settings())
    for part in system.parts:
        assert part.config.steps == system.settings()[-1]["steps"]
        quick(part, steps=5000)
    system.ingest(facts)
    for part in system.parts:
        assert (part.seed, part.max_seconds) == (3, 0.25) and part.history["steps"] < 5000
    assert (system.parts[0].config.wide, system.parts[0].config.deep) == (True, False)
    assert (system.parts[1].config.wide, system.parts[1].config.deep) == (False, True)
    system.close()
    assert not any(layer._forward_hooks for layer in tiny_lm.layers)


def test_an_update_reaches_the_rows_only(system: WideDeepEnsemble) -> None:
    deep = system.parts[1].loglikelihood(QUESTIONS, ["teal"] * 3)
    system.update(facts_from_records([{"subject": "Zorvania", "relation": "flag colour", "object": "scarlet"}]))
    catalogue = system.memories[0].store.catalogue
    assert "scarlet" in catalogue.rows(catalogue.alive())["object"].to_list()
    assert system.parts[1].loglikelihood(QUESTIONS, ["teal"] * 3) == deep


def test_the_benchmark_uses_this_mean() -> None:
    from benchmarks import bench_joint

    assert bench_joint.mean_log_probabilities is wide_deep_ensemble.mean_log_probabilities
