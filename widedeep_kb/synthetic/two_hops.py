"""Questions over two facts of a batch: the first fact's value is the name of another subject, whose fact is asked for.

In: a `SyntheticBatch`. Out: questions with their chains. Some ask for the first fact alone, though the second is there.
"""

import random
from collections import Counter
from dataclasses import dataclass

from widedeep_kb.phrasings import frames, two_hop_frames
from widedeep_kb.synthetic.generator import SyntheticBatch

SINGLE_SHARE = 0.15
"""Of the questions, those for the first fact alone: that there is a second one must not mislead."""


@dataclass(frozen=True, slots=True)
class TwoHopQuestion:
    """A question over (subject, first, middle) and (middle, second, answer), or over the first fact alone.

    `fact_index` names the batch's fact whose value `middle` takes the place of, and its fact about `middle`.
    `is_completion` says that the question is a statement to complete, `is_single` that it asks for the first fact.
    """

    question: str
    answer: str
    subject: str
    first: str
    middle: str
    second: str
    fact_index: tuple[int, int]
    is_completion: bool
    is_single: bool


def two_hop_questions(
    batch: SyntheticBatch, rng: random.Random, *, split: str = "trained", max_questions: int | None = None
) -> list[TwoHopQuestion]:
    """Questions over pairs of subjects, each subject at most once; namesakes are left out.

    Args:
        batch: the facts.
        rng: source of randomness.
        split: "trained" or "heldout" frames.
        max_questions: stop after so many; None for all pairs.

    Raises:
        ValueError: for an unknown split.
    """
    counts = Counter(map(str.casefold, batch.subjects))
    usable = [
        s
        for s, name in enumerate(batch.subjects)
        if counts[name.casefold()] == 1 and batch.offsets[s + 1] > batch.offsets[s]
    ]
    rng.shuffle(usable)
    pairs = list(zip(usable[::2], usable[1::2], strict=False))[:max_questions]
    return [_question(batch, rng, subject=subject, middle=middle, split=split) for subject, middle in pairs]


def _question(batch: SyntheticBatch, rng: random.Random, *, subject: int, middle: int, split: str) -> TwoHopQuestion:
    one, other = (int(rng.randrange(batch.offsets[s], batch.offsets[s + 1])) for s in (subject, middle))
    name, first, second = batch.subjects[subject], batch.relations[one], batch.relations[other]
    is_single = rng.random() < SINGLE_SHARE
    if is_single:
        frame = rng.choice(frames(split))
        text = frame.render(name, first)
    else:
        frame = rng.choice(two_hop_frames(split))
        text = frame.render(name, first=first, second=second)
    return TwoHopQuestion(
        question=text,
        answer=batch.subjects[middle] if is_single else batch.objects[other],
        subject=name,
        first=first,
        middle=batch.subjects[middle],
        second=second,
        fact_index=(one, other),
        is_completion=frame.is_completion,
        is_single=is_single,
    )
