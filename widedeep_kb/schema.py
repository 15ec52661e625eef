"""The facts and questions tables: their columns, their checks, and the identity of a fact.

In: parquet, jsonl or csv files, frames or records from Python. Out: frames in `FACT_SCHEMA` or `QUESTION_SCHEMA` with
every column present and checked, so that nothing downstream checks again.

A *property* is (subject_id, relation); a *fact* is one value of it, named by its `fact_id`.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from widedeep_kb.segment import words
from widedeep_kb.tables import (
    conform,
    frame_from_records,
    is_blank,
    read_table,
    refuse_first,
    write_table,
)

FACT_SCHEMA: dict[str, pl.DataType] = {
    "fact_id": pl.String(),
    "subject": pl.String(),
    "relation": pl.String(),
    "object": pl.String(),
    "subject_id": pl.String(),
    "subject_aliases": pl.List(pl.String()),
    "object_aliases": pl.List(pl.String()),
    "statement": pl.String(),
    "source": pl.String(),
    "valid_from": pl.String(),
    "valid_to": pl.String(),
    "private": pl.Boolean(),
    "popularity": pl.Float64(),
}
FILE_COLUMNS = [name for name in FACT_SCHEMA if name != "fact_id"]  # a fact_id follows from the others
QUESTION_SCHEMA: dict[str, pl.DataType] = {
    "question": pl.String(),
    "answers": pl.List(pl.String()),
    "fact_id": pl.String(),
    "tags": pl.List(pl.String()),
}
FACT_KEYS = ("subject", "relation", "object")
SEPARATOR = "\x1f"


def normalise_text(text: str) -> str:
    """Return text as names are compared: NFKC, case-folded, whitespace collapsed; punctuation stays (`C++`, `AT&T`)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalise_texts(texts: pl.Series) -> pl.Series:
    """Apply `normalise_text` to a whole String column; the ASCII part runs inside Polars.

    Args:
        texts: String [N]; nulls stay null.

    Returns:
        String [N], under the same name.
    """
    # In ASCII, NFKC is the identity and case-folding is lower-casing; str.split also cuts at \x1c to \x1f.
    ascii_rule = texts.str.to_lowercase().str.replace_all(r"[\s\x1c-\x1f]+", " ").str.strip_chars(" ")
    is_ascii = (texts.str.len_bytes() == texts.str.len_chars()).fill_null(True)
    if is_ascii.all():
        return ascii_rule
    others = texts.filter(~is_ascii).unique()
    mapped = pl.Series([normalise_text(text) for text in others.to_list()], dtype=pl.String)
    return ascii_rule.zip_with(is_ascii, texts.replace(others, mapped))


def fact_id(subject_id: str, relation: str, object: str, valid_from: str | None = None) -> str:
    """Name one value of a property: the first 16 hex digits of BLAKE2b-512 over the four parts.

    The parts are NFC text, joined by U+001F, in UTF-8; no date is the empty string.

    Raises:
        ValueError: if a part holds U+001F, which would make two facts one.
    """
    parts = (subject_id, relation, object, valid_from or "")
    for part in parts:
        if SEPARATOR in part:
            raise ValueError(f"a part of a fact_id holds the separator U+001F: {part[:60]!r}")
    return _hash_joined(SEPARATOR.join(parts))


def _hash_joined(joined: str) -> str:
    return blake2b(unicodedata.normalize("NFC", joined).encode()).hexdigest()[:16]


def fact_ids(facts: pl.DataFrame) -> pl.Series:
    """Compute `fact_id` for every row of a frame with subject_id, relation, object and valid_from: String [N]."""
    parts = [pl.col("subject_id"), pl.col("relation"), pl.col("object"), pl.col("valid_from").fill_null("")]
    joined = facts.select(pl.concat_str(parts, separator=SEPARATOR)).to_series()
    return pl.Series("fact_id", [_hash_joined(text) for text in joined.to_list()], dtype=pl.String)


def default_statement(subject: str, relation: str) -> str:
    """Return the words before the object in the sentence the writer reads when a fact brings none of its own."""
    return f"The {relation} of {subject} is"


def statement_prefix(row: Mapping[str, Any]) -> str:
    """Return the sentence of a fact up to its object, without trailing whitespace.

    Args:
        row: `subject`, `relation`, `object` and `statement` of a checked fact. A given statement is the whole sentence
            and is cut before the last occurrence of the object.
    """
    if row["statement"] is None:
        return default_statement(row["subject"], row["relation"])
    return row["statement"][: row["statement"].rindex(row["object"])].rstrip()


def read_facts(path: str | Path) -> pl.DataFrame:
    """Read a parquet, jsonl or csv file of facts into `FACT_SCHEMA`, checked; the first of equal fact_ids is kept.

    Raises:
        ValueError: one line naming file, row (from 1, without a csv header) and value.
    """
    return _complete(read_table(path, FACT_SCHEMA, required=FACT_KEYS), origin=str(path))


def facts_from_records(records: Iterable[Mapping[str, Any]], *, origin: str = "facts") -> pl.DataFrame:
    """Make a checked frame in `FACT_SCHEMA` from one mapping a fact, with the columns of a facts file as keys."""
    return normalise_facts(frame_from_records(records, FACT_SCHEMA, origin=origin), origin=origin)


def normalise_facts(facts: pl.DataFrame, *, origin: str = "facts") -> pl.DataFrame:
    """Check a frame with the columns of a facts file and complete it to `FACT_SCHEMA`; a complete frame is unchanged.

    Args:
        facts: subject, relation and object at least.
        origin: what messages call the frame.

    Raises:
        ValueError: one line naming origin, row and value.
    """
    return _complete(conform(facts, FACT_SCHEMA, required=FACT_KEYS, origin=origin), origin=origin)


def _complete(facts: pl.DataFrame, *, origin: str) -> pl.DataFrame:
    _check_text(facts, FACT_KEYS, origin=origin)
    facts = facts.with_columns(
        pl.col("subject_id").fill_null(normalise_texts(facts["subject"])), pl.col("private").fill_null(False)
    )
    _check_facts(facts, origin=origin)
    given, computed = facts["fact_id"], fact_ids(facts)
    refuse_first(given != computed, given, origin=origin, why="does not belong to the rest of its row")
    return facts.with_columns(computed).unique("fact_id", keep="first", maintain_order=True)


def _check_text(frame: pl.DataFrame, names: Iterable[str], *, origin: str) -> None:
    for name in names:
        is_empty = frame.select(is_blank(pl.col(name)).fill_null(True)).to_series()
        refuse_first(is_empty, frame[name].fill_null(""), origin=origin, why="is empty")


def _check_facts(facts: pl.DataFrame, *, origin: str) -> None:
    _check_text(facts, ["subject_id"], origin=origin)
    for name in ("subject_id", "relation", "object"):
        has_separator = facts[name].str.contains(SEPARATOR, literal=True)
        refuse_first(has_separator, facts[name], origin=origin, why="holds the control character U+001F")
    odd = facts["subject"].filter(~facts["subject"].str.contains(r"\p{L}|\p{N}")).unique()  # few, if any
    is_wordless = facts["subject"].is_in([subject for subject in odd if not words(subject)])
    refuse_first(is_wordless, facts["subject"], origin=origin, why="has no word to be found by")
    refuse_first(facts["object"].str.contains(r"[\r\n]"), facts["object"], origin=origin, why="holds a newline")
    lacks_object = [s is not None and o not in s for s, o in facts.select("statement", "object").iter_rows()]
    refuse_first(pl.Series(lacks_object), facts["statement"], origin=origin, why="does not contain the object")
    for name in ("valid_from", "valid_to"):
        text = facts[name]
        is_date = text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
        is_date &= text.str.to_date("%Y-%m-%d", strict=False).is_not_null()
        refuse_first(~is_date, text, origin=origin, why="is not a date YYYY-MM-DD")
    is_backward = facts["valid_to"] < facts["valid_from"]
    refuse_first(is_backward, facts["valid_to"], origin=origin, why="is before valid_from")


def read_questions(path: str | Path) -> pl.DataFrame:
    """Read a parquet, jsonl or csv file of questions into `QUESTION_SCHEMA`, checked.

    Raises:
        ValueError: one line naming file, row and value; each question needs text and at least one accepted answer.
    """
    return _check_questions(read_table(path, QUESTION_SCHEMA, required=("question", "answers")), origin=str(path))


def write_questions(path: str | Path, questions: pl.DataFrame) -> None:
    """Check questions and write them to a parquet, jsonl or csv file, whole or not at all.

    Raises:
        ValueError: as `read_questions`, or for another suffix.
    """
    frame = conform(questions, QUESTION_SCHEMA, required=("question", "answers"), origin="questions")
    write_table(_check_questions(frame, origin="questions"), path)


def _check_questions(questions: pl.DataFrame, *, origin: str) -> pl.DataFrame:
    _check_text(questions, ["question"], origin=origin)
    refuse_first(questions["answers"].list.len() == 0, questions["question"], origin=origin, why="has no answers")
    return questions
