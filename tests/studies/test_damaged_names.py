"""Damaged names: each kind of damage does what it says, and questions keep everything but the name."""

from __future__ import annotations

import random

import polars as pl
import pytest

from widedeep_kb.memory.spelling import count_errors
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.damaged_names import DAMAGES, damaged, halves, misspelt, questions_about, shortened, with_alias

NAMES = ("São Tomé de Quarra", "Guernsey", "Ulm", "Port Valdovia")


@pytest.fixture
def corpus() -> Corpus:
    """Forty subjects with one fact each, half of them with an alias, and a question of its own for each."""
    rng = random.Random(0)
    names = ["".join(rng.choices("abcdefghij", k=8)).capitalize() + " Town" for _ in range(40)]
    rows = [
        {
            "subject": name,
            "relation": "mayor",
            "object": f"M{i}",
            "subject_aliases": ["Альфа", f"Oldname {names[i][:6]}"][: i % 3],
        }
        for i, name in enumerate(names)
    ]
    facts = facts_from_records(rows)
    questions = pl.DataFrame(
        {
            "question": [f"Who runs {name}?" for name in names],
            "answers": [[f"M{i}"] for i in range(40)],
            "fact_id": facts["fact_id"],
            "tags": [["mayor"]] * 40,
        },
        schema=QUESTION_SCHEMA,
    )
    return Corpus(name="towns", facts=facts, questions=questions, templates={})


@pytest.mark.parametrize("seed", range(20))
def test_kinds_of_damage(seed: int) -> None:
    rng = random.Random(seed)
    assert misspelt("Ulm", rng) is None and shortened("Ulm", rng) is None
    assert DAMAGES["two typing errors"]("Ulm", rng) is None
    name = misspelt(NAMES[0], rng)
    assert count_errors(name, NAMES[0], most=3) <= 1 and name.startswith("São ") and " de " in name
    assert DAMAGES["no accents"](NAMES[0], rng) == "Sao Tome de Quarra"
    words = shortened(NAMES[0], rng).split()
    assert len(words) == 3 and [w for w in NAMES[0].split() if w in words] == words


def test_questions_keep_all_but_the_name(corpus: Corpus) -> None:
    stored, absent = halves(corpus, seed=0)
    assert stored["subject_id"].n_unique() == 20 == absent["subject_id"].n_unique()
    assert not set(stored["subject_id"]) & set(absent["subject_id"])
    questions = questions_about(stored, corpus, seed=0)
    assert sorted(questions["subject"]) == sorted(stored["subject"])
    assert questions.filter(pl.col("question").str.starts_with("Who runs")).height >= 10
    names = dict(questions.select("subject_id", "subject").iter_rows())
    for asked in damaged(questions, misspelt, seed=0):
        (row,) = questions.filter(pl.col("subject_id") == asked.subject_id).to_dicts()
        begin, end = row["question"].split(names[asked.subject_id])
        assert asked.text.startswith(begin) and asked.text.endswith(end) and asked.text != row["question"]
        assert asked.answers == row["answers"]
    found = with_alias(questions)
    assert found and all("Oldname" in asked.text and names[asked.subject_id] not in asked.text for asked in found)
