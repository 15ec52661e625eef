"""Vectors of spellings, and typing errors counted, against slow references."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep_kb.keys import hash_words
from widedeep_kb.memory.spelling import count_errors, plain_words, spelling_vectors
from widedeep_kb.word_statistics import content_weight

texts = st.text("abcde ", max_size=9)


def slow_errors(one: str, other: str) -> int:
    """Optimal string alignment as its recursive definition."""

    @functools.cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        best = min(
            distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        )
        if i > 1 and j > 1 and one[i - 2 : i] == other[j - 2 : j][::-1]:
            best = min(best, distance(i - 2, j - 2) + 1)
        return best

    return distance(len(one), len(other))


@given(texts, texts, st.integers(0, 10))
def test_errors_are_counted_up_to_a_limit(one: str, other: str, most: int) -> None:
    assert count_errors(one, other, most=most) == min(slow_errors(one, other), most + 1)


@given(st.lists(st.lists(st.text("abcxyzé-", min_size=1, max_size=8), max_size=4), max_size=6))
def test_vectors_are_the_weighted_sums_of_letter_runs(names: list[list[str]]) -> None:
    expected = np.zeros((len(names), 64))
    for i, name in enumerate(names):
        for word in name:
            for size in (2, 3):
                for start in range(len(word) + 3 - size):
                    ((key, check),) = hash_words([f"<{word}>"[start : start + size]]).tolist()
                    expected[i, key % 64] += content_weight(word) * (1 if check & 1 else -1)
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    found = spelling_vectors(names, dim=64)
    assert found.shape == (len(names), 64) and found.dtype == np.float32
    np.testing.assert_allclose(found * lengths, expected, atol=1e-4)


def test_marks_are_taken_off_and_a_typing_error_stays_near() -> None:
    assert plain_words("  São-Tomé, ÅRE! ") == ["sao-tome", "are"]
    asked, right, wrong = spelling_vectors([["guernswy"], ["guernsey"], ["germany"]])
    assert asked @ right > 0.5 > asked @ wrong


@pytest.mark.parametrize(("one", "other", "errors"), [("hasbruhc", "hasbruch", 1), ("ab", "ba", 1), ("abc", "", 3)])
def test_known_distances(one: str, other: str, errors: int) -> None:
    assert count_errors(one, other, most=9) == errors
