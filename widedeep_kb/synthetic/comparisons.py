"""Questions that compare two subjects of a batch: have they the same value, and which value is larger?

In: a `SyntheticBatch`. Out: questions with the two facts they rest on. A looked-up value alone answers none of them.
"""

import random
from collections import defaultdict
from dataclasses import dataclass

from widedeep_kb.synthetic.comparison_frames import (
    ADJECTIVE_FRAMES,
    ADJECTIVE_YES_NO_FRAMES,
    ADJECTIVES,
    COMPARISON_FRAMES,
    END_MARKS,
    YES_NO_KINDS,
)
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.generator import SyntheticBatch, near_value
from widedeep_kb.synthetic.ordered_values import NUMBER, ORDER_OF_KIND, is_larger
from widedeep_kb.synthetic.values import VALUE_KINDS

ORDERED_SHARE = 0.55  # of the questions, while there are pairs of facts whose values have an order
_UP_AND_DOWN = (("larger", "smaller"), ("above", "below"), ("later", "earlier"), ("longer", "shorter"))
# Pairs of kinds for each order of values; some several times, so that they come up as often.
_PAIRS_OF_ORDER = {
    "number": (0, 0, 0, 1),
    "money": (0, 0, 0, 1),
    "duration": (0, 1, 3, 3),
    "date": (2,),
}


@dataclass(frozen=True, slots=True)
class ComparisonQuestion:
    """A question over two facts (subjects[k], relation, objects[k]).

    `kind` is one of the kinds of `COMPARISON_FRAMES`; `answer` is "Yes", "No" or one of the subjects. The second object
    may differ from the batch's: it is made equal, or nearly equal, in many questions. `is_completion` says that the
    question is a statement to complete.
    """

    question: str
    answer: str
    kind: str
    split: str
    subjects: tuple[str, str]
    relation: str
    objects: tuple[str, str]
    fact_index: tuple[int, int]
    is_completion: bool


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
    """Pairs of facts with equal relations and different subjects, in random order; those with an order come early."""
    by_relation = defaultdict(list)
    for i, relation in enumerate(batch.relations):
        by_relation[relation].append(i)
    pairs = []
    for facts in by_relation.values():
        pairs += zip(facts[::2], facts[1::2], strict=False)
    draw.shuffle(pairs)
    ordered = [pair for pair in pairs if batch.value_kinds[pair[0]] in ORDER_OF_KIND]
    others = [pair for pair in pairs if batch.value_kinds[pair[0]] not in ORDER_OF_KIND]
    mixed = []
    while ordered and others:
        mixed.append((ordered if draw.random() < ORDERED_SHARE else others).pop())
    return mixed + ordered + others


def _question(batch: SyntheticBatch, draw: Draw, *, pair: tuple[int, int], split: str) -> ComparisonQuestion:
    first, second = pair if draw.random() < 0.5 else pair[::-1]
    a, b = (batch.subjects[batch.subject_index[i]] for i in (first, second))
    x, y, relation = batch.objects[first], batch.objects[second], batch.relations[first]
    value_kind = batch.value_kinds[first]
    order = ORDER_OF_KIND.get(value_kind) if draw.random() < 0.9 else None
    kinds = [_UP_AND_DOWN[i] for i in _PAIRS_OF_ORDER.get(order, ()) if _UP_AND_DOWN[i][0] in COMPARISON_FRAMES[split]]
    rival = _rival(draw, x, y, value_kind=value_kind, order=order) if kinds else None
    frames: tuple[str, ...] = ()
    if rival is not None:
        y, is_up = rival, draw.random() < 0.5
        kind = draw.pick(kinds)[0 if is_up else 1]
        adjectives = ADJECTIVES.get(batch.common[first] or "") if split == "trained" and draw.random() < 0.5 else None
        if adjectives is not None:
            frames = ADJECTIVE_YES_NO_FRAMES if kind in YES_NO_KINDS else ADJECTIVE_FRAMES
            frames = tuple(frame.replace("{more}", adjectives[0 if is_up else 1]) for frame in frames)
        a_wins = is_larger(x, y, order=order) == is_up
        answer = ("Yes" if a_wins else "No") if kind in YES_NO_KINDS else (a if a_wins else b)
    else:
        kind = "same" if draw.random() < 0.75 else "differ"
        y = _equal_or_not(draw, x, y)
        answer = "Yes" if (x == y) == (kind == "same") else "No"
    frame = draw.pick(frames or COMPARISON_FRAMES[split][kind])
    is_completion = not frame.endswith(END_MARKS)
    if split == "trained" and not is_completion and draw.random() < 0.15:
        frame = (frame[0].lower() + frame[1:]).removesuffix("?")
    question = frame.replace("{relation}", relation).replace("{a}", a).replace("{b}", b)
    return ComparisonQuestion(question, answer, kind, split, (a, b), relation, (x, y), (first, second), is_completion)


def _equal_or_not(draw: Draw, value: str, other: str) -> str:
    """In half of the draws `value` itself, else `other` or one that is near to `value`."""
    if draw.random() < 0.5:
        return value
    if draw.random() < 0.4 or value == other:
        return near_value(draw, value) if any(c in "0123456789" for c in value) else VALUE_KINDS["phrase"](draw)
    return other


def _rival(draw: Draw, value: str, other: str, *, value_kind: str, order: str | None) -> str | None:
    """A value with a certain order to `value`: `other`, one near it or a fresh one; None if none was found."""
    if order is None:
        return None
    drawn = [other] if draw.random() < 0.4 else []
    match = NUMBER.fullmatch(value) if order == "number" else None
    if match is None:
        drawn += [VALUE_KINDS[value_kind](draw) for _ in range(8)]
    else:
        text, unit = match.groups()
        kind = "decimal" if "." in text else "grouped_integer" if "," in text else "small_integer"
        drawn += [(near_value(draw, text) if draw.random() < 0.3 else VALUE_KINDS[kind](draw)) + unit, other]
    return next((rival for rival in drawn if is_larger(value, rival, order=order) is not None), None)
