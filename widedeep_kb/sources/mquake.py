"""MQuAKE edits: made-up changes of Wikidata facts, with four questions each (MIT).

In: edits_with_4_questions.parquet (edit, questions). An edit is a sentence of one of about 40 forms, with the subject
inside and the new value at its end; the subject is the reading that the most questions name.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import polars as pl

from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.questions import natural_questions, templates_from_questions

FORMS: dict[str, str] = {  # "univeristy" and "origianl" are spelt so in the data
    "{} is a citizen of": "country of citizenship",
    "{} is affiliated with the religion of": "religion",
    "The author of {} is": "author",
    "{} was born in the city of": "place of birth",
    "{} speaks the language of": "language spoken",
    "{} was created by": "creator",
    "{} worked in the city of": "work location",
    "{} is married to": "spouse",
    "{} was created in the country of": "country of origin",
    "{} died in the city of": "place of death",
    "{} is associated with the sport of": "sport",
    "{} was developed by": "developer",
    "The headquarters of {} is located in the city of": "headquarters location",
    "{} was founded by": "founder",
    "The company that produced {} is": "manufacturer",
    "The chairperson of {} is": "chairperson",
    "{} is famous for": "notable work",
    "{} is located in the continent of": "continent",
    "{} is employed by": "employer",
    "{} was performed by": "performer",
    "The univeristy where {} was educated is": "place of education",
    "The origianl broadcaster of {} is": "original broadcaster",
    "The official language of {} is": "official language",
    "{} was founded in the city of": "place of formation",
    "{} was written in the language of": "language of the work",
    "The chief executive officer of {} is": "chief executive officer",
    "The name of the current head of the {} government is": "head of government",
    "The name of the current head of state in {} is": "head of state",
    "{}'s child is": "child",
    "{} plays the position of": "playing position",
    "The capital of {} is": "capital",
    "The head coach of {} is": "head coach",
    "The original language of {} is": "original language",
    "The type of music that {} plays is": "genre",
    "{} works in the field of": "occupation",
    "The director of {} is": "director",
}
OFFICE = re.compile(r"^The (?P<office>[^,]+?) of (?P<subject>.+) is (?P<object>.+)$")
MAX_TEMPLATES = 50


class Edit(NamedTuple):
    """One parsed edit sentence: all text; `statement` is the sentence itself."""

    subject: str
    relation: str
    object: str
    statement: str


def load(folder: Path) -> Corpus:
    """Load the edits as facts with statements, and the questions that name the subject and not the answer."""
    raw = pl.read_parquet(folder / "edits_with_4_questions.parquet")
    edits: list[Edit] = []
    asked: list[dict[str, str]] = []
    counts: Counter[str] = Counter()
    for sentence, questions in raw.iter_rows():
        edit = parse_edit(sentence, questions)
        if edit is None:
            counts["edit not parsed"] += 1
            continue
        edits.append(edit)
        usable = [text.strip() for text in questions if _asks_for(text, edit)]
        counts["question without its subject, or with the answer"] += len(questions) - len(usable)
        asked.extend({"question": text, "subject": edit.subject, "relation": edit.relation} for text in usable)
    rows = pl.DataFrame(edits, schema=list(Edit._fields), orient="row").with_columns(source=pl.lit("mquake"))
    facts, dropped = checked_facts(rows, name="mquake")
    asked_frame = pl.DataFrame(asked, schema={"question": pl.String, "subject": pl.String, "relation": pl.String})
    by_id = asked_frame.with_columns(subject_id=normalise_texts(asked_frame["subject"])).drop("subject")
    questions_frame = natural_questions(facts, by_id, tag="mquake")
    templates = templates_from_questions(asked_frame.unique(maintain_order=True), max_templates=MAX_TEMPLATES)
    return Corpus("mquake", facts, questions_frame, templates, {**dropped, **{k: v for k, v in counts.items() if v}})


def parse_edit(sentence: str, questions: list[str]) -> Edit | None:
    """Split an edit into subject, relation and new value.

    Args:
        sentence: for instance "The author of Paradiso is Jean Giraudoux".
        questions: about the old or new value; they decide between several readings.

    Returns:
        The reading whose subject the most questions name (the longest such subject), or None where no question names
        any.
    """
    readings = [*_form_readings(sentence), *_office_readings(sentence)]
    scored = [(sum(_names(text, reading.subject) for text in questions), reading) for reading in readings]
    named = [(score, len(reading.subject), reading) for score, reading in scored if score]
    return max(named, key=lambda item: item[:2])[2] if named else None


def _form_readings(sentence: str) -> list[Edit]:
    readings = []
    for form, relation in FORMS.items():
        before, after = form.split("{}")
        if not sentence.lower().startswith(before.lower()):
            continue
        rest = sentence[len(before):]
        for match in re.finditer(re.escape(after + " "), rest):
            readings.append(Edit(rest[: match.start()], relation, rest[match.end():], sentence))
    return [edit for edit in readings if edit.subject.strip() and edit.object.strip()]


def _office_readings(sentence: str) -> list[Edit]:
    match = OFFICE.match(sentence)
    known = {form.split(" of {}")[0] for form in FORMS if form.startswith("The ") and " of {}" in form}
    if match is None or f"The {match['office']}" in known or match["office"].startswith("name of"):
        return []
    return [Edit(match["subject"], match["office"], match["object"], sentence)]


def _names(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, flags=re.IGNORECASE) is not None


def _asks_for(question: str, edit: Edit) -> bool:
    return _names(question, edit.subject) and not _names(question, edit.object)
