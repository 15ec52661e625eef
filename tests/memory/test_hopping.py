"""Second facts: found where a question takes two, and only there."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.memory.hopping import HOPPED, MOST_FIRST, Hop, add_hops, find_hops
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.phrasings import two_hop_frames
from widedeep_kb.schema import facts_from_records

FACTS = [
    ("Lyon", "country", "France"),
    ("Lyon", "country code", "FR"),
    ("Lyon", "population", "520774"),
    ("Lyon", "time zone", "Europe/Paris"),
    ("France", "capital", "Paris"),
    ("France", "currency", "Euro"),
    ("France", "currency code", "EUR"),
    ("France", "population", "66987244"),
    ("France", "neighbouring country", "Spain"),
    ("France", "neighbouring country", "Italy"),
    ("Spain", "capital", "Madrid"),
    ("Italy", "capital", "Rome"),
    ("Paris", "population", "2138551"),
    ("Ada", "father", "Tom"),
    ("Ada", "spouse", "Will"),
    ("Tom", "spouse", "Anne"),
    ("Will", "father", "Peter"),
    ("Tom", "father", "John"),
]


@pytest.fixture
def memory() -> tuple[FactCatalogue, Retriever]:
    """Catalogue and index of `FACTS`."""
    return indexed(facts_from_records([{"subject": s, "relation": r, "object": o} for s, r, o in FACTS]))


def indexed(facts: pl.DataFrame) -> tuple[FactCatalogue, Retriever]:
    """Catalogue and index of a frame."""
    catalogue, retriever = FactCatalogue(), Retriever(32)
    ordinals = catalogue.add(facts).added
    rows = catalogue.rows(ordinals)
    names = {"subjects": "subject", "aliases": "subject_aliases", "subject_ids": "subject_id", "relations": "relation"}
    retriever.add(ordinals, **{name: rows[column].to_list() for name, column in names.items()})
    return catalogue, retriever


def hops_of(memory: tuple[FactCatalogue, Retriever], text: str) -> list[Hop]:
    """The hops of one question."""
    catalogue, retriever = memory
    (hops,) = find_hops([text], retriever.lookup([text]), retriever=retriever, catalogue=catalogue)
    return hops


def chain(memory: tuple[FactCatalogue, Retriever], text: str) -> tuple[tuple[str, str, str], ...]:
    """The first fact of the best hop and its best second one; nothing where there is no hop."""
    hops = hops_of(memory, text)
    if not hops:
        return ()
    rows = memory[0].rows(np.array([hops[0].first, hops[0].seconds[0]]))
    return tuple(rows.select("subject", "relation", "object").iter_rows())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the capital of the country of Lyon?", (FACTS[0], FACTS[4])),
        ("What is the currency code of the country of Lyon?", (FACTS[0], FACTS[6])),
        ("What is the population of the country of Lyon?", (FACTS[0], FACTS[7])),
        ("What is the population of the capital of France?", (FACTS[4], FACTS[12])),
        ("What is the capital of the nation where Lyon lies?", (FACTS[0], FACTS[4])),
        ("Lyon's country's currency is", (FACTS[0], FACTS[5])),
        ("Who is the spouse of the father of Ada?", (FACTS[13], FACTS[15])),
        ("Who is the father of the spouse of Ada?", (FACTS[14], FACTS[16])),
        ("Who is the father of Ada's father?", (FACTS[13], FACTS[17])),
    ],
)
def test_the_chain_is_the_one_that_the_question_names(
    memory: tuple[FactCatalogue, Retriever], text: str, expected: tuple
) -> None:
    assert chain(memory, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of France?",
        "What is the capital of Lyon?",
        "What is the country code of Lyon?",
        "What is the population of Lyon?",
        "In which country is Lyon?",
        "What is the neighbouring country of France?",
        "Who is the father of Ada?",
        "Who is the spouse of Tom?",
        "Hey, what's the country of Lyon?",
        "Provide the country of Lyon.",
        "I wonder what the country of Lyon is?",
        "One more thing, what is Lyon's country?",
        "What is the height of the mother of Ada?",
        "What is love?",
        "",
    ],
)
def test_a_question_about_one_fact_has_no_hop(memory: tuple[FactCatalogue, Retriever], text: str) -> None:
    assert hops_of(memory, text) == []


def test_the_words_of_the_first_fact_are_replaced(memory: tuple[FactCatalogue, Retriever]) -> None:
    (hop, *_) = hops_of(memory, "Who is the spouse of the father of Ada?")
    assert (hop.phrase, hop.text) == ("the father of Ada", "Who is the spouse of Tom?")
    assert 0 < hop.score <= 1
    assert (hop.weights > 0).all()
    assert (hop.weights <= 1).all()
    assert (np.diff(hop.weights) <= 0).all()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("How many people live in the country of Lyon?", "How many people live in France?"),
        ("What money is used in Lyon's country?", "What money is used in France?"),
        ("The people of the country of Lyon number", "The people of France number"),
    ],
)
def test_a_hop_is_open_where_more_is_asked_of_a_named_first_fact(
    memory: tuple[FactCatalogue, Retriever], text: str, left: str
) -> None:
    (hop,) = hops_of(memory, text)
    assert (hop.is_open, hop.text) == (True, left)
    assert {memory[0].rows(np.array([o]))["subject"][0] for o in hop.seconds.tolist()} == {"France"}
    assert not any(hop.is_open for hop in hops_of(memory, "What is the capital of the country of Lyon?"))


def test_all_values_of_a_property_are_followed_but_no_more_than_allowed() -> None:
    neighbours = [{"subject": "Utopia", "relation": "neighbouring country", "object": f"Land{i}"} for i in range(6)]
    capitals = [{"subject": f"Land{i}", "relation": "capital", "object": f"Town{i}"} for i in range(6)]
    memory = indexed(facts_from_records(neighbours + capitals))
    hops = hops_of(memory, "What is the capital of the neighbouring country of Utopia?")
    assert len(hops) == MOST_FIRST
    assert len({hop.first for hop in hops}) == MOST_FIRST


def test_an_object_is_met_under_its_aliases_too() -> None:
    records = [
        {"subject": "Lyon", "relation": "country", "object": "French Republic", "object_aliases": ["France"]},
        {"subject": "France", "relation": "capital", "object": "Paris"},
        {"subject": "Bonn", "relation": "country", "object": "BRD"},
        {"subject": "Germany", "subject_aliases": ["BRD"], "relation": "capital", "object": "Berlin"},
    ]
    memory = indexed(facts_from_records(records))
    (first, second) = chain(memory, "What is the capital of the country of Lyon?")
    assert (first[2], second[2]) == ("French Republic", "Paris")
    assert chain(memory, "What is the capital of the country of Bonn?")[1][2] == "Berlin"


def test_second_facts_have_their_own_places(memory: tuple[FactCatalogue, Retriever]) -> None:
    catalogue, retriever = memory
    texts = ["What is the capital of the country of Lyon?", "What is the capital of France?", "?"]
    hits = retriever.lookup(texts)
    hops = find_hops(texts, hits, retriever=retriever, catalogue=catalogue)
    wide = add_hops(hits, hops, most=2)
    assert wide.ordinals.shape == (3, hits.ordinals.shape[1] + 2)
    assert (wide.ordinals[:, :-2] == hits.ordinals).all()
    added = wide.ordinals[:, -2:]
    assert added[0].tolist() == hops[0][0].seconds[:2].tolist()
    assert (added[1:] == -1).all()
    assert (wide.stage[0, -2:] == HOPPED).all()
    assert (wide.weights[0, -2:] == hops[0][0].weights[:2]).all()


def test_a_fact_found_already_is_not_added_again(memory: tuple[FactCatalogue, Retriever]) -> None:
    catalogue, retriever = memory
    texts = ["What is the capital of the country of Lyon, France?"]
    hits = retriever.lookup(texts)
    wide = add_hops(hits, find_hops(texts, hits, retriever=retriever, catalogue=catalogue))
    live = wide.ordinals[wide.ordinals >= 0]
    assert len(live) == len(np.unique(live))


def test_random_chains_are_found(seed: int = 0) -> None:
    """Subjects with random words for names, relations drawn from a list; the chain asked for is the chain found."""
    rng = random.Random(seed)
    relations = ["owner", "main office", "supplier", "first harbour", "second harbour", "patron", "tax code"]
    subjects = ["".join(rng.choice("bdgklmnprtz") + rng.choice("aeiou") for _ in range(4)).title() for _ in range(60)]
    subjects = sorted(set(subjects))
    known = {(s, r): rng.choice([o for o in subjects if o != s]) for s in subjects for r in rng.sample(relations, 4)}
    memory = indexed(facts_from_records([{"subject": s, "relation": r, "object": o} for (s, r), o in known.items()]))
    asked = [(s, one, two) for (s, one), o in known.items() for two in relations if (o, two) in known]
    for subject, one, two in rng.sample(asked, 100):
        middle = known[subject, one]
        expected = ((subject, one, middle), (middle, two, known[middle, two]))
        for frame in (*two_hop_frames("trained"), *two_hop_frames("heldout")):
            assert chain(memory, frame.render(subject, first=one, second=two)) == expected, frame
        assert hops_of(memory, f"What is the {one} of {subject}?") == []
