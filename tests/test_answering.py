"""Answers written by steps in fixed buffers are those that transformers' `generate` writes, evidence and all."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from widedeep_kb.answering import AskOptions
from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.decoding import GreedyDecoder
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.hooks import Binding
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import ask_prompt

MakeLM = Callable[..., FrozenLM]
FACTS = [
    {"subject": f"Zorvan{i}x", "relation": relation, "object": f"{relation} {7 * i}"}
    for i in range(4)
    for relation in ("capital", "flag colour", "anthem")
]
QUESTIONS = (
    "What is the capital of Zorvan0x?",
    "Nothing at all is known here, is it?",
    "Tell me the anthem of Zorvan1x, and mind the flag colour of Zorvan2x",
    "Zorvan3x?",
    "The flag colour of Zorvan3x is",
)


def memory_of(lm: FrozenLM, **more: object) -> KnowledgeMemory:
    """An untrained reader with wide open gates and the facts above."""
    torch.manual_seed(0)
    sizes = {"slot_width": 16, "num_heads": 2, "head_dim": 16, **more}
    reader = Reader(ReaderConfig.for_lm(lm, **sizes)).to(lm.device)
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader, use_deep=bool(more))
    memory.write(FACTS)
    return memory


def asked(memory: KnowledgeMemory, way: str, **options: object) -> list[MemoryAnswer]:
    """The answers that one way of generation gives."""
    memory.generation = way
    return memory.ask_many(QUESTIONS, AskOptions(**{"max_new_tokens": 9, "batch_size": 3, **options}))


def assert_same(found: Sequence[MemoryAnswer], expected: Sequence[MemoryAnswer], *, rel: float = 1e-4) -> None:
    """All but the times."""
    for one, other in zip(found, expected, strict=True):
        assert (one.text, one.generated_tokens, one.prompt_tokens) == (
            other.text,
            other.generated_tokens,
            other.prompt_tokens,
        )
        assert [fact.fact_id for fact in one.evidence] == [fact.fact_id for fact in other.evidence]
        looks = [fact.attention for fact in other.evidence]
        assert [fact.attention for fact in one.evidence] == pytest.approx(looks, rel=rel, abs=1e-4)
        assert one.confidence == pytest.approx(other.confidence, rel=rel)
        assert tuple(one.signs) == pytest.approx(tuple(other.signs), rel=rel, abs=1e-5)


@pytest.mark.parametrize("use_memory", [True, False])
def test_answers_by_steps_equal_those_of_transformers(
    tiny_frozen_lm: MakeLM, architecture: str, *, use_memory: bool
) -> None:
    lm = tiny_frozen_lm(architecture)
    lm._kinds[lm.device] = lm.blank_tokens, torch.arange(len(lm.blank_tokens)) % 2 == 0  # so that some end early
    memory = memory_of(lm)
    for max_new_tokens in (9, 1, 9):  # the last call finds the first one's buffers
        options = {"use_memory": use_memory, "max_new_tokens": max_new_tokens}
        expected = asked(memory, "transformers", **options)
        assert_same(asked(memory, "cuda_graph", **options), expected)
    assert any(answer.evidence for answer in expected) == use_memory


@pytest.mark.parametrize("kept", ["all", "some", "none"])
def test_the_gate_is_asked_where_answers_are_written_by_steps(
    tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    memory = memory_of(tiny_frozen_lm("llama"))
    memory.reader.gate.weight[memory.reader.gate.num_heads_seen] = 1.0
    numbers: list[int] = []

    def forward(_mass: Tensor, weights: Tensor, _wording: Tensor) -> Tensor:
        numbers.append(len(weights))
        return torch.arange(len(weights)) % 2 == 0 if kept == "some" else torch.full((len(weights),), kept == "all")

    monkeypatch.setattr(memory.reader.gate, "forward", forward)
    expected = asked(memory, "transformers")
    assert_same(asked(memory, "cuda_graph"), expected)
    assert numbers == [3, 2, 3, 2] and any(answer.evidence for answer in expected) == (kept != "none")


def test_answers_that_cannot_be_written_by_steps_are_refused_where_steps_are_asked_for(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm("llama"), num_subkeys=4)
    with pytest.raises(ValueError, match="generation='cuda_graph' cannot be used: the deep memory is read"):
        asked(memory, "cuda_graph")
    assert len(asked(memory, "auto")) == len(QUESTIONS)


def test_the_ends_of_the_generation_config_hold_for_steps_too(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm("llama"))
    config = memory.lm.model.generation_config
    free = [answer.generated_tokens for answer in asked(memory, "transformers")]
    prompt = torch.tensor(memory.lm.encode([ask_prompt(QUESTIONS[0])]))
    written = memory.generate(prompt, max_new_tokens=9, do_sample=False, texts=QUESTIONS[:1])[0, -9:].tolist()
    config.eos_token_id = [written[4]]
    for config.min_new_tokens in (None, 7):
        expected = asked(memory, "transformers")
        assert_same(asked(memory, "cuda_graph"), expected)
        assert min(answer.generated_tokens for answer in expected) < 9
    config.repetition_penalty = 1.3
    with pytest.raises(ValueError, match="the LLM's generation config sets 'repetition_penalty'"):
        asked(memory, "cuda_graph")
    with pytest.raises(ValueError, match="not 'steps'"):
        asked(memory, "steps")
    assert max(free) == 9


def test_the_rows_of_a_call_by_steps_go_with_it(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, rows = memory_of(tiny_frozen_lm("llama")), []
    judged = memory.judged

    def noted(binding: Binding, *args: object, **options: object) -> Binding:
        rows.append(weakref.ref(binding.rows))
        return judged(binding, *args, **options)

    monkeypatch.setattr(memory, "judged", noted)
    asked(memory, "cuda_graph")  # makes the buffers
    gc.collect()
    gc.disable()
    try:
        asked(memory, "cuda_graph")
        assert len(rows) == 4 and all(one() is None for one in rows)
    finally:
        gc.enable()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_captured_answers_equal_those_of_the_same_steps_uncaptured(
    tiny_frozen_lm: MakeLM, architecture: str, dtype: torch.dtype
) -> None:
    lm = tiny_frozen_lm(architecture)
    lm.model.to("cuda", dtype)
    memory = memory_of(lm)
    captured = memory.decoder
    for _ in range(2):  # the second call replays the first one's graphs
        memory.decoder = captured
        found = asked(memory, "cuda_graph")
        memory.decoder = GreedyDecoder(lm, is_captured=False)
        assert_same(found, asked(memory, "cuda_graph"))
    assert captured.is_captured and captured._steps
    if dtype == torch.float32:
        assert_same(found, asked(memory, "transformers"), rel=1e-3)
