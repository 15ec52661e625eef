"""Questions a look-up cannot serve: what is kept, how values are begun, and what comparisons rest on."""

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.comparing import real_comparisons, synthetic_comparisons
from widedeep_kb.studies.told import ContinuedOracle, OracleOfSeveral
from widedeep_kb.studies.unservable import begin_value, begun_statements, shares_stem, statements, without_shared_word
from widedeep_kb.synthetic.ordered_values import number

FACTS = facts_from_records(
    [
        {"subject": "Faro", "relation": "time zone", "object": "Europe/Lisbon"},
        {"subject": "Faro", "relation": "population", "object": "41355"},
    ]
)
ZONE, POPULATION = FACTS["fact_id"].to_list()


def frame(*rows: tuple[str, str, str, bool]) -> pl.DataFrame:
    """Questions from (text, answer, fact id, whether it is a statement)."""
    names = ("question", "answers", "fact_id", "tags")
    values = [(text, [answer], fact, ["statement"] if is_open else []) for text, answer, fact, is_open in rows]
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in values], schema=QUESTION_SCHEMA)


QUESTIONS = frame(
    ("Clocks in Faro follow", "Europe/Lisbon", ZONE, True),
    ("The inhabitants of Faro number", "41355", POPULATION, True),
    ("What time zones apply to Faro?", "Europe/Lisbon", ZONE, False),
    ("How do I set my clock in Faro?", "Europe/Lisbon", ZONE, False),
    ("Is Faro in the same place as Lisbon?", "Europe/Lisbon", ZONE, False),
    ("How is Faro populated?", "41355", POPULATION, False),
)


def test_statements_are_told_by_their_tag() -> None:
    assert statements(QUESTIONS)["question"].to_list() == ["Clocks in Faro follow", "The inhabitants of Faro number"]


def test_a_begun_statement_asks_for_the_rest() -> None:
    begun = begun_statements(QUESTIONS, FACTS)
    assert begun["question"].to_list() == ["Clocks in Faro follow Europe/"]
    assert begun["answers"].to_list() == [["Lisbon"]]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("Andorra la Vella", ("Andorra", "la Vella")),
        ("America/Argentina/Salta", ("America/", "Argentina/Salta")),
        ("Lisbon", None),
        ("517 802", None),
        ("St. Louis", None),
    ],
)
def test_values_are_cut_behind_their_first_part(value: str, wanted: tuple[str, str] | None) -> None:
    assert begin_value(value) == wanted


def test_no_stem_of_relation_or_value_is_shared() -> None:
    assert without_shared_word(QUESTIONS, FACTS)["question"].to_list() == ["How do I set my clock in Faro?"]
    assert not shares_stem("What is in Time Square?", subject="Time Square", relation="time zone", value="UTC")
    assert shares_stem("How many people live there?", subject="Faro", relation="people_count", value="3")


def test_real_comparisons_follow_from_both_facts() -> None:
    records = []
    for i in range(40):
        identity = {"subject": f"Town {i:02}", "source": "towns"}
        records.append({**identity, "relation": "population", "object": f"{1000 + i % 13} people"})
        records.append({**identity, "relation": "country", "object": "Utopia" if i % 2 else "Arcadia"})
        records.append({**identity, "relation": "motto", "object": f"Ever {i}"})
    facts = facts_from_records(records)
    drawn = real_comparisons(facts, num_questions=100, seed=0)
    rows = {row["fact_id"]: row for row in facts.iter_rows(named=True)}
    answers = []
    for question in drawn.iter_rows(named=True):
        one, other = (rows[fact_id] for fact_id in question["fact_id"].split(" "))
        kind, _, relation = question["tags"]
        assert one["relation"] == other["relation"] == relation != "motto"
        assert one["subject"] in question["question"] and other["subject"] in question["question"]
        if kind == "same":
            wanted = "Yes" if one["object"] == other["object"] else "No"
            answers.append(wanted)
        else:
            choose = max if kind == "larger" else min
            wanted = choose((one, other), key=lambda row: number(row["object"]))["subject"]
        assert question["answers"] == [wanted]
    assert answers.count("Yes") == answers.count("No") > 0
    assert drawn["fact_id"].str.split(" ").explode().is_unique().all()


def test_synthetic_comparisons_have_their_facts() -> None:
    questions, facts = synthetic_comparisons(num_questions=30, seed=3)
    assert questions.height == 30
    rows = {row["fact_id"]: row for row in facts.iter_rows(named=True)}
    for question in questions.iter_rows(named=True):
        kind, split, relation = question["tags"]
        one, other = (rows[fact_id] for fact_id in question["fact_id"].split(" "))
        assert split == "heldout" and one["relation"] == other["relation"] == relation
        if kind == "same":
            assert question["answers"] == ["Yes" if one["object"] == other["object"] else "No"]


def test_told_systems_show_all_facts(tiny_frozen_lm) -> None:  # noqa: ANN001 - a fixture's factory
    lm: FrozenLM = tiny_frozen_lm("llama")
    oracle = OracleOfSeveral(lm)
    oracle.ingest(FACTS)
    (context,) = oracle.contexts(["Which?"], fact_ids=[f"{ZONE} {POPULATION}"])
    assert context.fact_ids == (ZONE, POPULATION) and len(context.statements) == 2
    with pytest.raises(ValueError, match="no fact None"):
        oracle.contexts(["Which?"], fact_ids=None)
    continued = ContinuedOracle(lm, max_new_tokens=3)
    continued.ingest(FACTS)
    (answer,) = continued.generate(["Clocks in Faro follow"], fact_ids=[ZONE])
    prompt = "The time zone of Faro is Europe/Lisbon.\nClocks in Faro follow"
    assert answer.evidence == [ZONE]
    assert answer.prompt_tokens == len(lm.encode([prompt])[0])
    assert answer.text == lm.generate_texts([prompt], max_new_tokens=3)[0].text
