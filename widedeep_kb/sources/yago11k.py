"""YAGO11k: facts with start and end dates (data CC BY).

In: facts.parquet (split, subject, relation, object, start, end), dates as YYYY-MM-DD with # for unknown digits. A known
year with an unknown month or day begins, or ends, with that year. A malformed or impossible date is left empty. The
set has no questions; those here are ours.
"""

from pathlib import Path

import polars as pl

from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.questions import PLACEHOLDER, own_questions, template_frame

TEMPLATES: dict[str, list[str]] = {
    "was born in": ["{subject} was born in", "Where was {subject} born?", "The birthplace of {subject} is"],
    "died in": ["{subject} died in", "Where did {subject} die?", "{subject}'s life ended in"],
    "plays for": ["{subject} plays for", "Which team does {subject} play for?", "A team of {subject}:"],
    "is married to": ["{subject} is married to", "Who is {subject}'s spouse?", "Who did {subject} marry?"],
    "created": ["{subject} created", "What did {subject} create?", "Name something made by {subject}."],
    "owns": ["{subject} owns", "What does {subject} own?", "Something that belongs to {subject}:"],
    "has won prize": ["{subject} has won the", "Which award did {subject} win?", "{subject} was honoured with the"],
    "is affiliated to": ["{subject} is affiliated to", "Which party or group is {subject} with?"],
    "works at": ["{subject} works at", "Where does {subject} work?", "The employer of {subject} is"],
    "graduated from": ["{subject} graduated from", "Where did {subject} get a degree?", "{subject}'s alma mater is"],
}


def load(folder: Path) -> Corpus:
    """Load all splits; `source` tells them apart, and the name without its parenthesis is an alias."""
    raw = pl.read_parquet(folder / "facts.parquet")
    words = pl.col("relation").str.replace_all(r"([A-Z])", " $1").str.to_lowercase()
    rows = raw.select(
        "subject", "object", relation=words, source=pl.concat_str(pl.lit("yago11k/"), "split"),
        subject_aliases=_without_parenthesis("subject"), object_aliases=_without_parenthesis("object"),
        valid_from=_date("start", unknown="01-01"), valid_to=_date("end", unknown="12-31"),
    )
    is_malformed = _is_malformed(raw["start"]) | _is_malformed(raw["end"])
    is_backward = (rows["valid_to"] < rows["valid_from"]).fill_null(False)
    rows = rows.with_columns(
        statement=pl.concat_str("subject", "relation", "object", separator=" "),
        valid_from=pl.when(~is_backward).then("valid_from"), valid_to=pl.when(~is_backward).then("valid_to"),
    )
    facts, dropped = checked_facts(rows, name="yago11k")
    dropped["dates left empty: malformed"] = int(is_malformed.sum())
    dropped["dates left empty: end before start"] = int(is_backward.sum())
    templates = {relation: TEMPLATES[relation] for relation in facts["relation"].unique(maintain_order=True).to_list()}
    assert all(PLACEHOLDER in text for texts in templates.values() for text in texts)
    questions = own_questions(facts, template_frame(templates), tags=["yago11k"], seed=0)
    return Corpus("yago11k", facts, questions, templates, dropped)


def _date(name: str, *, unknown: str) -> pl.Expr:
    text = pl.col(name)
    year = text.str.extract(r"^(\d{4})-", 1)
    exact = pl.when(text.str.to_date("%Y-%m-%d", strict=False).is_not_null()).then(text)
    return pl.coalesce(exact, pl.when(text.str.contains(r"^\d{4}-[\d#]{2}-[\d#]{2}$")).then(year + f"-{unknown}"))


def _is_malformed(dates: pl.Series) -> pl.Series:
    return ~dates.str.contains(r"^(\d{4}|####)-(\d\d|##)-(\d\d|##)$")


def _without_parenthesis(name: str) -> pl.Expr:
    bare = pl.col(name).str.replace(r"\s*\([^()]*\)$", "").str.strip_chars()
    return pl.when((bare != pl.col(name).str.strip_chars()) & (bare != "")).then(pl.concat_list(bare))
