"""A counted set of 64-bit keys (words of subjects, cues of relations): what is known, and until when.

Most keys are in a large sorted part that is changed in place; new ones go to a small one, which is merged into it when
it has grown, so that what a write costs does not follow from how many keys there are.

Letters: K keys in the set, Q keys asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_LEAST_MERGED = 4096


class _Part(NamedTuple):
    """Sorted distinct keys; those with count 0 are forgotten."""

    keys: np.ndarray  # uint64 [K]
    counts: np.ndarray  # int64 [K]
    weights: np.ndarray  # float32 [K]

    @classmethod
    def empty(cls) -> _Part:
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int64 [Q]: position of each key, -1 where it is absent (forgotten ones are found)."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        positions = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[positions] == keys, positions, -1)

    def merged(self, other: _Part) -> _Part:
        """Both parts' keys, which are disjoint, without the forgotten ones."""
        keys, counts, weights = map(np.concatenate, zip(self, other, strict=True))
        live = np.flatnonzero(counts)
        order = live[np.argsort(keys[live], kind="stable")]
        return _Part(keys[order], counts[order], weights[order])


class KeyCounts:
    """Distinct keys, each with the number of its holders and a weight that stays as first given."""

    def __init__(self) -> None:
        self._base, self._recent = _Part.empty(), _Part.empty()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for part in (self._base, self._recent) for array in part)

    def add(self, keys: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Count each of `keys` (uint64 [Q], repeats allowed) once more; new ones take their weight from `weights`."""
        unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
        values = np.ones(len(unique), np.float32) if weights is None else weights[first].astype(np.float32)
        is_absent = np.ones(len(unique), bool)
        for part in (self._base, self._recent):
            positions = part.find(unique)
            present = np.flatnonzero(positions >= 0)
            positions = positions[present]
            is_back = part.counts[positions] == 0
            part.weights[positions[is_back]] = values[present[is_back]]
            part.counts[positions] += counts[present]
            is_absent[present] = False
        if is_absent.any():
            new = _Part(unique[is_absent], counts[is_absent].astype(np.int64), values[is_absent])
            self._recent = self._recent.merged(new)
            if len(self._recent.keys) > max(_LEAST_MERGED, len(self._base.keys) // 8):
                self._merge()

    def subtract(self, keys: np.ndarray) -> None:
        """Undo `add(keys)`: keys that nobody holds any more are unknown."""
        unique, counts = np.unique(keys, return_counts=True)
        num_found = 0
        for part in (self._base, self._recent):
            positions = part.find(unique)
            present = positions >= 0
            part.counts[positions[present]] -= counts[present]
            assert (part.counts[positions[present]] >= 0).all(), "subtracting keys more often than they were added"
            num_found += int(np.count_nonzero(present))
        assert num_found == len(unique), "subtracting keys that were never added"

    def is_known(self, keys: np.ndarray) -> np.ndarray:
        """bool [Q]: somebody holds the key."""
        result = np.zeros(len(keys), bool)
        for _, places, _ in self._live(keys):
            result[places] = True
        return result

    def weights_of(self, keys: np.ndarray) -> np.ndarray:
        """float32 [Q]: weight of each key, 0 where nobody holds it."""
        result = np.zeros(len(keys), np.float32)
        for part, places, positions in self._live(keys):
            result[places] = part.weights[positions]
        return result

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file: keys uint64 [K], counts int64 [K], weights float32 [K]; forgotten keys are out."""
        self._merge()
        return self._base._asdict()

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> KeyCounts:
        """The set of `arrays()`, without a copy."""
        result = cls()
        result._base = _Part(arrays["keys"], arrays["counts"], arrays["weights"])
        return result

    def _live(self, keys: np.ndarray) -> Iterator[tuple[_Part, np.ndarray, np.ndarray]]:
        """The parts, and in each the keys that somebody holds: their places in `keys` and in the part."""
        for part in (self._base, self._recent):
            positions = part.find(keys)
            places = np.flatnonzero(positions >= 0)
            places = places[part.counts[positions[places]] > 0]
            yield part, places, positions[places]

    def _merge(self) -> None:
        if len(self._recent.keys) or not self._base.counts.all():
            self._base, self._recent = self._base.merged(self._recent), _Part.empty()
