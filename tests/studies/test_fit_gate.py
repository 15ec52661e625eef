"""Fitting the relevance gate: its questions, its features, and a reader that changes in nothing but its gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.gate import RelevanceGate
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.wording import NUM_WORDING
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import relation_paraphrases
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.fit_gate import _folds, fit_gate, kept_features, prompt_features, replace_part
from widedeep_kb.studies.gate_questions import (
    ASKED_SETS,
    NAMED_SETS,
    OTHER_SETS,
    GateQuestion,
    gate_questions,
    known_corpus,
    still_foreign,
    synthetic_corpus,
)

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


def test_questions_of_both_kinds_all_hold_a_stored_name() -> None:
    questions = gate_questions(corpus(), num_questions=20, seed=0)
    kinds = [q.kind for q in questions]
    assert kinds.count("answered") == 20 and kinds.count("unrelated") == 14
    assert {q.domain for q in questions} == {"harbours"}
    unrelated = [q.text.lower() for q in questions if q.kind == "unrelated"]
    assert all(any(name.lower() in text for name in NAMES) for text in unrelated)
    assert not any("harbour depth" in text for text in unrelated)


def test_natural_questions_of_stored_relations_are_answered_ones() -> None:
    facts = facts_from_records(
        [{"subject": name, "relation": "place of birth", "object": f"Ville {i}"} for i, name in enumerate(NAMES)]
    )
    births = Corpus("births", facts, pl.DataFrame(schema=QUESTION_SCHEMA), {})
    questions = gate_questions(births, num_questions=30, seed=0)
    natural = {p.render(n) for p in relation_paraphrases("place of birth", "trained") for n in NAMES}
    held_out = {p.render(n) for p in relation_paraphrases("place of birth", "heldout") for n in NAMES}
    answered = {q.text for q in questions if q.kind == "answered"}
    assert len(answered & natural) >= 5 and not answered & held_out
    assert not natural & {q.text for q in questions if q.kind == "unrelated"}


def test_what_measures_the_gate_is_not_asked(tmp_path: Path) -> None:
    folder = tmp_path / "entityquestions"
    folder.mkdir()
    for split in ("train", "dev"):
        rows = [
            {"relation": "P19", "subject": f"{split} {n}", "question": f"{split} {n}?", "answers": ["Rome"]}
            for n in NAMES
        ]
        pl.DataFrame(rows).write_parquet(folder / f"{split}.parquet")
    (folder / "relation_query_templates.json").write_text('{"P19": "Where was [X] born?"}')
    found = known_corpus("entityquestions", data_dir=tmp_path, prepared_dir=tmp_path)
    assert found.facts.height == len(NAMES) == found.questions.height
    assert found.facts["subject"].str.starts_with("train").all()
    assert found.questions["question"].str.starts_with("train").all()
    assert not {"mquake", "counterfact", "nq_open"} & {*ASKED_SETS, *NAMED_SETS, *OTHER_SETS}


def test_synthetic_subjects_have_a_common_relation_each() -> None:
    found = synthetic_corpus(num_subjects=60, max_facts=100, seed=5)
    common = {row["subject_id"] for row in found.facts.to_dicts() if relation_paraphrases(row["relation"], "trained")}
    assert 0 < found.facts.height <= 100 and common == set(found.facts["subject_id"])
    assert found.facts.equals(synthetic_corpus(num_subjects=60, max_facts=100, seed=5).facts)


def test_features_come_with_the_places_of_the_texts_that_have_a_hit(tiny_frozen_lm: MakeLM) -> None:
    memory = memory_of(tiny_frozen_lm())
    texts = [f"harbour depth of {NAMES[3]}?", "nothing stored here", f"why do people visit {NAMES[5]}?"]
    features, places = prompt_features(memory, texts, batch_size=2)
    assert sorted(places.tolist()) == [0, 2]
    assert features.shape == (2, len(memory.reader.adapters) * 5 + 1 + NUM_WORDING)
    single, _ = prompt_features(memory, texts[:1])
    torch.testing.assert_close(features[places.tolist().index(0)], single[0], atol=1e-4, rtol=1e-4)


def test_kept_features_are_those_of_one_go_and_not_made_twice(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    memory = memory_of(tiny_frozen_lm())
    texts = [f"harbour depth of {name}?" for name in NAMES[:5]] + ["nothing stored here"] * 4
    features, places = prompt_features(memory, texts)
    for _ in range(2):
        kept, at = kept_features(memory, texts, folder=tmp_path, piece_size=3)
        assert sorted(at.tolist()) == sorted(places.tolist()) == [0, 1, 2, 3, 4]
        torch.testing.assert_close(kept[np.argsort(at)], features[np.argsort(places)], atol=1e-4, rtol=1e-4)
    memory.erase(memory.store.catalogue.find(subject=NAMES[0]).ordinals)
    assert len(kept_features(memory, texts, folder=tmp_path, piece_size=3)[1]) == 5
    assert len(list(tmp_path.iterdir())) == 3


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


def test_questions_are_judged_by_other_domains_where_there_are_enough() -> None:
    domains = ["c", "a", "b", "a", "e", "d", "c"]
    assert _folds(domains, seed=0).tolist() == [2, 0, 1, 0, 4, 3, 2]
    few = _folds(["a", "b"] * 50, seed=0)
    assert len(few.unique()) == 5 and torch.equal(few, _folds(["a", "b"] * 50, seed=0))
