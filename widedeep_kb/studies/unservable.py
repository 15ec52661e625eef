"""Questions that a look-up of keys and words does not serve, made of the data sets' own phrasings.

In: facts in `FACT_SCHEMA` and questions about them in `QUESTION_SCHEMA`. Out: the questions of one kind: statements to
complete, statements whose value has already begun, and questions that share no word with the fact they ask for.
"""

from __future__ import annotations

import re

import polars as pl

from widedeep_kb.memory.relations import relation_words, stem
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.word_statistics import FUNCTION_WORDS

_BEGINNING = re.compile(r"(.*?[^\W\d_]{2,}(?:/|(?= )))(.+)")  # up to the first "/" or blank behind a word


def statements(questions: pl.DataFrame) -> pl.DataFrame:
    """The questions that are statements to complete."""
    return questions.filter(pl.col("tags").list.contains("statement"))


def begun_statements(questions: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Statements with the first part of the value behind them; what is left of the value is the answer.

    `Clocks in Faro follow` becomes `Clocks in Faro follow Europe/`, and the answer `Lisbon`. Only values without digits
    that consist of two parts or more are used.

    Args:
        questions: in `QUESTION_SCHEMA`; those that are no statements are left out.
        facts: in `FACT_SCHEMA`.
    """
    values = dict(facts.select("fact_id", "object").iter_rows())
    rows = []
    for row in statements(questions).iter_rows(named=True):
        begun = begin_value(values[row["fact_id"]])
        if begun is not None and not row["question"].endswith("+"):
            first, rest = begun
            rows.append({**row, "question": f"{row['question']} {first}", "answers": [rest]})
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


def begin_value(value: str) -> tuple[str, str] | None:
    """A value cut behind its first word or first slash; None for a value of one part, or with digits or full stops."""
    match = _BEGINNING.fullmatch(value)
    if match is None or any(c.isdigit() or c in ".!?" for c in value):
        return None
    return match.group(1), match.group(2).strip()


def without_shared_word(questions: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Questions, not statements, that share no stem of a content word with the relation or the value of their fact.

    The words of the subject do not count: every question names it.
    """
    asked = questions.filter(~pl.col("tags").list.contains("statement"))
    rows = asked.select("question", "fact_id").join(
        facts.select("fact_id", "subject", "relation", "object"), on="fact_id", maintain_order="left"
    )
    kept = [
        not shares_stem(row["question"], subject=row["subject"], relation=row["relation"], value=row["object"])
        for row in rows.iter_rows(named=True)
    ]
    return asked.filter(pl.Series(kept, dtype=pl.Boolean))


def shares_stem(question: str, *, subject: str, relation: str, value: str) -> bool:
    """Whether a content word of a question, its subject's words aside, is one of the relation's or value's words."""
    asked = _stems(question) - _stems(subject)
    return bool(asked & (_stems(relation) | _stems(value)))


def _stems(text: str) -> set[str]:
    return {stem(word) for word in relation_words(text) if word not in FUNCTION_WORDS}
