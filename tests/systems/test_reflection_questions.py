"""Reflections: each is right by brute force over the facts, and none is made where the facts leave its answer open."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import polars as pl
import pytest

from widedeep_kb.phrasings import ask_prompt, two_hop_frames
from widedeep_kb.schema import facts_from_records, normalise_text
from widedeep_kb.systems.reflection_questions import (
    KINDS,
    MAX_LISTED,
    MERGED,
    OTHERS,
    OVERVIEW,
    REVERSE,
    SEPARATOR,
    SHARED,
    ReflectionQuestions,
    reflection_texts,
)

NAMES = ("Ada", "Bo", "Cy Dee", "Eve")
VALUES = ("red", "Red", "blue", "scarlet", "Ada", "bo", "Cy Dee")
RELATIONS = ("mother", "Mother", "flag colour", "home town")
NUM_CORPORA = 150


def corpus(seed: int) -> pl.DataFrame:
    """A few facts with namesakes, values with other names, several values of a property, and facts that end."""
    rng, records = random.Random(seed), []
    relations, values = rng.sample(RELATIONS, 2), rng.sample(VALUES, 3)
    for _ in range(rng.randint(2, 9)):
        name = rng.choice(NAMES)
        records.append(
            {
                "subject": name,
                "subject_id": f"{name}-{rng.choice((1, 1, 1, 1, 2))}",
                "subject_aliases": ["Cy Dee"] if rng.random() < 0.1 else [],
                "relation": rng.choice(relations),
                "object": rng.choice(values),
                "object_aliases": [rng.choice(VALUES)] if rng.random() < 0.2 else [],
                "valid_to": "2020-01-01" if rng.random() < 0.1 else None,
            }
        )
    return facts_from_records(records)


def names_of_value(fact: dict) -> set[str]:
    """Its normalised names."""
    return {normalise_text(name) for name in (fact["object"], *fact["object_aliases"])}


def possibly_equal(fact: dict, facts: list[dict]) -> list[dict]:
    """The facts of a relation whose value shares a name with this one's, with theirs, and so on."""
    same = [one for one in facts if normalise_text(one["relation"]) == normalise_text(fact["relation"])]
    reached, names = [], names_of_value(fact)
    while len(found := [one for one in same if names & names_of_value(one)]) > len(reached):
        reached, names = found, names.union(*map(names_of_value, found))
    return reached


def others_named(subject: str, facts: list[dict]) -> set[str]:
    """Ids of the subjects that have this name."""
    return {
        fact["subject_id"]
        for fact in facts
        if normalise_text(subject) in map(normalise_text, (fact["subject"], *fact["subject_aliases"]))
    }


def only_value(subject: str, relation: str, facts: list[dict]) -> str | None:
    """The one value that a property has for one who knows the subject by its name; None where there is none."""
    ids = others_named(subject, facts)
    own = [
        fact
        for fact in facts
        if fact["subject_id"] in ids and normalise_text(fact["relation"]) == normalise_text(relation)
    ]
    is_settled = len(ids) == 1 and len(own) == 1 and own[0]["valid_to"] is None
    return own[0]["object"] if is_settled else None


def right_reverse(facts: list[dict]) -> dict[str, set[str]]:
    """By question, the listed subjects."""
    found = {}
    for fact in facts:
        equal = possibly_equal(fact, facts)
        if all(one["valid_to"] is None for one in equal):
            listed = {normalise_text(one["subject"]) for one in equal}
            for frame in REVERSE:
                found[frame.format(relation=fact["relation"], object=fact["object"])] = listed
    return found


def right_merged(facts: list[dict]) -> dict[str, set[str]]:
    """By question about two relations, the parts of the answer; by overview, the parts it may have."""
    found = {}
    for one, other in itertools.permutations(facts, 2):
        subject, pair = one["subject"], (one, other)
        told = {f"{fact['relation']}: {only_value(subject, fact['relation'], facts)}" for fact in pair}
        for frame in MERGED:
            question = frame.format(subject=subject, first=one["relation"], second=other["relation"])
            found[question] = told
    return found


def right_shared(facts: list[dict]) -> dict[str, set[str]]:
    """By question, the shared value, or the other subjects."""
    found = {}
    for one, other in itertools.permutations(facts, 2):
        subjects, relation = (one["subject"], other["subject"]), one["relation"]
        values = {only_value(subject, relation, facts) for subject in subjects}
        if None not in values and len({normalise_text(subject) for subject in subjects}) == 2:
            for frame in SHARED:
                names = {"one": subjects[0], "other": subjects[1], "relation": relation}
                found[frame.format(**names)] = values
    for one in facts:
        rest = {normalise_text(other["subject"]) for other in possibly_equal(one, facts) if other is not one}
        for frame in OTHERS:
            found[frame.format(relation=one["relation"], subject=one["subject"])] = rest
    return found


def right_chained(facts: list[dict]) -> dict[str, set[str]]:
    """By question, all values that a walk over two facts arrives at."""
    found: dict[str, set[str]] = {}
    for one, other in itertools.permutations(facts, 2):
        if other["subject_id"] in others_named(one["object"], facts):
            for frame in two_hop_frames("trained"):
                question = frame.render(one["subject"], first=one["relation"], second=other["relation"])
                found.setdefault(question, set()).add(other["object"])
    return found


def test_no_reflection_is_wrong() -> None:
    seen: Counter[str] = Counter()
    for seed in range(NUM_CORPORA):
        frame = corpus(seed)
        facts, made, rng = frame.to_dicts(), ReflectionQuestions(frame), random.Random(seed)
        right = {"reverse": right_reverse(facts), "merged": right_merged(facts)}
        right |= {"shared": right_shared(facts), "chained": right_chained(facts)}
        for kind, _ in itertools.product(made.kinds, range(30)):
            question, answer = made.draw(kind, rng)
            seen[kind] += 1
            parts = answer.split(SEPARATOR)
            if question in {OVERVIEW.format(subject=name) for name in NAMES}:
                subject = question.removeprefix(OVERVIEW.split("{")[0]).removesuffix("?")
                pairs = [part.split(": ") for part in parts]
                assert all(only_value(subject, relation, facts) == value for relation, value in pairs)
                assert len(parts) == len(set(parts)) <= MAX_LISTED
            elif kind == "reverse" or question.startswith(tuple(text.split("{")[0] for text in OTHERS)):
                assert {normalise_text(part) for part in parts} == right[kind][question], (seed, question, answer)
                assert len(parts) <= MAX_LISTED
            elif kind == "shared":
                assert {normalise_text(value) for value in right[kind][question]} >= {normalise_text(answer)}
            else:
                wanted = right[kind][question]
                assert (set(parts) if kind == "merged" else {answer}) == wanted, (seed, question, answer)
    assert set(seen) == set(KINDS) and min(seen.values()) > 100


@pytest.fixture
def people() -> pl.DataFrame:
    """Three people whose home towns are facts of their own."""
    return facts_from_records(
        [
            {"subject": "Ada", "relation": "home town", "object": "Zorva"},
            {"subject": "Bo", "relation": "home town", "object": "Zorva"},
            {"subject": "Bo", "relation": "mother", "object": "Ada"},
            {"subject": "Cy", "relation": "home town", "object": "Quill"},
            {"subject": "Zorva", "relation": "river", "object": "Teal"},
        ]
    )


def drawn(facts: pl.DataFrame, kind: str) -> set[tuple[str, str]]:
    """Many draws of one kind."""
    made, rng = ReflectionQuestions(facts), random.Random(0)
    return {tuple(made.draw(kind, rng)) for _ in range(600)}


def test_what_is_made_of_five_facts(people: pl.DataFrame) -> None:
    reverse = {(q, a) for q, a in drawn(people, "reverse") if q.startswith("Whose")}
    assert reverse == {
        ("Whose home town is Zorva?", "Ada; Bo"),
        ("Whose home town is Quill?", "Cy"),
        ("Whose mother is Ada?", "Bo"),
        ("Whose river is Teal?", "Zorva"),
    }
    merged = drawn(people, "merged")
    assert ("What is known about Bo?", "home town: Zorva; mother: Ada") in merged
    assert ("What are Bo's mother and home town?", "mother: Ada; home town: Zorva") in merged
    assert not any("Ada?" in question for question, _ in merged)  # she has one fact only
    shared = drawn(people, "shared")
    assert ("What home town do Bo and Ada share?", "Zorva") in shared
    assert ("What else has the home town of Ada?", "Bo") in shared
    chained = {(q, a) for q, a in drawn(people, "chained") if q.startswith("What is the") and " that " not in q}
    assert ("What is the river of the home town of Bo?", "Teal") in chained
    assert ("What is the home town of the mother of Bo?", "Zorva") in chained
    assert {answer for _, answer in chained} == {"Teal", "Zorva"}


def test_values_of_many_and_values_left_open_are_not_asked_back() -> None:
    many = [{"subject": f"Ada {i}", "relation": "home", "object": "Zorva"} for i in range(MAX_LISTED + 1)]
    assert ReflectionQuestions(facts_from_records(many)).kinds == ("shared",)
    assert ReflectionQuestions(facts_from_records(many[:MAX_LISTED])).kinds == ("reverse", "shared")
    uncertain = [{**many[0], "object_aliases": ["Old Zorva"]}, {**many[1], "object": "Old Zorva"}]
    assert ReflectionQuestions(facts_from_records(uncertain)).kinds == ()
    ended = [{**many[0], "valid_to": "2020-01-01"}]
    assert ReflectionQuestions(facts_from_records(ended)).kinds == ()
    walk = [
        {"subject": "Bo", "relation": "mother", "object": "Zed"},
        {"subject": "Ada", "subject_aliases": ["Zed"], "relation": "home", "object": "Zorva"},
        {"subject": "Cy", "relation": "home", "object": "Quill"},
    ]
    assert ReflectionQuestions(facts_from_records(walk)).kinds == ("reverse", "chained")
    walk[2]["subject_aliases"] = ["Zed"]  # now the value names two subjects
    assert ReflectionQuestions(facts_from_records(walk)).kinds == ("reverse",)


def test_half_of_the_texts_are_plain_and_all_kinds_come_in_turn(people: pl.DataFrame) -> None:
    texts = list(itertools.islice(reflection_texts(people, seed=3), 800))
    assert texts == list(itertools.islice(reflection_texts(people, seed=3), 800))
    assert texts != list(itertools.islice(reflection_texts(people, seed=4), 800))
    answers = {(text.prompt, text.answer) for text in texts}
    for kind in KINDS:
        own = {(ask_prompt(question), f" {answer}\n") for question, answer in drawn(people, kind)}
        share = sum((text.prompt, text.answer) in own for text in texts) / len(texts)
        assert 0.08 < share < 0.2 and own & answers, kind
    single = facts_from_records([{"subject": "A", "relation": "b", "object": "c", "valid_to": "2020-01-01"}])
    assert all("b" in text.prompt + text.answer for text in itertools.islice(reflection_texts(single, seed=0), 40))
    with pytest.raises(ValueError, match="no facts to train on"):
        next(reflection_texts(people.clear(), seed=0))
