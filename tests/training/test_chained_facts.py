"""Questions over two facts in training: both in memory, the second one told as evidence, found as hops find them."""

import random

import numpy as np
import pytest

from widedeep_kb.memory.hopping import MOST_SECOND
from widedeep_kb.phrasings import two_hop_frames
from widedeep_kb.synthetic import generate, two_hop_questions
from widedeep_kb.training.chained_facts import MOST_OTHERS, chained_facts, hold_chains
from widedeep_kb.training.examples import UNCUED_WEIGHT, Candidates, Phraser


def test_questions_chain_facts_of_two_subjects() -> None:
    batch = generate(300, seed=2)
    asked = two_hop_questions(batch, random.Random(0))
    assert 100 < len(asked) <= 150
    assert len({name for one in asked for name in (one.subject, one.middle)}) == 2 * len(asked)
    for one in asked:
        first, second = one.fact_index
        assert batch.subjects[batch.subject_index[first]] == one.subject != one.middle
        assert batch.subjects[batch.subject_index[second]] == one.middle
        assert (batch.relations[first], batch.relations[second]) == (one.first, one.second)
        assert one.answer == (one.middle if one.is_single else batch.objects[second])
        assert one.subject in one.question and one.first in one.question
        assert one.middle not in one.question or one.middle in one.subject
    assert 0.05 < np.mean([one.is_single for one in asked]) < 0.3


def test_held_out_frames_are_apart_from_trained_ones() -> None:
    texts = {split: {frame.text for frame in two_hop_frames(split)} for split in ("trained", "heldout")}
    assert not texts["trained"] & texts["heldout"]
    for frame in (*two_hop_frames("trained"), *two_hop_frames("heldout")):
        assert frame.render("S", first="F", second="T").count("S") >= 1
        assert all(frame.text.count(f"{{{part}}}") == 1 for part in ("subject", "first", "second"))
        assert frame.is_completion == (frame.text[-1] not in ".?")
    with pytest.raises(ValueError, match="unknown split"):
        two_hop_frames("test")


def test_examples_rest_on_the_second_fact_or_on_the_first_alone() -> None:
    batch = generate(300, seed=3)
    chained = chained_facts(batch, Phraser(None), rng=random.Random(0), count=60)
    assert len(chained.examples) == len(chained.facts) == 60
    placed = chained.examples_at(1000)
    for i, (example, second, others) in enumerate(zip(placed, chained.seconds, chained.others, strict=True)):
        assert chained.facts.objects[i] == batch.subjects[batch.subject_index[second]]
        assert chained.facts.relations[i] == batch.relations[chained.replaced[i]]
        assert example.target in (second, 1000 + i)
        wanted = chained.facts.objects[i] if example.target == 1000 + i else batch.objects[second]
        assert example.answer == wanted
        assert second not in others
        assert {int(batch.subject_index[o]) for o in others} <= {int(batch.subject_index[second])}


def test_both_facts_and_some_others_are_held_with_weights_of_two_hops() -> None:
    batch = generate(300, seed=4)
    chained = chained_facts(batch, Phraser(None), rng=random.Random(0), count=100)
    width, first = 32, len(batch)
    rng = np.random.default_rng(0)
    facts = np.full((100, width), -1, np.int64)
    weights = np.zeros((100, width), np.float32)
    for i, old in enumerate(chained.replaced):
        facts[i, :3] = old, *rng.choice(len(batch), 2, replace=False)
        weights[i, :3] = (0.8, 0.5, 0.2) if i % 2 else (0.1, 0.1, 0.1)
    held = Candidates(facts.copy(), weights.copy())
    hold_chains(held, chained, firsts=range(first, first + 100), rng=rng)
    for i in range(100):
        row, own = held.facts[i], held.weights[i]
        live = row[row >= 0]
        assert row[:2].tolist() == [first + i, chained.seconds[i]]
        assert chained.replaced[i] not in live and len(live) == len(set(live.tolist()))
        others = np.isin(live, chained.others[i])
        assert others.sum() == min(MOST_OTHERS, len(chained.others[i]))
        assert (own[len(live) :] == 0).all() and (own[: len(live)] > 0).all()
        if i % 2:
            assert own[0] == np.float32(0.8) and 0.6 * 0.8 <= own[1] + 1e-6 <= 0.8 * 0.8 + 2e-6
            assert (own[: len(live)][others] < own[1]).all()
        else:
            np.testing.assert_allclose(own[: len(live)], 0.1, atol=1e-6)
    assert MOST_OTHERS + 1 <= MOST_SECOND


def test_an_empty_memory_holds_the_chain_and_a_small_one_is_refused() -> None:
    batch = generate(60, seed=5)
    chained = chained_facts(batch, Phraser(None), rng=random.Random(0), count=1)
    held = Candidates(np.full((1, 2), -1), np.zeros((1, 2), np.float32))
    hold_chains(held, chained, firsts=[500], rng=np.random.default_rng(0))
    assert held.facts.tolist() == [[500, chained.seconds[0]]]
    np.testing.assert_allclose(held.weights, UNCUED_WEIGHT)
    with pytest.raises(ValueError, match="not 1"):
        hold_chains(Candidates(held.facts[:, :1], held.weights[:, :1]), chained, firsts=[500], rng=None)
