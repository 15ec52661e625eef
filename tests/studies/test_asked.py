"""What a comparison asks beside the user's questions: made from the facts, and apart from development questions."""

from __future__ import annotations

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.asked import comparable_relations, tag_shared_words, unservable_questions
from widedeep_kb.studies.compare import prepare
from widedeep_kb.studies.forgetting import Probes
from widedeep_kb.studies.kinds import ASKED_SCHEMA, BEGUN, COMPARED, TWO_FACTS


@pytest.fixture(scope="module")
def facts() -> pl.DataFrame:
    """Twelve towns in three lands; numbers, codes, and values of several words."""
    rows = []
    for i in range(12):
        rows += [
            (f"Town{i}", "land", f"Land{'abc'[i % 3]}"),
            (f"Town{i}", "height", f"{100 + 7 * i} m"),
            (f"Town{i}", "zip code", f"{500 + i}"),
            (f"Town{i}", "motto", f"Always {'abcdefghijkl'[i]} first"),
        ]
    rows += [(f"Land{c}", "ruler", f"Queen {c.upper()}") for c in "abc"]
    return facts_from_records([dict(zip(("subject", "relation", "object"), row, strict=True)) for row in rows])


def test_each_kind_is_made_of_facts_that_may_be_asked_for(facts: pl.DataFrame) -> None:
    excluded = facts.filter(pl.col("subject") == "Town0")["fact_id"].to_list()
    made = unservable_questions(facts, excluded=excluded, count=3, seed=0)
    assert dict(made.schema) == ASKED_SCHEMA
    assert made["asked"].value_counts().sort("asked").rows() == [(COMPARED, 3), (BEGUN, 3), (TWO_FACTS, 3)]
    asked = made["fact_id"].str.split(" ").explode()
    assert not set(asked) & set(excluded) and set(asked) <= set(facts["fact_id"])
    values = dict(facts.select("fact_id", "object").iter_rows())
    for row in made.iter_rows(named=True):
        ids = row["fact_id"].split(" ")
        assert len(ids) == (1 if row["asked"] == BEGUN else 2)
        if row["asked"] == BEGUN:
            begun = values[ids[0]].removesuffix(row["answers"][0]).strip()
            assert begun and row["question"].endswith(f" {begun}")
        elif row["asked"] == TWO_FACTS:
            assert row["answers"] == [values[ids[1]]] and values[ids[0]] not in row["question"]
    assert unservable_questions(facts, excluded=excluded, count=0, seed=0).is_empty()


def test_what_can_be_compared_is_seen_from_the_values(facts: pl.DataFrame) -> None:
    ordered, named = comparable_relations(facts)
    assert ordered == {"height"}  # not the zip code
    assert named == {"land"}
    mixed = facts.with_columns(pl.col("object").str.replace("107 m", "1 km", literal=True))
    assert "height" not in comparable_relations(mixed)[0]
    padded = facts.with_columns(pl.col("object").str.replace("107 m", "007 m", literal=True))
    assert "height" not in comparable_relations(padded)[0]


def test_questions_are_tagged_by_the_words_they_share(facts: pl.DataFrame) -> None:
    height, zip_code = (facts.filter(pl.col("relation") == name)["fact_id"][0] for name in ("height", "zip code"))
    rows = [
        {"question": "What is the height of Town0?", "answers": ["100 m"], "fact_id": height, "tags": ["own"]},
        {"question": "How far up is Town0?", "answers": ["100 m"], "fact_id": height, "tags": ["own"]},
        {"question": "How far up is Town0?", "answers": ["x"], "fact_id": f"{height} {zip_code}", "tags": []},
        {"question": "How far up is Town0?", "answers": ["x"], "fact_id": None, "tags": []},
        {"question": "How far up is Town0?", "answers": ["x"], "fact_id": height, "tags": ["shares_word"]},
    ]
    tags = tag_shared_words(pl.DataFrame(rows, schema=QUESTION_SCHEMA), facts)["tags"].to_list()
    assert tags == [["own", "shares_word"], ["own", "no_shared_word"], [], [], ["shares_word"]]


def test_a_corpus_keeps_them_apart_from_the_users_questions_and_from_development(facts: pl.DataFrame) -> None:
    mottos = facts.filter(pl.col("relation") == "motto")
    questions = mottos.select(
        question=pl.format("What do they say in {}?", "subject"),
        answers=pl.concat_list("object"),
        fact_id="fact_id",
        tags=pl.lit([], dtype=pl.List(pl.String)),
    ).cast(QUESTION_SCHEMA)
    probes = Probes(pl.DataFrame(schema=QUESTION_SCHEMA), ())
    corpus = prepare(facts, questions, probes=probes, num_dev=12, num_unservable=4)
    assert corpus.test["question"].to_list() == questions["question"].to_list()
    assert corpus.unservable.height and not set(corpus.unservable["question"]) & set(corpus.test["question"])
    asked = set(corpus.unservable["fact_id"].str.split(" ").explode())
    assert corpus.dev.height == 12 and not asked & set(corpus.dev["fact_id"])
