"""Answers to accept, kinds of values, and templates filled in for facts."""

import polars as pl
import pytest

from widedeep_kb.schema import facts_from_records
from widedeep_kb.sources.questions import (
    accepted_answers,
    is_statement,
    natural_questions,
    own_questions,
    shares_word,
    template_frame,
    templates_from_questions,
    value_kinds,
)

TOWNS = [
    {"subject": "Springfield", "subject_id": "1", "relation": "population", "object": "100"},
    {"subject": "Springfield", "subject_id": "2", "relation": "population", "object": "200",
     "object_aliases": ["0.2k"]},
    {"subject": "Shelbyville", "subject_id": "3", "relation": "population", "object": "300"},
    {"subject": "Capital City", "subject_id": "4", "relation": "population", "object": "400",
     "subject_aliases": ["shelbyville"]},
    {"subject": "Shelbyville", "subject_id": "3", "relation": "founder", "object": "Ann Lee"},
    {"subject": "Shelbyville", "subject_id": "3", "relation": "founder", "object": "Bo Ray"},
]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("15853", "number"), ("-12.5", "number"), ("15,853", "number"), ("10%", "number"), ("1811.15 K", "number"),
        ("0.449 J/(g K)", "number"), ("$0.42", "code"), ("Europe/Paris", "code"), ("US", "code"),
        ("7439-89-6", "code"),
        ("Paris", "word"), ("O'Brien", "word"), ("New York", "phrase"), ("12 Angry Men of old", "phrase"),
    ],
)
def test_value_kinds(value: str, kind: str) -> None:
    assert value_kinds(pl.Series("object", [value])).to_list() == [kind]


@pytest.mark.parametrize(
    ("relation", "template", "shared"),
    [
        ("population", "What is the population of {subject}?", True),
        ("population", "How many people live in {subject}?", False),
        ("population in 1952", "How many people lived in {subject} in 1952?", False),
        ("plays for", "Which team does {subject} play for?", True),
        ("GDP per capita", "How rich was the average person in {subject}?", False),
        ("discoverer", "{subject} was discovered by", True),
    ],
)
def test_shares_word(relation: str, template: str, shared: bool) -> None:
    assert shares_word(relation, template) is shared


def test_statement_ends_openly() -> None:
    assert is_statement("{subject} has a population of")
    assert not any(map(is_statement, ["How big is {subject}?", "Size of {subject}:", "Tell me about {subject}."]))


def test_namesakes_and_aliases_are_accepted_and_ambiguous() -> None:
    answers = accepted_answers(facts_from_records(TOWNS))
    table = {(row["subject_id"], row["relation"]): row for row in answers.to_dicts()}
    assert table["1", "population"]["answers"] == ["100", "200", "0.2k"]
    assert table["2", "population"]["answers"][0] == "200"  # its own value first
    assert set(table["3", "population"]["answers"]) == {"300", "400"}  # 4 has this name as an alias
    assert table["4", "population"]["answers"] == ["400"] and not table["4", "population"]["is_ambiguous"]
    assert table["3", "founder"]["answers"] == ["Ann Lee", "Bo Ray"] and table["3", "founder"]["is_ambiguous"]


def test_own_questions_ask_each_fact_once_with_its_tags() -> None:
    facts = facts_from_records(TOWNS)
    templates = template_frame({"population": ["{subject} is home to"], "founder": ["Who was {subject}'s founder?"]})
    questions = own_questions(facts, templates, tags=["own", "towns"], seed=3)
    assert questions["fact_id"].to_list() == facts["fact_id"].to_list()
    assert questions["question"][3] == "Capital City is home to"
    assert questions["tags"][3].to_list() == ["own", "towns", "population", "number", "statement", "no_shared_word"]
    assert questions["tags"][4].to_list() == ["own", "towns", "founder", "phrase", "ambiguous"]


def test_own_questions_depend_on_the_seed_only() -> None:
    records = [{"subject": f"S{i}", "relation": "size", "object": str(i)} for i in range(60)]
    templates = template_frame({"size": [f"T{i} {{subject}}?" for i in range(5)]})
    facts = facts_from_records(records)
    first, again, other = (own_questions(facts, templates, tags=[], seed=seed) for seed in (1, 1, 2))
    assert first.equals(again) and not first.equals(other)
    assert first["question"].str.slice(0, 2).n_unique() == 5


def test_natural_questions_of_one_wording_accept_the_values_of_all() -> None:
    records = [
        {"subject": "Ararat", "relation": "location", "object": "Asia"},
        {"subject": "Ararat", "relation": "country", "object": "Turkey"},
    ]
    asked = pl.DataFrame({
        "question": ["Where is Ararat?", "Where is Ararat?", "Which nation is it in?"],
        "subject_id": ["ararat"] * 3, "relation": ["location", "country", "country"],
    })
    questions = natural_questions(facts_from_records(records), asked, tag="set").to_dicts()
    assert [row["answers"] for row in questions] == [["Asia", "Turkey"], ["Turkey"]]
    assert questions[0]["tags"] == ["set", "location", "word", "ambiguous"]
    assert questions[1]["tags"] == ["set", "country", "word", "unnamed_subject"]


def test_templates_from_questions_take_the_subject_out() -> None:
    asked = pl.DataFrame({
        "question": ["where was ann lee born", "Where is she from?", "who is ann lee, ann lee the first?", "Ann Lee"],
        "subject": ["Ann Lee"] * 4, "relation": ["birthplace"] * 4,
    })
    assert templates_from_questions(asked, max_templates=9) == {"birthplace": ["where was {subject} born"]}
