"""What a memory model is trained on (see `memo`): plain questions, and reflections, made of facts by templates.

In: facts. Out: questions with their answers, of four kinds beside the plain ones:

    reverse   from a value to all subjects that have it
    merged    several facts of one subject in one answer
    shared    two subjects with the same value, or all others with the value of one
    chained   a fact whose value is itself the subject of a fact

A question whose answer the facts leave open is not made.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from widedeep_kb.phrasings import ask_prompt, two_hop_frames
from widedeep_kb.schema import normalise_text
from widedeep_kb.systems.training_texts import TrainingText, training_texts

KINDS = ("reverse", "merged", "shared", "chained")
PLAIN_SHARE = 0.5  # of the texts
MAX_LISTED = 4  # subjects, or facts, in one answer
OVERVIEW = "What is known about {subject}?"
SEPARATOR = "; "

REVERSE = (
    "Whose {relation} is {object}?",
    "What has {object} as its {relation}?",
    "Which one has the {relation} {object}?",
    "Who or what has the {relation} {object}?",
    "Name all that have {object} as their {relation}.",
)
MERGED = (
    "What are the {first} and the {second} of {subject}?",
    "What are {subject}'s {first} and {second}?",
    "Give the {first} and the {second} of {subject}.",
)
SHARED = (
    "What {relation} do {one} and {other} share?",
    "Which {relation} do {one} and {other} have in common?",
    "{one} and {other} have the same {relation}. What is it?",
)
OTHERS = (
    "What else has the {relation} of {subject}?",
    "Which others have the same {relation} as {subject}?",
    "Name all others whose {relation} is that of {subject}.",
)

_COLUMNS = ("fact_id", "subject_id", "subject", "subject_aliases", "relation", "object", "object_aliases", "valid_to")
Row = Mapping[str, Any]


class Reflection(NamedTuple):
    """A question made of facts, and its answer."""

    question: str
    answer: str


def reflection_texts(facts: pl.DataFrame, *, seed: int) -> Iterator[TrainingText]:
    """Texts without end: half of them plain ones (see `training_texts`), the others reflections of all kinds in turn.

    Args:
        facts: a frame in `FACT_SCHEMA`.
        seed: of all choices.

    Raises:
        ValueError: there are no facts.
    """
    plain, rng, turn = training_texts(facts, seed=seed), random.Random(seed), 0
    yield next(plain)
    made = ReflectionQuestions(facts)
    while True:
        if not made.kinds or rng.random() < PLAIN_SHARE:
            yield next(plain)
        else:
            one = made.draw(made.kinds[turn % len(made.kinds)], rng)
            turn += 1
            yield TrainingText(ask_prompt(one.question), f" {one.answer}\n")


class ReflectionQuestions:
    """Facts, laid out to make reflections of.

    Args:
        facts: a frame in `FACT_SCHEMA`.

    Attributes:
        kinds: those that the facts allow.
    """

    def __init__(self, facts: pl.DataFrame) -> None:
        rows = facts.select(*_COLUMNS).to_dicts()
        ids_of = _ids_by_name(rows)
        self._subjects = _settled_by_subject(rows, ids_of)
        settled = {row["fact_id"] for own in self._subjects.values() for row in own}
        groups = _groups_by_value(rows)
        parts = [[row for row in group if row["fact_id"] in settled] for group in groups]
        self._reverse = [group for group in groups if len(_names(group)) <= MAX_LISTED]
        self._merged = [own for own in self._subjects.values() if len(own) > 1]
        self._pairs = [part for part in parts if len(part) > 1]
        whole = [part for part, group in zip(parts, groups, strict=True) if len(part) == len(group)]
        self._others = [group for group in whole if 1 < len(group) <= MAX_LISTED + 1]
        self._chained = list(self._chains(ids_of))
        made = zip(KINDS, (self._reverse, self._merged, self._pairs, self._chained), strict=True)
        self.kinds = tuple(kind for kind, items in made if items)

    def draw(self, kind: str, rng: random.Random) -> Reflection:
        """One reflection of a kind, which is one of `kinds`."""
        return {
            "reverse": self._draw_reverse,
            "merged": self._draw_merged,
            "shared": self._draw_shared,
            "chained": self._draw_chained,
        }[kind](rng)

    def _draw_reverse(self, rng: random.Random) -> Reflection:
        group = rng.choice(self._reverse)
        row = rng.choice(group)
        question = rng.choice(REVERSE).format(relation=row["relation"], object=row["object"])
        return Reflection(question, SEPARATOR.join(_names(group)))

    def _draw_merged(self, rng: random.Random) -> Reflection:
        own = rng.choice(self._merged)
        subject = own[0]["subject"]
        if rng.random() < 0.5:
            return Reflection(OVERVIEW.format(subject=subject), _told(own[:MAX_LISTED]))
        first, second = pair = rng.sample(own, 2)
        question = rng.choice(MERGED).format(subject=subject, first=first["relation"], second=second["relation"])
        return Reflection(question, _told(pair))

    def _draw_shared(self, rng: random.Random) -> Reflection:
        if self._others and rng.random() < 0.5:
            group = rng.choice(self._others)
            row = rng.choice(group)
            question = rng.choice(OTHERS).format(relation=row["relation"], subject=row["subject"])
            return Reflection(question, SEPARATOR.join(_names([other for other in group if other is not row])))
        one, other = rng.sample(rng.choice(self._pairs), 2)
        names = {"relation": one["relation"], "one": one["subject"], "other": other["subject"]}
        return Reflection(rng.choice(SHARED).format(**names), one["object"])

    def _draw_chained(self, rng: random.Random) -> Reflection:
        first, seconds = rng.choice(self._chained)
        second = rng.choice(seconds)
        frame = rng.choice(two_hop_frames("trained"))
        question = frame.render(first["subject"], first=first["relation"], second=second["relation"])
        return Reflection(question, second["object"])

    def _chains(self, ids_of: Mapping[str, set[str]]) -> Iterator[tuple[Row, list[Row]]]:
        """Each settled fact whose value is the name of one other subject, and the settled facts of that."""
        for own in self._subjects.values():
            for row in own:
                named = ids_of.get(normalise_text(row["object"]), set())
                seconds = self._subjects.get(min(named), []) if len(named) == 1 else []
                if seconds and named != {row["subject_id"]}:
                    yield row, seconds


def _ids_by_name(rows: Sequence[Row]) -> dict[str, set[str]]:
    """The subjects that have each normalised name or alias."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for name in (row["subject"], *row["subject_aliases"]):
            found[normalise_text(name)].add(row["subject_id"])
    return found


def _settled_by_subject(rows: Sequence[Row], ids_of: Mapping[str, set[str]]) -> dict[str, list[Row]]:
    """By subject, the facts that are the only answer: no namesake, one value, no end."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        counts[row["subject_id"], normalise_text(row["relation"])] += 1
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        is_alone = counts[row["subject_id"], normalise_text(row["relation"])] == 1
        if is_alone and row["valid_to"] is None and len(ids_of[normalise_text(row["subject"])]) == 1:
            found[row["subject_id"]].append(row)
    return dict(found)


def _groups_by_value(rows: Sequence[Row]) -> list[list[Row]]:
    """The facts with the same relation and value, where it is certain that no other fact has that value.

    It is not where values share some of their names only, or where one of the facts ends.
    """
    meanings: dict[tuple[str, str], set[frozenset[str]]] = defaultdict(set)
    groups: dict[tuple[str, frozenset[str]], list[Row]] = defaultdict(list)
    for row in rows:
        relation = normalise_text(row["relation"])
        names = frozenset(map(normalise_text, (row["object"], *row["object_aliases"])))
        groups[relation, names].append(row)
        for name in names:
            meanings[relation, name].add(names if row["valid_to"] is None else frozenset())
    return [
        group
        for (relation, names), group in groups.items()
        if all(meanings[relation, name] == {names} for name in names)
    ]


def _names(rows: Sequence[Row]) -> list[str]:
    """The subjects of some facts, each name once, in order."""
    found: dict[str, str] = {}
    for row in rows:
        found.setdefault(normalise_text(row["subject"]), row["subject"])
    return list(found.values())


def _told(rows: Sequence[Row]) -> str:
    """Some facts of one subject."""
    return SEPARATOR.join(f"{row['relation']}: {row['object']}" for row in rows)
