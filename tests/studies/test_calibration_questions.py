"""Questions for calibration: what is stored answers one kind of them, and none of the others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.calibration_questions import draw_asked, draw_kinds
from widedeep_kb.studies.damaged_names import misspelt

MakeLM = Callable[..., FrozenLM]
RELATIONS = ("harbour depth", "mayor", "twin town", "postal code", "founding year")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Five facts about each of ninety places, one in three with an alias, and an own question for every second one."""
    records = [
        {
            "subject": f"Port{i}ville",
            "relation": relation,
            "object": f"value{i}x{j}",
            "subject_aliases": [f"Old{i}burg"] if i % 3 == 0 else [],
        }
        for i in range(90)
        for j, relation in enumerate(RELATIONS)
    ]
    facts = facts_from_records(records)
    asked = facts[::2].select(
        question=pl.format("Tell {} of {}!", "relation", "subject"),
        answers=pl.concat_list("object"),
        fact_id="fact_id",
        tags=pl.lit(["own"]),
    )
    return Corpus("harbours", facts, asked.cast(QUESTION_SCHEMA), {})


@pytest.mark.parametrize("seed", [0, 1])
def test_only_questions_of_the_first_kind_have_their_fact_stored(
    corpus: Corpus, tiny_frozen_lm: MakeLM, seed: int
) -> None:
    asked = draw_kinds(corpus, tiny_frozen_lm(), num_questions=40, seed=seed)
    objects, names = set(asked.facts["object"]), set(asked.facts["subject"])
    subject_of = dict(corpus.facts.select("object", "subject").iter_rows())
    counts = {}
    for row in asked.questions.iter_rows(named=True):
        answer = row["answers"][0]
        counts[row["kind"]] = counts.get(row["kind"], 0) + 1
        assert (answer in objects) == (row["kind"] == "stored")
        assert (subject_of[answer] in names) == (row["kind"] != "unknown_subject")
        assert subject_of[answer] in row["question"]
    assert counts == {"stored": 40, "unknown_subject": 20, "missing_relation": 20}


def test_phrasings_take_turns_and_own_words_are_the_corpus_own(corpus: Corpus, tiny_frozen_lm: MakeLM) -> None:
    questions = draw_kinds(corpus, tiny_frozen_lm(), num_questions=60, seed=0).questions
    shares = dict(questions["phrasing"].value_counts().iter_rows())
    assert set(shares) == {"trained", "heldout", "own"}
    assert shares["trained"] == pytest.approx(questions.height / 3, abs=2)
    own = questions.filter(pl.col("phrasing") == "own")["question"]
    assert set(own) <= set(corpus.questions["question"])


def test_misspelt_questions_do_not_hold_the_name(corpus: Corpus, tiny_frozen_lm: MakeLM) -> None:
    asked = draw_kinds(corpus, tiny_frozen_lm(), num_questions=40, seed=0, damage=misspelt)
    subject_of = dict(corpus.facts.select("object", "subject").iter_rows())
    assert asked.questions.height > 40
    for text, answers in asked.questions.select("question", "answers").iter_rows():
        assert not re.search(rf"\b{subject_of[answers[0]]}\b", text)


def test_an_unknown_domain_is_named(tiny_frozen_lm: MakeLM) -> None:
    with pytest.raises(ValueError, match="'atlantis'"):
        draw_asked("atlantis", tiny_frozen_lm(), folders=(Path("a"), Path("b")), num_questions=4, seed=0)


def test_synthetic_facts_are_asked_of_all_three_kinds(tiny_frozen_lm: MakeLM) -> None:
    asked = draw_asked("synthetic", tiny_frozen_lm(), folders=(Path("a"), Path("b")), num_questions=20, seed=0)
    assert dict(asked.questions["kind"].value_counts().iter_rows()) == {
        "stored": 20,
        "unknown_subject": 10,
        "missing_relation": 10,
    }
