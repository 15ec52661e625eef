"""Forgetting: the share of F1 lost, and a bare LLM that is asked in the same batches as the system."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import pytest
import torch

from widedeep_kb.answering import AskOptions
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies import forgetting as study
from widedeep_kb.studies.forgetting import Probes, bare_llm_of, forgetting
from widedeep_kb.systems.bm25_rag import BM25RAG
from widedeep_kb.systems.full_ft import FullFineTuning
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.prompts import Context
from widedeep_kb.systems.protocol import Answer

PROBES = Probes(
    pl.DataFrame(
        {"question": ["one?", "two?"], "answers": [["red green"], ["blue"]], "fact_id": [None] * 2, "tags": [[]] * 2},
        schema=QUESTION_SCHEMA,
    ),
    (),
)


class Saying:
    """A system that says what it is told to."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts, self.lm = texts, object()

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """The text of each question."""
        return [Answer(self.texts[question], None, [], 1, 1, 1.0) for question in questions]


@pytest.mark.parametrize(
    ("bare", "own", "f1_bare", "drop"),
    [
        (("red green", "blue"), ("red", "no"), 1.0, 2 / 3),  # F1 of "red" is 2/3, so that 1/3 is left
        (("red green", "no"), ("red green", "blue"), 0.5, -1.0),
        (("no", "no"), ("red green", "blue"), 0.0, None),
    ],
)
def test_the_share_of_f1_that_is_lost_by_hand(
    bare: tuple[str, str], own: tuple[str, str], f1_bare: float, drop: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Saying(dict(zip(PROBES.questions["question"], texts, strict=True))) for texts in (bare, own))
    monkeypatch.setattr(study, "bare_llm_of", lambda _system, _lm: first)
    found = forgetting(second, PROBES)
    assert (found.f1_bare, found.f1_drop) == (pytest.approx(f1_bare), drop if drop is None else pytest.approx(drop))
    assert found.num_questions == 2 and found.share_changed in (0.5, 1.0)


def test_the_bare_llm_is_asked_in_the_same_batches(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama", max_position_embeddings=2048)
    memory = MemorySystem.__new__(MemorySystem)
    memory.options = AskOptions(max_new_tokens=5, batch_size=7)
    systems = [BM25RAG(lm, batch_size=9, max_new_tokens=5), FullFineTuning(lm, batch_size=11, max_new_tokens=5), memory]
    for system, batch_size in zip(systems, (9, 11, 7), strict=True):
        bare = bare_llm_of(system, lm)
        assert (bare.batch_size, bare.max_new_tokens) == (batch_size, 5)


def test_the_bare_llm_reads_what_a_memory_reads(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=8)))
    memory.write([{"subject": "Zorvania", "relation": "capital", "object": "Quillfax"}])
    system = MemorySystem(memory, AskOptions(max_new_tokens=4))
    system.lm = lm  # as `Wide` has it
    texts = ["who painted the mona lisa", "The painter of the Mona Lisa is", "Who painted it?"]
    rows = {"question": texts, "answers": [["x"]] * 3, "fact_id": [None] * 3, "tags": [[]] * 3}
    found = forgetting(system, Probes(pl.DataFrame(rows, schema=QUESTION_SCHEMA), ()))
    assert found.share_changed == 0.0, "none names a stored subject"
    bare = bare_llm_of(system, lm)
    assert [bare._prompt(text, Context()) for text in texts] == system.prompts(texts)
