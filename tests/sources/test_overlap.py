"""Shared subjects, relations, templates and objects are counted, refused and taken out."""

import pytest

from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources import Corpus, assert_disjoint, exclude, measure_overlap, unique_property_facts
from widedeep_kb.sources.questions import own_questions, template_frame

TRAIN_TEMPLATES = {"colour": ["What colour is {subject}?", "Paint of {subject}:"], "size": ["Size of {subject}:"]}
EVAL_TEMPLATES = {"height": ["What  COLOUR is {subject}?", "How tall is {subject}?"]}


def make_corpus(name: str, records: list[dict], templates: dict[str, list[str]]) -> Corpus:
    facts = facts_from_records(records)
    questions = own_questions(facts, template_frame(templates), tags=[name], seed=0)
    return Corpus(name, facts, questions, templates)


@pytest.fixture
def train() -> Corpus:
    records = [
        {"subject": "Barn", "relation": "colour", "object": "red"},
        {"subject": "Ｔower", "relation": "colour", "object": "grey"},  # NFKC: the evaluation's tower
        {"subject": "Mill", "relation": "size", "object": "9", "subject_aliases": ["Old  Pump"]},
        {"subject": "Fence", "relation": "Height", "object": "2"},
    ]
    return make_corpus("train", records, TRAIN_TEMPLATES)


@pytest.fixture
def evaluation() -> Corpus:
    records = [
        {"subject": "tower", "relation": "height", "object": "Red"},
        {"subject": "Well", "relation": "height", "object": "7", "subject_aliases": ["old pump"]},
    ]
    return make_corpus("eval", records, EVAL_TEMPLATES)


def test_counts(train: Corpus, evaluation: Corpus) -> None:
    overlap = measure_overlap(
        train.facts, train.templates, eval_facts=evaluation.facts, eval_templates=evaluation.templates
    )
    assert (overlap.num_subjects, overlap.num_relations, overlap.num_templates) == (2, 1, 1)
    assert overlap.object_share == 0.5
    assert overlap.examples == ("old pump", "tower", "height", "what colour is {subject}?")


def test_assert_disjoint_refuses_and_exclude_repairs(train: Corpus, evaluation: Corpus) -> None:
    sides = {"eval_facts": evaluation.facts, "eval_templates": evaluation.templates}
    with pytest.raises(ValueError, match="share 2 subject names, 1 relations and 1 templates"):
        assert_disjoint(train.facts, train.templates, **sides)
    (kept,) = exclude([train], [evaluation])
    assert kept.facts["subject"].to_list() == ["Barn"]
    assert kept.templates == {"colour": ["Paint of {subject}:"], "size": ["Size of {subject}:"]}
    assert kept.questions["fact_id"].to_list() == kept.facts["fact_id"].to_list()
    assert assert_disjoint(kept.facts, kept.templates, **sides).object_share == 0.5


def test_exclude_drops_questions_of_the_evaluation(train: Corpus) -> None:
    other = make_corpus("eval", [{"subject": "X", "relation": "y", "object": "z"}], {"y": ["Which?"]})
    shared = Corpus("eval", other.facts, train.questions.head(1), other.templates)
    (kept,) = exclude([train], [shared])
    assert kept.questions.height == train.questions.height - 1


def test_unique_property_facts(train: Corpus) -> None:
    records = [{"subject": "A", "relation": "r", "object": value} for value in "xy"]
    records.append({"subject": "A", "relation": "s", "object": "z"})
    corpus = Corpus("c", facts_from_records(records), train.questions, {})
    assert unique_property_facts(corpus)["object"].to_list() == ["z"]
