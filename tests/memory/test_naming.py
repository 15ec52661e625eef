"""How a question names a relation: shares of stems met, likeness of words, what stands beside."""

from __future__ import annotations

import numpy as np
import pytest

from widedeep_kb.memory.naming import Naming, name_relations
from widedeep_kb.word_statistics import content_weight

VECTORS = {"boiling": [1.0, 0.0], "melting": [0.8, 0.6], "point": [0.0, 1.0]}


def vectors(found: list[str]) -> np.ndarray:
    """Unit vectors of three words; other words are at right angles to nothing and like nothing."""
    return np.array([VECTORS.get(word, [0.0, 0.0]) for word in found], dtype=np.float32)


def one(question: str, subject: str, relation: str) -> Naming:
    """The naming of one question."""
    (found,) = name_relations([question], [subject], [relation], word_vectors=vectors)
    return found


def test_a_relation_named_in_full_is_named_and_alike() -> None:
    found = one("What is the boiling point of Neon?", "Neon", "boiling point")
    assert found.named == pytest.approx(1.0)
    assert found.likeness == pytest.approx(1.0)
    assert found.beside == 0.0


def test_a_relation_named_by_half_says_so_and_what_stands_beside() -> None:
    found = one("the boiling point of Neon", "Neon", "melting point")
    melting, point = content_weight("melting"), content_weight("point")
    assert found.named == pytest.approx(point / (melting + point))
    assert found.likeness == pytest.approx((0.8 * melting + point) / (melting + point))
    assert found.beside == pytest.approx(content_weight("boiling"))


def test_stems_meet_and_words_of_the_name_do_not_count() -> None:
    assert one("which populations has Lisbon", "Lisbon", "population").named == pytest.approx(1.0)
    assert one("Point Reyes?", "Point Reyes", "point").named == 0.0


def test_nothing_asked_and_nothing_to_compare() -> None:
    assert name_relations([], [], [], word_vectors=vectors) == []
    assert one("Neon", "Neon", "boiling point") == Naming(0.0, 0.0, 0.0)


def test_many_questions_are_named_as_each_alone() -> None:
    cases = [
        ("boiling point of Neon", "Neon", "melting point"),
        ("who made Hamlet", "Hamlet", "author"),
        ("?", "a", "b"),
    ]
    together = name_relations(*map(list, zip(*cases, strict=True)), word_vectors=vectors)
    assert together == [one(*case) for case in cases]
