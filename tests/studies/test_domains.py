"""Samples of a domain: whole subjects, one right answer, and no fact in both parts."""

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.corpus import Corpus, no_questions
from widedeep_kb.sources.questions import own_questions, template_frame
from widedeep_kb.studies.domains import DomainSample, draw_domain, frame_questions, single_answer_facts

TEMPLATES = {"height": ["How tall is {subject}?"], "colour": ["{subject} is painted in"]}


@pytest.fixture
def corpus() -> Corpus:
    """Forty subjects with two facts each, two of them namesakes, and one value that no memory takes."""
    records = []
    for i in range(40):
        name = "Twin" if i < 2 else f"Tower {i}"
        identity = {"subject": name, "subject_id": str(i)}
        records.append({**identity, "relation": "height", "object": f"{i} metres", "object_aliases": [str(i)]})
        records.append({**identity, "relation": "colour", "object": "word " * 100 if i == 5 else f"red {i}"})
    facts = facts_from_records(records)
    questions = own_questions(facts, template_frame(TEMPLATES), tags=["own"], seed=0)
    return Corpus("towers", facts, questions, TEMPLATES)


@pytest.fixture
def lm(tiny_frozen_lm) -> FrozenLM:  # noqa: ANN001 - a fixture's factory
    """A tiny Llama, of which only the tokenizer is used."""
    return tiny_frozen_lm("llama")


def draw(corpus: Corpus, lm: FrozenLM, **overrides: int) -> DomainSample:
    """A sample with small counts."""
    return draw_domain(corpus, lm, **{"num_facts": 60, "num_questions": 20, "num_dev": 6, "seed": 0, **overrides})


def test_subjects_are_whole_and_long_values_left_out(corpus: Corpus, lm: FrozenLM) -> None:
    sample = draw(corpus, lm)
    assert 50 < sample.facts.height <= 60
    sizes = sample.facts.group_by("subject_id").len().filter(pl.col("subject_id") != "5")["len"]
    assert set(sizes) == {2}
    everything = draw(corpus, lm, num_facts=80)
    assert (everything.facts.height, everything.left_out["facts with a long value"]) == (79, 1)


def test_questions_have_one_answer_and_parts_share_no_fact(corpus: Corpus, lm: FrozenLM) -> None:
    sample = draw(corpus, lm, num_facts=100, num_questions=100, num_dev=100)
    assert list(sample.questions) == ["trained", "heldout", "own"]
    dev = pl.concat([pair.dev for pair in sample.questions.values()])
    test = pl.concat([pair.test for pair in sample.questions.values()])
    assert not set(dev["fact_id"]) & set(test["fact_id"])
    assert not test["question"].str.contains("Twin").any()
    assert sample.left_out["own questions with several answers"] == 4
    facts = {row["fact_id"]: row for row in corpus.facts.iter_rows(named=True)}
    for row in test.iter_rows(named=True):
        fact = facts[row["fact_id"]]
        assert row["answers"] == [fact["object"], *fact["object_aliases"]]
        assert fact["subject"] in row["question"]


def test_equal_seeds_draw_equally(corpus: Corpus, lm: FrozenLM) -> None:
    one, same, other = draw(corpus, lm), draw(corpus, lm), draw(corpus, lm, seed=1)
    assert one.questions["heldout"].test.equals(same.questions["heldout"].test)
    assert not one.questions["heldout"].test.equals(other.questions["heldout"].test)


def test_frames_come_from_their_split(corpus: Corpus) -> None:
    facts = single_answer_facts(corpus.facts)
    trained = frame_questions(facts, split="trained", seed=0)
    heldout = frame_questions(facts, split="heldout", seed=0)
    assert trained.height == heldout.height == 76
    assert not set(trained["question"]) & set(heldout["question"])


def test_a_domain_without_own_questions_is_refused(corpus: Corpus, lm: FrozenLM) -> None:
    bare = Corpus("towers", corpus.facts, no_questions(), {})
    with pytest.raises(ValueError, match="towers: no own question"):
        draw(bare, lm)
