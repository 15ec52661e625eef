"""What training may share with evaluation is asserted before a reader is trained."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records, normalise_texts
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies import reader_materials
from widedeep_kb.studies.reader_materials import prepare_materials, print_overlap, trained_subjects


def corpus(name: str, subject: str, relation: str, value: str) -> Corpus:
    """A corpus of one fact."""
    facts = facts_from_records([{"subject": subject, "relation": relation, "object": value}])
    return Corpus(name, facts, pl.DataFrame(schema=QUESTION_SCHEMA), {relation: [f"{name} {{subject}}?"]})


def test_shared_values_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_overlap([corpus("a", "Rome", "river", "Tiber")], [corpus("b", "Ostia", "stream", "Tiber")])
    assert capsys.readouterr().err == "b: 0 subjects, 0 relations, 0 phrasings in training; 1.000 of its values\n"


@pytest.mark.parametrize(("subject", "relation"), [("Rome", "stream"), ("Ostia", "river")])
def test_a_shared_name_is_refused(subject: str, relation: str) -> None:
    with pytest.raises(ValueError, match="share"):
        print_overlap([corpus("a", "Rome", "river", "Tiber")], [corpus("b", subject, relation, "Po")])


def test_the_subjects_said_to_be_trained_on_are_those_of_the_materials(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Corpus] = {}

    def load(name: str, **_: object) -> Corpus:
        records = [{"subject": f"{name} {i}", "relation": "port", "object": str(i)} for i in range(40)]
        none = pl.DataFrame(schema=QUESTION_SCHEMA)
        return made.setdefault(name, Corpus(name, facts_from_records(records), none, {"port": ["Port of {subject}?"]}))

    monkeypatch.setattr(reader_materials, "load_corpus", load)
    monkeypatch.setattr(reader_materials, "TRAINING_SETS", {"entityquestions": 25, "lre": None})
    for name in ("synthetic_validation", "insertion_chunk"):
        monkeypatch.setattr(reader_materials, name, lambda *_, **__: {})
    monkeypatch.setattr(reader_materials, "_short", lambda table, _: (table, None))
    folders = {"data_dir": Path(), "prepared_dir": Path()}
    tables = prepare_materials(None, **folders, end_id=0, leave_out=False).tables
    assert len(tables) == len(made) == 8
    for table in tables:
        said = set(trained_subjects(made[table.name]))
        assert said == set(normalise_texts(pl.Series(table.subjects)))
        assert len(said) == {"entityquestions": 25, "lre": 40}.get(table.name, 32), "four fifths of an asked domain"
