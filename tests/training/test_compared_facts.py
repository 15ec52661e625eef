"""Questions that compare two facts in training: both in memory, both told as evidence, found as in use."""

import random

import numpy as np
import pytest

from widedeep_kb.synthetic import generate
from widedeep_kb.training.compared_facts import MAX_LESS, compared_facts, hold_pairs
from widedeep_kb.training.examples import UNCUED_WEIGHT, Candidates, Phraser


def test_examples_rest_on_their_two_facts() -> None:
    batch = generate(200, seed=1)
    examples, facts, replaced = compared_facts(batch, Phraser(None), rng=random.Random(0), count=50)
    assert len(examples) == len(replaced) == 50 and len(facts) == 100
    for example, (old, _) in zip(examples, replaced, strict=True):
        one, other = example.target, example.second
        assert other == one + 1 and facts.relations[one] == facts.relations[other] == batch.relations[old]
        assert facts.subjects[one] == batch.subjects[batch.subject_index[old]]
        assert facts.objects[one] == batch.objects[old]
        assert example.answer in ("Yes", "No", facts.subjects[one], facts.subjects[other])
        if example.answer in ("Yes", "No") and facts.objects[one] == facts.objects[other]:
            assert facts.subjects[one] in example.text and facts.subjects[other] in example.text


def test_pairs_replace_their_facts_with_weights_as_in_use() -> None:
    count, width = 400, 5
    facts = np.tile(np.array([[3, 7, 4, 9, -1]]), (count, 1))
    weights = np.tile(np.array([[0.8, 0.8, 0.5, 0.2, 0.0]], dtype=np.float32), (count, 1))
    pairs = [(100 + 2 * i, 101 + 2 * i) for i in range(count)]
    held = Candidates(facts, weights)
    hold_pairs(held, pairs, replaced=[(3, 9)] * count, rng=np.random.default_rng(0))
    assert held.facts.shape == (count, width)
    assert held.facts[:, :2].tolist() == [list(pair) for pair in pairs]
    assert held.facts[:, 2:].tolist() == [[7, 4, -1]] * count
    np.testing.assert_allclose(held.weights[:, 2:], np.tile([[0.8, 0.5, 0.0]], (count, 1)), atol=1e-6)
    np.testing.assert_allclose(held.weights[:, :2].max(axis=1), 0.8, atol=1e-6)
    less = np.ptp(held.weights[:, :2], axis=1)
    assert 0.4 < (less > 0).mean() < 0.6 and less.max() <= MAX_LESS + 1e-6


def test_pairs_are_even_where_weights_tell_nothing_and_fill_a_full_or_empty_memory() -> None:
    facts = np.array([[5, 6, 7], [-1, -1, -1]])
    weights = np.array([[0.1, 0.1, 0.1], [0, 0, 0]], dtype=np.float32)
    held = Candidates(facts, weights)
    hold_pairs(held, [(10, 11), (12, 13)], replaced=[(1, 2), (3, 4)], rng=np.random.default_rng(0))
    assert held.facts.tolist() == [[10, 11, 5], [12, 13, -1]]
    np.testing.assert_allclose(held.weights, [[0.1, 0.1, 0.1], [UNCUED_WEIGHT, UNCUED_WEIGHT, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="not 1"):
        hold_pairs(Candidates(facts[:, :1], weights[:, :1]), [(1, 2)] * 2, replaced=[(1, 2)] * 2, rng=None)
