"""Training questions that compare two facts, and the memory they are asked with.

In: a `SyntheticBatch`. Out: `Example`s, the two facts of each as a `FactTable`, and `Candidates` that hold both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from widedeep_kb.schema import default_statement
from widedeep_kb.synthetic import SyntheticBatch, comparison_questions
from widedeep_kb.training.examples import UNCUED_WEIGHT, Candidates, Example, Phraser
from widedeep_kb.training.fact_table import FactTable

UNEVEN_SHARE = 0.5  # of the questions, one fact is found with less weight than the other, as among real facts
MAX_LESS = 0.2


class Compared(NamedTuple):
    """K questions, their 2K facts (two a question, one behind the other), and the two batch facts each pair replaces.

    The values are made for the question, so the pair takes the place of the facts of the batch it was made from. The
    targets of the examples count from the first fact of `facts`.
    """

    examples: list[Example]
    facts: FactTable
    replaced: list[tuple[int, int]]


def compared_facts(batch: SyntheticBatch, phraser: Phraser, *, rng: random.Random, count: int) -> Compared:
    """At most `count` questions that compare two facts of a batch."""
    examples, subjects, relations, objects, replaced = [], [], [], [], []
    for i, asked in enumerate(comparison_questions(batch, rng, max_questions=count)):
        prompt, is_chat = phraser.prompt(asked.question, rng, is_completion=asked.is_completion)
        examples.append(Example(prompt, asked.question, asked.answer, 2 * i, is_chat, "comparison", second=2 * i + 1))
        subjects += asked.subjects
        relations += [asked.relation, asked.relation]
        objects += asked.objects
        replaced.append(asked.fact_index)
    prefixes = [default_statement(s, r) for s, r in zip(subjects, relations, strict=True)]
    table = FactTable("comparison", subjects, relations, objects, prefixes, np.arange(len(subjects), dtype=np.int64))
    return Compared(examples, table, replaced)


def hold_pairs(
    candidates: Candidates,
    pairs: Sequence[tuple[int, int]],
    *,
    replaced: Sequence[tuple[int, int]],
    rng: np.random.Generator,
) -> None:
    """Put a pair of facts first in the memory of each question, in place; the facts that it replaces go.

    Both are found as the best fact is; in `UNEVEN_SHARE` of the questions whose weights tell facts apart, one of them
    with up to `MAX_LESS` less.

    Args:
        candidates: of K questions, [K, C] with C of at least 2; changed.
        pairs, replaced: K pairs of facts.
        rng: source of randomness.

    Raises:
        ValueError: if there is no room for two facts.
    """
    if candidates.facts.shape[1] < 2:
        raise ValueError(f"num_candidates must be at least 2 to compare facts, not {candidates.facts.shape[1]}")
    for row, weights, pair, old in zip(candidates.facts, candidates.weights, pairs, replaced, strict=True):
        is_other = (row >= 0) & ~np.isin(row, old)
        others, other_weights = row[is_other][: len(row) - 2], weights[is_other][: len(row) - 2]
        highest = weights.max() if weights.max() > 0 else UNCUED_WEIGHT
        pair_weights = np.full(2, highest)
        if highest > UNCUED_WEIGHT and rng.random() < UNEVEN_SHARE and np.ptp(weights[row >= 0]) > 0:
            pair_weights[rng.integers(2)] = max(UNCUED_WEIGHT, highest - rng.uniform(0, MAX_LESS))
        row[:], weights[:] = -1, 0.0
        row[: 2 + len(others)] = [*pair, *others]
        weights[: 2 + len(others)] = [*pair_weights, *other_weights]
