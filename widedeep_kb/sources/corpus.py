"""A corpus: one data set as facts, questions and templates, in the shapes the rest of the package reads.

In: a raw frame of one data set (at least subject, relation, object as String). Out: a `Corpus`.
"""

from dataclasses import dataclass, field

import polars as pl

from widedeep_kb.schema import QUESTION_SCHEMA, normalise_facts

TEXT_KEYS = ("subject", "relation", "object")


@dataclass(frozen=True)
class Corpus:
    """One data set.

    Attributes:
        name: the name it was loaded by.
        facts: frame in `schema.FACT_SCHEMA`.
        questions: frame in `schema.QUESTION_SCHEMA`; no rows where the set has no questions of its own.
        templates: for each relation, texts with the placeholder `{subject}`: a full question, or a statement to
            complete whose continuation is the object. Fill them with `str.replace`: a relation may hold braces.
        dropped: how many raw rows were left out, by reason.
    """

    name: str
    facts: pl.DataFrame
    questions: pl.DataFrame
    templates: dict[str, list[str]]
    dropped: dict[str, int] = field(default_factory=dict)


def usable_rows(raw: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Strip subject, relation and object, and leave out the rows that no facts table takes.

    Args:
        raw: frame with String columns subject, relation and object.

    Returns:
        The remaining rows, and the number of rows left out by reason ("empty text", "newline in the object").
    """
    stripped = raw.with_columns(pl.col(TEXT_KEYS).str.strip_chars())
    is_full = pl.all_horizontal((pl.col(name) != "").fill_null(False) for name in TEXT_KEYS)
    full = stripped.filter(is_full)
    kept = full.filter(~pl.col("object").str.contains(r"[\r\n]"))
    counts = {"empty text": raw.height - full.height, "newline in the object": full.height - kept.height}
    return kept, {reason: count for reason, count in counts.items() if count}


def checked_facts(raw: pl.DataFrame, *, name: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """Turn raw rows into `FACT_SCHEMA`; returns the facts and what was left out (see `usable_rows`)."""
    kept, dropped = usable_rows(raw)
    return normalise_facts(kept, origin=name), dropped


def no_questions() -> pl.DataFrame:
    """Return a questions frame without rows."""
    return pl.DataFrame(schema=QUESTION_SCHEMA)


def unique_property_facts(corpus: Corpus) -> pl.DataFrame:
    """Return the facts whose property (subject_id, relation) has exactly one value: frame in `FACT_SCHEMA`."""
    return corpus.facts.filter(pl.len().over("subject_id", "relation") == 1)
