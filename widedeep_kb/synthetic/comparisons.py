"""Questions that compare two subjects of a batch: have they the same value, and which value is larger?

In: a `SyntheticBatch`. Out: questions with the two facts they rest on. A looked-up value alone answers none of them.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass

from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.generator import SyntheticBatch, near_value
from widedeep_kb.synthetic.values import NUMERIC_KINDS, VALUE_KINDS

_NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?)(\D*)")  # and the unit after it
_ORDERED_KINDS = NUMERIC_KINDS | {"quantity", "percentage", "duration", "signed_decimal"}

# One frame a line. "same" and "differ" are answered Yes or No, "larger" and "smaller" with a subject.
_TRAINED = {
    "same": """
Do {a} and {b} have the same {relation}?
Is the {relation} of {a} the same as that of {b}?
Is the {relation} of {a} equal to the {relation} of {b}?
Are the {relation} of {a} and the {relation} of {b} identical?
Does {a} have the same {relation} as {b}?
Does {a} share its {relation} with {b}?
{a} and {b}: same {relation}?
Tell me whether {a} and {b} have the same {relation}.
Compare {a} and {b}. Is their {relation} the same?
Is it true that {a} and {b} have one and the same {relation}?
Have {a} and {b} got the same {relation}, yes or no?
Yes or no: {a} has the same {relation} as {b}.
""",
    "differ": """
Do {a} and {b} have different values for {relation}?
Is the {relation} of {a} different from that of {b}?
Do {a} and {b} differ in {relation}?
""",
    "larger": """
Which has the larger {relation}, {a} or {b}?
Which has the higher {relation}: {a} or {b}?
Of {a} and {b}, which one has the greater {relation}?
Between {a} and {b}, which has more in {relation}?
Does {a} or {b} have the larger {relation}?
Name the one with the higher {relation}: {a} or {b}.
Compare the {relation} of {a} and {b}. Which is bigger?
Who or what has the greater {relation}, {a} or {b}?
""",
    "smaller": """
Which has the smaller {relation}, {a} or {b}?
Which has the lower {relation}: {a} or {b}?
Of {a} and {b}, which one has the smaller {relation}?
Name the one with the lower {relation}: {a} or {b}.
""",
}
_HELDOUT = {
    "same": """
When it comes to {relation}, would you call {a} and {b} alike?
Put {a} beside {b}: does {relation} match?
Would swapping {a} for {b} leave {relation} unchanged?
""",
    "differ": """
Can {a} and {b} be told apart by {relation}?
""",
    "larger": """
Rank {a} against {b} by {relation}: what comes out on top?
If {a} and {b} competed on {relation}, who would win?
""",
    "smaller": """
Rank {a} against {b} by {relation}: what ends up at the bottom?
If the least {relation} decided between {a} and {b}, what would be chosen?
""",
}
COMPARISON_FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    split: {kind: tuple(text.strip().split("\n")) for kind, text in texts.items()}
    for split, texts in (("trained", _TRAINED), ("heldout", _HELDOUT))
}


@dataclass(frozen=True, slots=True)
class ComparisonQuestion:
    """A question over two facts (subjects[k], relation, objects[k]).

    `kind` is "same", "differ", "larger" or "smaller"; `answer` is "Yes", "No" or one of the subjects. The second
    object may differ from the batch's: it is made equal, or nearly equal, in many questions.
    """

    question: str
    answer: str
    kind: str
    split: str
    subjects: tuple[str, str]
    relation: str
    objects: tuple[str, str]
    fact_index: tuple[int, int]


def comparison_questions(
    batch: SyntheticBatch, rng: random.Random, *, split: str = "trained", max_questions: int | None = None
) -> list[ComparisonQuestion]:
    """Questions over pairs of subjects that share a relation, each fact used at most once.

    Args:
        batch: the facts; pairs come mostly from groups of subjects with the same properties.
        rng: source of randomness.
        split: "trained" or "heldout" frames.
        max_questions: stop after so many; None for all pairs.

    Raises:
        ValueError: for an unknown split.
    """
    if split not in COMPARISON_FRAMES:
        raise ValueError(f"unknown split {split!r}: expected trained or heldout")
    draw = Draw(rng.getrandbits(64))
    pairs = _pairs(batch, draw)[:max_questions]
    return [_question(batch, draw, pair=pair, split=split) for pair in pairs]


def _pairs(batch: SyntheticBatch, draw: Draw) -> list[tuple[int, int]]:
    """Pairs of facts with equal relations and different subjects, in random order."""
    by_relation = defaultdict(list)
    for i, relation in enumerate(batch.relations):
        by_relation[relation].append(i)
    pairs = []
    for facts in by_relation.values():
        pairs += zip(facts[::2], facts[1::2], strict=False)
    draw.shuffle(pairs)
    return pairs


def _question(batch: SyntheticBatch, draw: Draw, *, pair: tuple[int, int], split: str) -> ComparisonQuestion:
    first, second = pair if draw.random() < 0.5 else pair[::-1]
    a, b = (batch.subjects[batch.subject_index[i]] for i in (first, second))
    x, y = batch.objects[first], batch.objects[second]
    rival = _larger_or_smaller(draw, x) if batch.value_kinds[first] in _ORDERED_KINDS and draw.random() < 0.6 else None
    if rival is not None:
        y, kind = rival, "larger" if draw.random() < 0.6 else "smaller"
        answer = a if (number(x) > number(y)) == (kind == "larger") else b
    else:
        kind = "same" if draw.random() < 0.85 else "differ"
        if draw.random() < 0.5:
            y = x
        elif draw.random() < 0.4 or x == y:
            y = near_value(draw, x) if any(c in "0123456789" for c in x) else VALUE_KINDS["phrase"](draw)
        answer = "Yes" if (x == y) == (kind == "same") else "No"
    relation = batch.relations[first]
    frame = draw.pick(COMPARISON_FRAMES[split][kind])
    question = frame.replace("{relation}", relation).replace("{a}", a).replace("{b}", b)
    return ComparisonQuestion(question, answer, kind, split, (a, b), relation, (x, y), (first, second))


def number(value: str) -> float:
    """The number that a value starts with ("12,345.6 km").

    Raises:
        ValueError: if the value is not a number, or a number and a unit.
    """
    match = _NUMBER.fullmatch(value)
    if match is None:
        raise ValueError(f"not a number with or without a unit: {value!r}")
    return float(match.group(1).replace(",", ""))


def _larger_or_smaller(draw: Draw, value: str) -> str | None:
    """Another number in the unit of `value`, often near it; None if `value` is not a number and a unit."""
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    text, unit = match.groups()
    kind = "decimal" if "." in text else "grouped_integer" if "," in text else "small_integer"
    rival = (near_value(draw, text) if draw.random() < 0.4 else VALUE_KINDS[kind](draw)) + unit
    return rival if number(rival) != number(value) else None
