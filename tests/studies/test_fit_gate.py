"""Fitting the relevance gate: its questions, its features, and a reader that changes in nothing but its gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.gate import RelevanceGate
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.wording import NUM_WORDING
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.fit_gate import fit_gate, prompt_features, replace_part
from widedeep_kb.studies.gate_questions import GateQuestion, gate_questions, still_foreign

MakeLM = Callable[..., FrozenLM]
NAMES = [f"Port{i}ville" for i in range(30)]


def corpus() -> Corpus:
    """One fact about each of thirty places."""
    facts = facts_from_records(
        [{"subject": n, "relation": "harbour depth", "object": str(i)} for i, n in enumerate(NAMES)]
    )
    return Corpus("harbours", facts, pl.DataFrame(schema=QUESTION_SCHEMA), {})


def memory_of(lm: FrozenLM) -> KnowledgeMemory:
    """A memory of the corpus behind an untrained reader."""
    torch.manual_seed(0)
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=32, num_heads=4, head_dim=16)))
    memory.write(corpus().facts)
    return memory


def test_half_of_the_questions_are_answered_and_all_hold_a_stored_name() -> None:
    questions = gate_questions(corpus(), num_questions=20, seed=0)
    kinds = [q.kind for q in questions]
    assert kinds.count("answered") == kinds.count("unrelated") == 20
    unrelated = [q.text.lower() for q in questions if q.kind == "unrelated"]
    assert all(any(name.lower() in text for name in NAMES) for text in unrelated)
    assert not any("harbour depth" in text for text in unrelated)


def test_features_come_with_the_places_of_the_texts_that_have_a_hit(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    texts = [f"harbour depth of {NAMES[3]}?", "nothing stored here", f"why do people visit {NAMES[5]}?"]
    features, places = prompt_features(memory, texts, batch_size=2)
    assert sorted(places.tolist()) == [0, 2]
    assert features.shape == (2, len(memory.reader.adapters) * 4 + 1 + NUM_WORDING)
    single, _ = prompt_features(memory, texts[:1])
    torch.testing.assert_close(features[places.tolist().index(0)], single[0], atol=1e-4, rtol=1e-4)


def test_fitting_sets_the_gate_and_reports_the_kept_questions(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    questions = gate_questions(corpus(), num_questions=30, seed=0)
    foreign = [GateQuestion(f"what became of {name} under Quixwell", "foreign") for name in NAMES[:10]]
    result = fit_gate(memory, questions + foreign, most_shut=0.1)
    assert memory.reader.gate.is_set
    assert result["num_answered"] + result["num_unrelated"] > 40
    assert result["num_foreign"] == 10
    assert result["open/unrelated"] < result["open/answered"]
    assert result["open/answered"] >= 0.9


def test_real_questions_that_a_brought_fact_answers_or_that_bring_none_are_left_out(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    texts = [f"what became of {NAMES[3]} under Quixwell", f"how deep is {NAMES[3]}", "who is nobody at all"]
    questions = [GateQuestion(text, "foreign", ("3",)) for text in texts]
    assert still_foreign(memory.store, questions) == []
    others = [question._replace(answers=("an actor",)) for question in questions]
    assert still_foreign(memory.store, others) == others[:2]


def test_a_replaced_gate_changes_nothing_else_of_a_reader(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    reader = Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=32, num_heads=4, head_dim=16))
    reader.save(tmp_path)
    gate = RelevanceGate(len(reader.adapters), 4)
    gate.weight.fill_(0.5)
    replace_part(tmp_path, "gate", gate)
    found = Reader.load(tmp_path)
    assert found.row_format() == reader.row_format()
    assert torch.equal(found.gate.weight, gate.weight)
    for name, tensor in reader.state_dict().items():
        assert name == "gate.weight" or torch.equal(found.state_dict()[name], tensor)
