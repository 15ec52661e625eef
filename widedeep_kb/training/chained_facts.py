"""Training questions over two facts, the object of the first being the subject of the second, and their memory.

In: a `SyntheticBatch`. Out: `Example`s, the first fact of each as a `FactTable`, and `Candidates` as two hops of the
index bring them (see `memory.hopping`): the subject's facts, and those of the first fact's object.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from widedeep_kb.schema import default_statement
from widedeep_kb.synthetic import SyntheticBatch, two_hop_questions
from widedeep_kb.training.examples import UNCUED_WEIGHT, Candidates, Example, Phraser
from widedeep_kb.training.fact_table import FactTable

MOST_OTHERS = 12  # further facts of the object in memory
_SECOND, _OTHER = (0.6, 0.8), (0.2, 0.4)  # weights of facts of the object, as shares of the first fact's


class Chained(NamedTuple):
    """K questions and their first facts, made for them.

    Attributes:
        examples: K; the target is a fact of the batch, or -1 for the first fact (see `examples_at`).
        facts: K first facts.
        replaced: K facts of the batch whose value the first facts take the place of.
        seconds: K facts of the batch that are asked for, or would be.
        others: K arrays of the batch's other facts of the same objects.
    """

    examples: list[Example]
    facts: FactTable
    replaced: list[int]
    seconds: list[int]
    others: list[np.ndarray]

    def examples_at(self, first: int) -> list[Example]:
        """The examples in a table that holds the first facts from place `first` on."""
        return [e if e.target >= 0 else replace(e, target=first + i) for i, e in enumerate(self.examples)]


def chained_facts(batch: SyntheticBatch, phraser: Phraser, *, rng: random.Random, count: int) -> Chained:
    """At most `count` questions over two facts of a batch; the answer's fact is the target, and the evidence."""
    examples, subjects, relations, objects, replaced, seconds, others = [], [], [], [], [], [], []
    for asked in two_hop_questions(batch, rng, max_questions=count):
        one, other = asked.fact_index
        prompt, is_chat = phraser.prompt(asked.question, rng, is_completion=asked.is_completion)
        target = -1 if asked.is_single else other
        examples.append(Example(prompt, asked.question, asked.answer, target, is_chat, "two_hops"))
        subjects.append(asked.subject)
        relations.append(asked.first)
        objects.append(asked.middle)
        replaced.append(one)
        seconds.append(other)
        own = np.arange(*batch.offsets[batch.subject_index[other] + np.arange(2)])
        others.append(own[own != other])
    prefixes = [default_statement(s, r) for s, r in zip(subjects, relations, strict=True)]
    table = FactTable("two_hops", subjects, relations, objects, prefixes, np.arange(len(subjects), dtype=np.int64))
    return Chained(examples, table, replaced, seconds, others)


def hold_chains(candidates: Candidates, chained: Chained, *, firsts: Sequence[int], rng: np.random.Generator) -> None:
    """Put both facts of each chain first in its question's memory, in place, and the object's other facts last.

    Where the weights of a question say nothing, those of its chain say nothing either.

    Args:
        candidates: of K questions, [K, C] with C of at least 2, by the subject alone; changed.
        chained: the questions.
        firsts: K first facts, as the candidates count them.
        rng: source of randomness.

    Raises:
        ValueError: if there is no room for two facts.
    """
    size = candidates.facts.shape[1]
    if size < 2:
        raise ValueError(f"num_candidates must be at least 2 to chain facts, not {size}")
    chains = zip(firsts, chained.seconds, chained.replaced, chained.others, strict=True)
    for row, weights, (first, second, old, rest) in zip(*candidates, chains, strict=True):
        is_own = (row >= 0) & ~np.isin(row, (old, second, *rest))
        own, own_weights = row[is_own], weights[is_own]
        rest = rng.permutation(rest)[:MOST_OTHERS]
        highest = weights.max() if weights.max() > 0 else UNCUED_WEIGHT
        is_alike = highest <= UNCUED_WEIGHT or np.ptp(weights[row >= 0]) == 0
        shares = np.ones(1 + len(rest)) if is_alike else rng.uniform(*zip(_SECOND, *[_OTHER] * len(rest), strict=True))
        facts = np.concatenate([[first, second], own, rest])[:size]
        held = np.concatenate([[highest, highest * shares[0]], own_weights, highest * shares[1:]])[:size]
        row[:], weights[:] = -1, 0.0
        row[: len(facts)], weights[: len(facts)] = facts, held
