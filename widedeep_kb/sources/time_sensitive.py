"""Time-sensitive questions: who or what held between given years (BSD-3).

In: train.parquet (subject_link, relation as Wikidata property, question, answers). The subject is the linked article;
questions that do not name it, have no answer, or give no range of dates ("from 1926 to 1959") are left out.
"""

import re
from calendar import monthrange
from pathlib import Path
from typing import NamedTuple

import polars as pl

from widedeep_kb.schema import QUESTION_SCHEMA, fact_id, normalise_text
from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.properties import property_name
from widedeep_kb.sources.questions import content_words, value_kinds

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DATE = r"(?:(?P<{0}month>[A-Z][a-z]{{2}}) )?(?P<{0}year>\d{{3,4}})"
RANGE = re.compile(rf"\b[Ff]rom {DATE.format('first_')} to {DATE.format('last_')}\b")


class Range(NamedTuple):
    """First and last day, as ISO dates."""

    first: str
    last: str


def load(folder: Path) -> Corpus:
    """Load dated facts and their questions; a question accepts the values of its own dates only."""
    raw = pl.read_parquet(folder / "train.parquet")
    records: list[dict[str, object]] = []
    questions: list[dict[str, object]] = []
    for row in raw.iter_rows(named=True):
        subject = article_name(row["subject_link"])
        dates = date_range(row["question"])
        answers = [plain_text(answer) for answer in row["answers"] if answer.strip()]
        if dates is None or not answers or not is_named(row["question"], subject):
            continue
        relation = property_name(row["relation"])
        for answer in answers:
            records.append({
                "subject": subject, "relation": relation, "object": answer, "source": "time_sensitive",
                "valid_from": dates.first, "valid_to": dates.last,
            })
        questions.append({
            "question": row["question"], "answers": answers,
            "fact_id": fact_id(normalise_text(subject), relation, answers[0], dates.first),
            "tags": ["time_sensitive", relation, value_kinds(pl.Series("object", answers[:1]))[0]],
        })
    facts, dropped = checked_facts(pl.DataFrame(records), name="time_sensitive")
    dropped["without dates, answer or subject"] = raw.height - len(questions)
    return Corpus("time_sensitive", facts, pl.DataFrame(questions, schema=QUESTION_SCHEMA), {}, dropped)


def article_name(link: str) -> str:
    """Return the title of a wiki link: "/wiki/David_Jolly" -> "David Jolly"."""
    return link.rsplit("/", 1)[-1].replace("_", " ").strip()


def plain_text(tokenised: str) -> str:
    """Undo the spaces around punctuation: "Newton D . Baker" -> "Newton D. Baker"."""
    text = re.sub(r"\s+([.,;:!?)\]%])", r"\1", tokenised.strip())
    return re.sub(r"([(\[])\s+", r"\1", re.sub(r"\s+", " ", text))


def is_named(question: str, subject: str) -> bool:
    """Whether the question holds every content word of the subject without its parenthesis."""
    wanted = content_words(re.sub(r"\([^()]*\)$", "", subject))
    return bool(wanted) and wanted <= content_words(question)


def date_range(question: str) -> Range | None:
    """Read "from Jul 1921 to Dec 1923" or "from 1926 to 1959" as a range of days; None where there is none."""
    match = RANGE.search(question)
    if match is None:
        return None
    first = _day(match["first_year"], match["first_month"], is_last=False)
    last = _day(match["last_year"], match["last_month"], is_last=True)
    return Range(first, last) if first and last and first <= last else None


def _day(year: str, month: str | None, *, is_last: bool) -> str | None:
    if month is None:
        return f"{int(year):04d}-{'12-31' if is_last else '01-01'}"
    if month.lower() not in MONTHS:
        return None
    number = MONTHS.index(month.lower()) + 1
    day = monthrange(int(year), number)[1] if is_last else 1
    return f"{int(year):04d}-{number:02d}-{day:02d}"
