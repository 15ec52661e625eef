"""What training may share with evaluation is asserted before a reader is trained."""

from __future__ import annotations

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.reader_materials import print_overlap


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
