"""A counted set of 64-bit keys (words of subjects, cues of relations): what is known, and until when.

Letters: K keys in the set, Q keys asked for.
"""

import numpy as np


class KeyCounts:
    """Sorted distinct keys, each with the number of its holders and a weight that stays as first given.

    Attributes:
        keys: uint64 [K].
        counts: int64 [K], at least 1.
        weights: float32 [K].
    """

    def __init__(self) -> None:
        self.keys = np.zeros(0, np.uint64)
        self.counts = np.zeros(0, np.int64)
        self.weights = np.zeros(0, np.float32)

    def add(self, keys: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Count each of `keys` (uint64 [Q], repeats allowed) once more; new ones take their weight from `weights`."""
        unique, first, counts = np.unique(keys, return_index=True, return_counts=True)
        positions = self.find(unique)
        known = positions >= 0
        self.counts[positions[known]] += counts[known]
        if known.all():
            return
        new = ~known
        values = np.ones(int(new.sum()), np.float32) if weights is None else weights[first[new]].astype(np.float32)
        places = np.searchsorted(self.keys, unique[new])
        self.keys = np.insert(self.keys, places, unique[new])
        self.counts = np.insert(self.counts, places, counts[new])
        self.weights = np.insert(self.weights, places, values)

    def subtract(self, keys: np.ndarray) -> None:
        """Undo `add(keys)`: keys that nobody holds any more are forgotten."""
        unique, counts = np.unique(keys, return_counts=True)
        positions = self.find(unique)
        assert (positions >= 0).all(), "subtracting keys that were never added"
        self.counts[positions] -= counts
        gone = positions[self.counts[positions] <= 0]
        if len(gone):
            self.keys = np.delete(self.keys, gone)
            self.counts = np.delete(self.counts, gone)
            self.weights = np.delete(self.weights, gone)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int64 [Q]: position of each key, -1 where unknown."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        positions = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[positions] == keys, positions, -1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        return {"keys": self.keys, "counts": self.counts, "weights": self.weights}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "KeyCounts":
        """The set of `arrays()`, without a copy."""
        result = cls()
        result.keys, result.counts, result.weights = arrays["keys"], arrays["counts"], arrays["weights"]
        return result
