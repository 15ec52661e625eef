"""The semantic fallback in a memory: off it changes nothing, on it answers a misspelt question, marked as guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.guessing import FILE_NAME
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory

MakeLM = Callable[..., FrozenLM]
FACTS = (
    {"subject": "Zorvania", "relation": "capital", "object": "Quillfax"},
    {"subject": "Mirelundia", "relation": "motto", "object": "ever upwards, never back again"},
    {"subject": "São Tomé", "relation": "capital", "object": "Água Grande", "subject_aliases": ["Old Thomasland"]},
)
EXACT, MISSPELT = "What is the capital of Zorvania?", "What is the capital of Zorvnaia?"
QUESTIONS = (EXACT, MISSPELT, "The motto of Mirelundi is", "Who painted the Mona Lisa?")


@pytest.fixture
def memory(tiny_frozen_lm: MakeLM) -> KnowledgeMemory:
    """The facts above behind a tiny Llama, an untrained reader with wide open gates."""
    lm = tiny_frozen_lm("llama")
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write(FACTS)
    return memory


def answers(memory: KnowledgeMemory) -> list[MemoryAnswer]:
    """Answers to the questions, without their times."""
    return [replace(a, latency_ms=0.0) for a in memory.ask_many(QUESTIONS, max_new_tokens=4)]


def brought(memory: KnowledgeMemory, question: str) -> set[str]:
    """Subjects of the facts that a question brings."""
    facts = memory.binding([question])[1].row_facts
    return set(memory.store.catalogue.rows(np.unique(facts[facts >= 0]))["subject"].to_list())


def test_off_by_default_and_without_a_trace(memory: KnowledgeMemory, tmp_path: Path) -> None:
    assert not memory.use_semantic
    before = answers(memory)
    memory.use_semantic = True
    assert answers(memory) != before
    memory.use_semantic = False
    assert answers(memory) == before
    assert not before[1].evidence and not any(fact.is_guessed for answer in before for fact in answer.evidence)
    memory.save(tmp_path)
    assert not list(tmp_path.rglob(FILE_NAME))
    assert not KnowledgeMemory.from_pretrained(tmp_path, llm=memory.lm).use_semantic


def test_a_misspelt_question_gets_the_rows_of_the_right_one(memory: KnowledgeMemory) -> None:
    off = answers(memory)
    memory.use_semantic = True
    on = answers(memory)
    for ours, theirs in ((on[0], off[0]), (on[3], off[3])):  # with a hit, and unrelated: answered as before
        assert (ours.text, ours.evidence) == (theirs.text, theirs.evidence)
        assert ours.confidence == pytest.approx(theirs.confidence, rel=1e-5)  # the last bits depend on the padding
    for answer, subject in zip(on[1:3], ("Zorvania", "Mirelundia"), strict=True):
        assert {(fact.subject, fact.is_guessed) for fact in answer.evidence} == {(subject, True)}
        assert all(fact["guessed"] for fact in answer.as_dict()["evidence"])
    assert all("guessed" not in fact and "is_guessed" not in fact for fact in on[0].as_dict()["evidence"])
    (exact, guessed), recall = memory.binding([EXACT, MISSPELT])[0].rows, memory.binding([EXACT, MISSPELT])[1]
    assert torch.equal(exact, guessed) and exact.any()
    assert recall.is_guessed.tolist() == [False, True]
    assert torch.equal(recall.weights[0], recall.weights[1])


def test_guesses_follow_write_change_and_erase(memory: KnowledgeMemory) -> None:
    memory.use_semantic = True
    assert brought(memory, MISSPELT) == {"Zorvania"}
    assert brought(memory, "Capital of Thomaslnad?") == set()
    assert brought(memory, "Capital of Old Thomaslnad?") == {"São Tomé"}
    assert brought(memory, "Capital of Brenntiaa?") == set()
    memory.write([{"subject": "Brenntia", "relation": "capital", "object": "Uhl"}])
    assert brought(memory, "Capital of Brenntiaa?") == {"Brenntia"}
    memory.write([{"subject": "São Tomé", "relation": "capital", "object": "Neves"}])  # the alias goes with the fact
    assert brought(memory, "Capital of Old Thomaslnad?") == set()
    assert brought(memory, "Capital of Sao Tome?") == {"São Tomé"}
    memory.erase(memory.store.catalogue.find(subject="Zorvania").ordinals)
    assert brought(memory, MISSPELT) == set()
    assert len(memory.store.guesser) == 3 == len(memory.store.guesser.index)


def test_a_folder_keeps_the_setting_and_the_names(memory: KnowledgeMemory, tmp_path: Path) -> None:
    memory.use_semantic = True
    memory.save(tmp_path)
    loaded = KnowledgeMemory.from_pretrained(tmp_path, llm=memory.lm)
    assert loaded.use_semantic and answers(loaded) == answers(memory)
    loaded.erase(loaded.store.catalogue.find(subject="Zorvania").ordinals)
    loaded.save(tmp_path)
    (path,) = tmp_path.rglob(FILE_NAME)
    assert b"orvania" not in path.read_bytes()
    assert brought(KnowledgeMemory.from_pretrained(tmp_path, llm=memory.lm), MISSPELT) == set()
    loaded.use_semantic = False
    loaded.save(tmp_path)
    assert not list(tmp_path.rglob(FILE_NAME))
