"""The table of the exact index, uint64 keys -> uint64 words by open addressing, and its operations in numpy.

A table is uint64 [B, 8]: a bucket is one cache line of 64 bytes, 4 keys and then their 4 words (a GPU reads the keys of
a bucket as one sector of 32 bytes). A key lies in its home bucket or, where that is full, in the next one with room,
cyclically. A place whose word is 0 holds no key: one that never held any has the key 0 too and ends every search; the
place of a deleted key has the key `DELETED` and may be used again. Places fill from the left, so that the last place of
a bucket tells whether it has an empty one.

A word is the upper half of the key's check, then its *reference*, 32 bits, never 0: the key's only ordinal plus 1, or,
with the top bit (`POOLED`), the place of its row in a pool (int64 [P]) that holds each row's length and then its
ordinals. The pool begins with an empty row.

`bucket_numba` has the same operations compiled. Letters: B buckets, Q keys of a call, P places of the pool.
"""

from typing import NamedTuple

import numpy as np

from widedeep_kb.keys import ranges

WIDTH = 4
MULTIPLIER = 0x1E3779B97F4A7C15
"""Odd, below 2^63: spreads keys that are no hashes, such as small numbers, over the buckets."""
DELETED = 1
POOLED = 1 << 31
MAX_INLINE = POOLED - 2
"""The largest ordinal that a word holds itself."""
MAX_LOAD = 0.875
"""Share of the places, those of deleted keys included, above which no operation may bring a table."""
_LOW, _HALF, _POOLED = np.uint64((1 << 32) - 1), np.uint64(32), np.uint64(POOLED)
_PART = 1 << 16  # keys at a time, so that temporaries stay in the cache
_LINE = 64


class Jagged(NamedTuple):
    """Rows of different lengths: row i is values[offsets[i]:offsets[i + 1]].

    Attributes:
        offsets: int64 [Q + 1].
        values: int64 [V], ascending within a row.
    """

    offsets: np.ndarray
    values: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """int64 [Q]."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> np.ndarray:
        """int64 [V]: the row of each value."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


def empty_table(num_buckets: int) -> np.ndarray:
    """A table without keys, its buckets aligned to cache lines."""
    places = np.zeros((num_buckets + 1) * 2 * WIDTH, np.uint64)
    first = -places.ctypes.data % _LINE // places.itemsize
    return places[first : first + num_buckets * 2 * WIDTH].reshape(num_buckets, 2 * WIDTH)


def home(keys: np.ndarray, num_buckets: int) -> np.ndarray:
    """int64 [Q]: the bucket where the search for each key begins."""
    upper = (keys * np.uint64(MULTIPLIER)) >> _HALF
    return ((upper * np.uint64(num_buckets)) >> _HALF).astype(np.int64)


def find_words(table: np.ndarray, keys: np.ndarray, checks: np.ndarray | None = None) -> np.ndarray:
    """uint64 [Q]: the word of each key, 0 where it is absent or has another check than `checks` (uint64 [Q])."""
    words = np.zeros(len(keys), np.uint64)
    for first in range(0, len(keys), _PART):
        part = slice(first, first + _PART)
        places = _places(table, keys[part])
        hit = np.flatnonzero(places >= 0)
        words[first + hit] = table.reshape(-1)[places[hit] + WIDTH]
    if checks is not None:
        words[(words ^ checks) >> _HALF != 0] = 0
    return words


def find_rows(table: np.ndarray, pool: np.ndarray, keys: np.ndarray, checks: np.ndarray | None = None) -> Jagged:
    """The ordinals of each key, as of `find_words`."""
    return rows_of(find_words(table, keys, checks), pool)


def rows_of(words: np.ndarray, pool: np.ndarray) -> Jagged:
    """The ordinals behind words (uint64 [Q]), none behind 0."""
    references = (words & _LOW).astype(np.int64)
    is_pooled = references >= POOLED
    places = references - POOLED
    lengths = (references > 0).astype(np.int64)
    lengths[is_pooled] = pool[places[is_pooled]]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.repeat(references - 1, lengths)
    pooled = np.flatnonzero(is_pooled)
    values[ranges(offsets[pooled], lengths[pooled])] = pool[ranges(places[pooled] + 1, lengths[pooled])]
    return Jagged(offsets, values)


def claim(table: np.ndarray, keys: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, int]:
    """Give each absent key its word, in order: of equal keys the first gets it.

    Args:
        table: with room for all keys.
        keys, words: uint64 [Q], no word 0.

    Returns:
        uint64 [Q], the word that was there before, 0 for the keys added; and how many empty places were filled.
    """
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    absent = first[find_words(table, unique) == 0]
    num_filled = _place(table, keys[absent], words[absent])
    stored = find_words(table, unique)[inverse]
    stored[absent] = 0
    return stored, num_filled


def replace(table: np.ndarray, keys: np.ndarray, words: np.ndarray) -> int:
    """Set the words (uint64 [Q]) of those keys that are present; a word of 0 deletes its key.

    A repeated key must have equal words. Returns how many keys were present, each counted once if it is deleted.
    """
    places = _places(table, keys)
    places, words = places[places >= 0], words[places >= 0]
    flat = table.reshape(-1)
    flat[places + WIDTH] = words
    gone = np.unique(places[words == 0])
    flat[gone] = DELETED
    return len(gone) + int(np.count_nonzero(words))


def move(table: np.ndarray, new: np.ndarray) -> None:
    """Copy all keys and words into `new`, a table without keys that has room for them."""
    for first in range(0, len(table), _PART):
        part = table[first : first + _PART]
        is_live = part[:, WIDTH:] != 0
        _place(new, part[:, :WIDTH][is_live], part[:, WIDTH:][is_live])


def _places(table: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """int64 [Q]: where in the flat table each key is, -1 where absent."""
    result = np.full(len(keys), -1, np.int64)
    active, buckets = np.arange(len(keys)), home(keys, len(table))
    while len(active):
        lines = table[buckets]
        rows, columns = np.nonzero((lines[:, :WIDTH] == keys[active, None]) & (lines[:, WIDTH:] != 0))
        result[active[rows]] = buckets[rows] * 2 * WIDTH + columns
        is_last = (lines[:, WIDTH - 1] | lines[:, -1]) == 0
        is_last[rows] = True
        active, buckets = active[~is_last], (buckets[~is_last] + 1) % len(table)
    return result


def _place(table: np.ndarray, keys: np.ndarray, words: np.ndarray) -> int:
    """Add keys that are absent, each once; returns how many empty places were filled."""
    num_filled = 0
    pending, buckets = np.arange(len(keys)), home(keys, len(table))
    while len(pending):
        order = np.argsort(buckets, kind="stable")
        pending, buckets = pending[order], buckets[order]
        is_first = np.concatenate([[True], buckets[1:] != buckets[:-1]])
        rank = np.arange(len(buckets)) - np.flatnonzero(is_first)[np.cumsum(is_first) - 1]
        lines = table[buckets]
        is_free = lines[:, WIDTH:] == 0
        fits = rank < is_free.sum(axis=1)
        columns = np.argsort(~is_free, axis=1, kind="stable")[np.flatnonzero(fits), rank[fits]]
        num_filled += int(np.count_nonzero(lines[np.flatnonzero(fits), columns] == 0))
        table[buckets[fits], columns] = keys[pending[fits]]
        table[buckets[fits], columns + WIDTH] = words[pending[fits]]
        pending, buckets = pending[~fits], (buckets[~fits] + 1) % len(table)
    return num_filled
