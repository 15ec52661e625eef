"""Counted keys and growing arrays agree with a dictionary and a list over random changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep_kb.memory import key_counts
from widedeep_kb.memory.growing import Growing
from widedeep_kb.memory.key_counts import KeyCounts


@pytest.mark.parametrize("least", [key_counts._LEAST_MERGED, 2])
def test_counts_and_weights_agree_with_a_dictionary(monkeypatch: pytest.MonkeyPatch, least: int) -> None:
    monkeypatch.setattr(key_counts, "_LEAST_MERGED", least)
    rng = np.random.default_rng(0)
    found, expected = KeyCounts(), dict[int, tuple[int, float]]()
    for step in range(300):
        keys = rng.integers(0, 40, size=rng.integers(1, 9)).astype(np.uint64)
        if step % 3 < 2:
            weights = rng.random(len(keys)).astype(np.float32)
            found.add(keys, weights)
            first = {key: float(weight) for key, weight in zip(keys[::-1].tolist(), weights[::-1], strict=True)}
            for key in keys.tolist():
                count, weight = expected.get(key, (0, first[key]))
                expected[key] = (count + 1, weight)
        else:
            holders = [key for key, (count, _) in expected.items() for _ in range(count)]
            gone = rng.permutation(holders)[: len(keys) * 3].astype(np.uint64)
            found.subtract(gone)
            for key in gone.tolist():
                count, weight = expected[key]
                expected[key] = (count - 1, weight)
            expected = {key: value for key, value in expected.items() if value[0]}
        asked = np.arange(42, dtype=np.uint64)
        assert found.is_known(asked).tolist() == [key in expected for key in range(42)]
        assert found.weights_of(asked).tolist() == [expected.get(key, (0, 0.0))[1] for key in range(42)]
        if step % 50 == 49:
            arrays = found.arrays()
            assert arrays["keys"].tolist() == sorted(expected)
            assert arrays["counts"].tolist() == [expected[key][0] for key in sorted(expected)]
            found = KeyCounts.from_arrays(arrays)


def test_keys_that_were_never_added_cannot_be_subtracted() -> None:
    counts = KeyCounts()
    counts.add(np.array([1, 2], np.uint64))
    with pytest.raises(AssertionError, match="never added"):
        counts.subtract(np.array([3], np.uint64))
    with pytest.raises(AssertionError, match="more often"):
        counts.subtract(np.array([1, 1], np.uint64))


@given(st.lists(st.lists(st.integers(0, 99), max_size=2000), max_size=6))
def test_a_growing_array_is_all_that_was_appended(parts: list[list[int]]) -> None:
    array = Growing(np.zeros((0, 2), np.int64))
    for part in parts:
        rows = np.array(part, np.int64)[:, None].repeat(2, axis=1)
        array.append(rows)
        rows += 1  # what was given is not kept
    flat = [value for part in parts for value in part]
    assert array.array[:, 0].tolist() == flat and len(array) == len(flat)
    assert array.nbytes >= array.array.nbytes
    array.array[:] = 7
    assert (array.array == 7).all()
