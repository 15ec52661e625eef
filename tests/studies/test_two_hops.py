"""Two-hop questions from facts: one right answer each, and nothing that gives it away."""

import random

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.two_hops import (
    draw_chains,
    frame_questions,
    live_facts,
    own_questions,
    single_questions,
    two_hop_chains,
)


def facts(*values: tuple[str, str, str], **more: str) -> pl.DataFrame:
    """A frame of (subject, relation, object)."""
    return facts_from_records([{"subject": s, "relation": r, "object": o, **more} for s, r, o in values])


def test_only_chains_with_one_answer_are_found() -> None:
    clear = facts(("Lyon", "country", "France"), ("FRANCE", "capital", "Paris"), ("Paris", "country", "France"))
    several = facts(("Oslo", "twin", "Lyon"), ("Oslo", "twin", "Bonn"), ("Bonn", "country", "Germany"))
    namesakes = pl.concat(
        [facts(("Rome", "state", "Ohio"), subject_id="1"), facts(("Ohio", "x", "y"), subject_id="2")]
        + [facts(("Ohio", "z", "y"), subject_id="3")]
    )
    found = two_hop_chains(pl.concat([clear, several, namesakes]))
    assert found.select("subject", "first", "middle", "second", "object").rows() == [
        ("Lyon", "country", "France", "capital", "Paris")
    ]
    ids = {row["fact_id"]: row for row in clear.iter_rows(named=True)}
    first, second = found["fact_ids"][0].split(" ")
    assert (ids[first]["subject"], ids[second]["object"]) == ("Lyon", "Paris")


@pytest.fixture
def world() -> pl.DataFrame:
    """40 towns in 8 lands, each land with three properties."""
    rng = random.Random(0)
    towns = [(f"Town{i}", "land", f"Land{rng.randrange(8)}") for i in range(40)]
    lands = [(f"Land{i}", relation, f"{relation[0]}{i}") for i in range(8) for relation in ("ruler", "coin", "hymn")]
    return facts(*towns, *lands)


def test_chains_are_drawn_once_for_each_subject_and_answer(world: pl.DataFrame) -> None:
    drawn = draw_chains(two_hop_chains(world), count=12, seed=0)
    assert drawn.height == 12
    assert drawn["subject"].n_unique() == drawn["object"].n_unique() == 12
    assert set(drawn["second"].value_counts()["count"]) == {4}, "relations take turns"


def test_questions_name_the_subject_and_not_the_middle(world: pl.DataFrame) -> None:
    chains = draw_chains(two_hop_chains(world), count=20, seed=1)
    templates = {"coin": ["What money circulates in {subject}?"], "hymn": []}
    asked = {
        "named": frame_questions(chains, split="heldout", seed=0),
        "own": own_questions(chains, templates, seed=0),
        "single": single_questions(chains, seed=0),
    }
    by_ids = {row["fact_ids"]: row for row in chains.iter_rows(named=True)}
    for name, questions in asked.items():
        assert questions.schema == pl.Schema(QUESTION_SCHEMA)
        for row in questions.iter_rows(named=True):
            if name == "single":
                continue
            chain = by_ids[row["fact_id"]]
            assert chain["subject"] in row["question"] and chain["middle"] not in row["question"]
            assert row["answers"] == [chain["object"]]
    assert asked["own"].height == chains.filter(pl.col("second") == "coin").height
    assert asked["own"]["question"][0].startswith("What money circulates in the land of Town")
    assert asked["single"]["answers"].to_list() == [[middle] for middle in chains["middle"]]


def test_live_facts_hold_the_chains_and_some_others(world: pl.DataFrame) -> None:
    chains = draw_chains(two_hop_chains(world), count=3, seed=0)
    live = live_facts(world, chains, num_others=2, most=1, seed=0)
    wanted = {one for both in chains["fact_ids"] for one in both.split(" ")}
    assert wanted <= set(live["fact_id"])
    rest = live.filter(~pl.col("fact_id").is_in(list(wanted)))
    assert rest["subject_id"].n_unique() == rest.height == 2, "one of each other subject, none of the chains' own"
