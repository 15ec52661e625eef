"""Every frame of the phrasings finds the fact asked for, whatever the form of the subject and the marks around it."""

from collections import Counter

import numpy as np
import pytest

from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.phrasings import FRAMES

SUBJECTS = (
    "Germany", "New York", "Beti Wyn Davies", "Korea, Dem. Rep.", "Washington, D.C.", "St. John's", "Liverpool F.C.",
    "Dr. No", "Rent (film)", "(35317) 1997 AQ23", "Mercury (planet)", "C++", "C#", "AT&T", "A/B", "1bc0:1001",
    "api.Widget.rowCount", "key=value", "Jean-Paul O'Brien", "torch.nn.Linear()",
)  # fmt: skip
RELATIONS = ("population in 1977", "category", "price per kilogram")
PLACES = ("Lusaka", "Zagreb", "New York", "France")


def make(facts: list[tuple[str, str]]) -> Retriever:
    retriever = Retriever(8)
    subjects, relations = zip(*facts, strict=True)
    numbers, aliases = np.arange(len(facts)), [()] * len(facts)
    retriever.add(numbers, subjects=subjects, aliases=aliases, subject_ids=subjects, relations=relations)
    return retriever


def found(names: tuple[str, ...], text: str) -> set[str]:
    hits = make([(name, "creator") for name in names]).lookup([text])
    return {names[i] for i in hits.ordinals[0] if i >= 0}


def test_every_frame_finds_the_fact() -> None:
    facts = [(subject, relation) for subject in SUBJECTS for relation in RELATIONS]
    asked = [(frame.text, *fact) for frame in FRAMES for fact in facts]
    hits = make(facts).lookup([frame.render(*fact) for frame in FRAMES for fact in facts])
    wanted = np.tile(np.arange(len(facts)), len(FRAMES))
    is_within = (hits.ordinals == wanted[:, None]).any(axis=1)
    misses = [asked[i] for i in np.flatnonzero(~is_within)]
    assert is_within.mean() >= 0.99, Counter(frame for frame, *_ in misses).most_common(20)
    assert (hits.ordinals[:, 0] == wanted).mean() >= 0.99


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lusaka/Zagreb", {"Lusaka", "Zagreb"}), ("a Lusaka-based firm", {"Lusaka"}), ("**New York** is", {"New York"}),
        ("Lusaka|population|", {"Lusaka"}), ("creator_of:France", {"France"}), ("creator_of:New_York", {"New York"}),
        ("write to info@lusaka.com", set()), ("see www.lusaka.com", set()), ("lusaka.creator", {"Lusaka"}),
        ('{"name":"Zagreb","creator":', {"Zagreb"}), ("the #Zagreb crowd", {"Zagreb"}), ("Lusaka->age", {"Lusaka"}),
        ("<b>Zagreb</b>", {"Zagreb"}), ("the creator of api.Zagreb.size", set()), ("Jean-Lusaka", set()),
    ],
)  # fmt: skip
def test_glued_names(text: str, expected: set[str]) -> None:
    assert found(PLACES, text) == expected


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("C", "creator of C#[x]"), ("C", "creator of C++|x"), ("Paul", "creator of Jean-Paul"), ("A", "creator of A/B"),
        ("T", "creator of AT&T"), ("Brien", "creator of O'Brien"), ("1bc0", "creator of 1bc0:1001"),
        ("NET", "creator of .NET"), ("A", "creator of A*"), ("DC", "creator of AC/DC"),
        ("Widget", "creator of api.Widget.rowCount"), ("Widget", "creator of widget@widget.com"),
    ],
)  # fmt: skip
def test_a_part_of_another_name_is_no_hit(part: str, text: str) -> None:
    assert found((part,), text) == set()


def test_a_part_inside_a_longer_stored_name_is_dropped() -> None:
    assert found(("Widget", "api.Widget.rowCount"), "creator@api.Widget.rowCount :=") == {"api.Widget.rowCount"}


def test_places_are_kept_for_facts_without_a_cue() -> None:
    """Cues of other relations fill the budget, and the vector still brings the relation that was meant."""
    relations = [f"planned price of part {name}" for name in "abcdefghij"] + ["velocity", "colour", "weight"]
    axes = {"velocity": 0, "speed": 0, "colour": 1, "weight": 2, "planned": 3, "price": 4, "part": 5}

    def word_vectors(words: list[str]) -> np.ndarray:
        return np.stack([np.eye(7, dtype=np.float32)[axes.get(word, 6)] for word in words])

    retriever = Retriever(8, word_vectors=word_vectors)
    subjects = ["Kestrel"] * len(relations)
    aliases = [()] * len(relations)
    numbers = np.arange(len(relations))
    retriever.add(numbers, subjects=subjects, aliases=aliases, subject_ids=subjects, relations=relations)
    hits = retriever.lookup(["Not the planned price: which speed has Kestrel?", "planned price of Kestrel"])
    assert 10 in hits.ordinals[0]
    assert hits.stage[0][hits.ordinals[0] == 10].tolist() == [3]
    assert (hits.stage[0] == 2).sum() == 7
    assert (np.diff(hits.weights, axis=1) <= 0).all()
    assert (hits.stage[1] == 2).all()


def test_groups_of_questions_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = make([(subject, relation) for subject in SUBJECTS for relation in RELATIONS])
    texts = [frame.render("Germany", "category") for frame in FRAMES[:40]] + ["C++ or C#?", "nothing", ""]
    whole = retriever.lookup(texts)
    monkeypatch.setattr("widedeep_kb.memory.retrieval._GROUP", 5)
    for one, other in zip(whole, retriever.lookup(texts), strict=True):
        np.testing.assert_array_equal(one, other)
