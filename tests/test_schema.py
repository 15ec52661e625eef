"""The identity of a fact, the defaults of its columns and the sentence that the writer reads."""

import unicodedata
from hashlib import blake2b
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep_kb import schema
from widedeep_kb.schema import (
    FACT_SCHEMA,
    QUESTION_SCHEMA,
    default_statement,
    fact_id,
    facts_from_records,
    normalise_facts,
    normalise_text,
    normalise_texts,
    read_questions,
    statement_prefix,
    write_questions,
)

PARIS = {"subject": "Paris", "relation": "mayor", "object": "Anne Hidalgo"}


def test_fact_id_is_the_documented_hash() -> None:
    dated = b"paris\x1fmayor\x1fAnne Hidalgo\x1f2014-04-05"
    assert fact_id("paris", "mayor", "Anne Hidalgo", "2014-04-05") == blake2b(dated).hexdigest()[:16]
    # printf 'paris\x1fmayor\x1fAnne Hidalgo\x1f' | b2sum | cut -c1-16: a constant, since ids are on users' disks
    assert fact_id("paris", "mayor", "Anne Hidalgo") == "40e5ac686ef2f2cd"


def test_fact_id_does_not_depend_on_the_unicode_form() -> None:
    assert fact_id("café", "r", "o") == fact_id(unicodedata.normalize("NFD", "café"), "r", "o")
    assert fact_id("Café", "r", "o") != fact_id("café", "r", "o")
    with pytest.raises(ValueError, match="U\\+001F"):
        fact_id("a\x1fb", "r", "o")


@given(st.lists(st.tuples(*[st.text(st.characters(blacklist_categories=["Cs"]))] * 3), min_size=1))
def test_fact_ids_equal_fact_id_row_by_row(rows: list[tuple[str, str, str]]) -> None:
    rows = [tuple(part.replace("\x1f", "") for part in row) for row in rows]
    frame = pl.DataFrame(rows, schema=["subject_id", "relation", "object"], orient="row")
    frame = frame.with_columns(valid_from=pl.lit(None, dtype=pl.String))
    assert schema.fact_ids(frame).to_list() == [fact_id(*row) for row in rows]


@given(st.lists(st.one_of(st.none(), st.text(st.characters(blacklist_categories=["Cs"])), st.text("aB \t\x1f\x85ß"))))
def test_normalise_texts_equals_normalise_text_row_by_row(texts: list[str | None]) -> None:
    expected = [None if text is None else normalise_text(text) for text in texts]
    assert normalise_texts(pl.Series("name", texts, dtype=pl.String)).to_list() == expected


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  New \t York\n", "new york"),
        ("Straße", "strasse"),
        ("ＡＴ＆Ｔ", "at&t"),
        ("C++", "c++"),
        ("C#", "c#"),
        ("api.Widget.rowCount", "api.widget.rowcount"),
        ("O'Brien", "o'brien"),
        ("Москва\u00a0Сити", "москва сити"),
    ],
)
def test_normalise_text(text: str, normal: str) -> None:
    assert normalise_text(text) == normal
    assert normalise_text(normal) == normal


def test_defaults_fill_every_column() -> None:
    facts = facts_from_records([PARIS | {"subject": "  PARIS "}])
    assert facts.schema == pl.Schema(FACT_SCHEMA)
    row = facts.row(0, named=True)
    assert row["subject"] == "  PARIS " and row["subject_id"] == "paris"
    assert row["fact_id"] == fact_id("paris", "mayor", "Anne Hidalgo")
    assert row["subject_aliases"] == [] and row["object_aliases"] == [] and row["private"] is False
    assert all(row[name] is None for name in ("statement", "source", "valid_from", "valid_to", "popularity"))


def test_a_given_subject_id_keeps_namesakes_apart() -> None:
    facts = facts_from_records([PARIS | {"subject_id": "Q90"}, PARIS | {"subject_id": "Q830149"}, PARIS])
    assert facts["subject_id"].to_list() == ["Q90", "Q830149", "paris"]
    assert facts["fact_id"].n_unique() == 3


def test_the_first_of_equal_facts_is_kept_in_order() -> None:
    records = [PARIS | {"source": "a"}, PARIS | {"object": "x"}, PARIS | {"subject": "paris", "source": "b"}]
    assert facts_from_records(records)["source"].to_list() == ["a", None]


def test_normalise_facts_leaves_a_complete_frame_as_it_is() -> None:
    facts = facts_from_records(
        [PARIS | {"subject_aliases": ["Lutetia"], "valid_from": "2014-04-05"}, {**PARIS, "object": "é"}]
    )
    assert normalise_facts(facts).equals(facts)
    with pytest.raises(ValueError, match="cities, row 1: fact_id does not belong"):
        normalise_facts(facts.with_columns(object=pl.lit("someone else")), origin="cities")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"statement": "The mayor is Khan."}, "row 2: statement does not contain the object: 'The mayor is Khan.'"),
        ({"valid_from": "2014-4-5"}, "row 2: valid_from is not a date YYYY-MM-DD: '2014-4-5'"),
        ({"valid_to": "2023-02-29"}, "row 2: valid_to is not a date YYYY-MM-DD: '2023-02-29'"),
        ({"valid_from": "2020-01-02", "valid_to": "2020-01-01"}, "row 2: valid_to is before valid_from: '2020-01-01'"),
        ({"relation": "a\x1fb"}, "row 2: relation holds the control character U\\+001F"),
        ({"subject": "\u00a0"}, "row 2: subject is empty"),
        ({"popularity": float("inf")}, "row 2: popularity is not a finite number"),
        ({"object": 1.5}, "row 2: object is a float, expected text: '1.5'"),
    ],
)
def test_facts_that_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^facts, {message}"):
        facts_from_records([PARIS, PARIS | change])


def test_no_records_are_refused() -> None:
    with pytest.raises(ValueError, match="no rows"):
        facts_from_records([])


def test_statement_prefix() -> None:
    assert default_statement("Paris", "mayor") == "The mayor of Paris is"
    assert statement_prefix(PARIS | {"statement": None}) == "The mayor of Paris is"
    twice = {"subject": "NY", "relation": "r", "object": "New York", "statement": "New York lies in New York."}
    assert statement_prefix(twice) == "New York lies in"


def test_questions_come_back_equal(tmp_path: Path) -> None:
    questions = pl.DataFrame(
        {
            "question": ['Who is "the" mayor,\nnow?', "007?"],
            "answers": [["Anne, H.", "NA"], ["7"]],
            "fact_id": [None, "0123456789abcdef"],
            "tags": [["held-out", "ambiguous"], []],
        },
        schema=QUESTION_SCHEMA,
    )
    for suffix in ("parquet", "jsonl", "csv"):
        write_questions(tmp_path / f"q.{suffix}", questions)
        assert read_questions(tmp_path / f"q.{suffix}").equals(questions)
    write_questions(tmp_path / "short.csv", questions.select("question", "answers"))
    assert read_questions(tmp_path / "short.csv")["tags"].to_list() == [[], []]
    with pytest.raises(ValueError, match="question has no answers"):
        write_questions(tmp_path / "bad.csv", questions.with_columns(answers=pl.lit([], dtype=pl.List(pl.String))))
    assert not (tmp_path / "bad.csv").exists()
