"""Exact index: 64-bit key -> jagged ordinals (int64), by exact match or a miss, never a neighbour.

An open-addressing table (`bucket_table`) and a pool for the rows that one word cannot hold. Writes change both in
place; a saved index serves from its memory map at once. The table's operations are numba's where numba is installed,
else numpy's: the same answers, 4 to 12 times slower. Look-ups may run side by side, but not beside a change.
`to_device` copies an index to a GPU for batches of millions of keys; a question brings about 60, for which nothing is
gained there.

Letters: Q queried keys, K distinct keys, V ordinals in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from widedeep_kb.keys import ranges, ranges_of
from widedeep_kb.memory.array_file import load_arrays, save_arrays
from widedeep_kb.memory.bucket_table import (
    MAX_INLINE,
    MAX_LOAD,
    POOLED,
    WIDTH,
    Jagged,
    empty_table,
    rows_of,
)

if TYPE_CHECKING:
    import torch

    from widedeep_kb.memory.gpu_index import GpuIndex

ENGINES = {"numpy": "widedeep_kb.memory.bucket_table", "numba": "widedeep_kb.memory.bucket_numba"}
LOAD = 0.8
"""Share of the places that are filled in a table that is made or grows."""
_MIN_BUCKETS = 16
_CHUNK = 1 << 20
_HALF, _POOLED = np.uint64(32), np.uint64(POOLED)
_CHECK = ~np.uint64((1 << 32) - 1)  # the bits of a word that are the check's


@cache
def default_engine() -> str:
    """The engine of this machine: numba where it is installed, else numpy."""
    return "numba" if find_spec("numba") else "numpy"


@cache
def _module(name: str) -> ModuleType:
    return import_module(name)


class ExactIndex:
    """Key -> set of ordinals, with a check hash for each key so that two texts never share an entry unnoticed.

    Args:
        engine: `numba` or `numpy`, which table operations to use; by default `default_engine()`.

    Raises:
        ValueError: an unknown engine.
    """

    def __init__(self, *, engine: str | None = None) -> None:
        self._engine = engine or default_engine()
        if self._engine not in ENGINES:
            raise ValueError(f"engine must be one of {sorted(ENGINES)}, got {engine!r}")
        self._table = empty_table(_MIN_BUCKETS)
        self._num_live = self._num_used = 0  # places with a key, and those that ever had one
        self._clear_pool()

    @property
    def num_keys(self) -> int:
        """Distinct keys that have at least one ordinal."""
        return self._num_live

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return self._table.nbytes + self._pool.nbytes

    def lookup(self, keys: np.ndarray, checks: np.ndarray | None = None) -> Jagged:
        """Ordinals of each key.

        Args:
            keys: uint64 [Q].
            checks: uint64 [Q]; a key whose entry has another check is a miss.
        """
        return self._operations.find_rows(self._table, self._pool, keys, checks)

    def insert(
        self, keys: np.ndarray, ordinals: np.ndarray, checks: np.ndarray, *, texts: Sequence[str] | None = None
    ) -> None:
        """Add (key, ordinal) pairs; pairs already present change nothing.

        Args:
            keys: uint64 [Q].
            ordinals: int64 [Q].
            checks: uint64 [Q], a second hash of each key's text, independent of the first.
            texts: what each key stands for, to name it in an error.

        Raises:
            ValueError: two texts share a key (their checks differ). The index is unchanged.
        """
        if not len(keys) == len(ordinals) == len(checks):
            raise ValueError(f"{len(keys)} keys, {len(ordinals)} ordinals and {len(checks)} checks")
        is_new = np.zeros(len(keys), bool)
        further = [np.zeros(0, np.int64)]  # pairs that a word alone cannot hold
        try:
            for first in range(0, len(keys), _CHUNK):
                part = slice(first, first + _CHUNK)
                share_new = np.count_nonzero(is_new) / first if first else 0.0
                self._reserve(len(keys[part]), num_expected=int(share_new * (len(keys) - first)))
                words = _inline(checks[part], ordinals[part])
                stored, num_filled = self._operations.claim(self._table, keys[part], words)
                is_new[part] = stored == 0
                self._num_used += num_filled
                self._num_live += int(np.count_nonzero(is_new[part]))
                clash = np.flatnonzero((stored != 0) & ((stored ^ words) >> _HALF != 0))
                if len(clash):
                    self._refuse(first + clash[0], keys, is_new=is_new, texts=texts)
                is_further = ((stored != 0) & (stored != words)) | (words & ~_CHECK == _POOLED)
                further.append(first + np.flatnonzero(is_further))
            rows = np.concatenate(further)
            self._extend(keys[rows], ordinals[rows].astype(np.int64))
        except BaseException:
            self._forget(keys[is_new])
            raise

    def delete(self, keys: np.ndarray, ordinals: np.ndarray) -> int:
        """Take (key, ordinal) pairs out; absent pairs are passed over. Returns the number taken out."""
        ordinals = ordinals.astype(np.int64)
        words = self._operations.find_words(self._table, keys)
        is_whole = (words != 0) & (words == _inline(words, ordinals)) & (words & _POOLED == 0)
        num_gone = self._forget(keys[is_whole])
        is_pooled = words & _POOLED != 0
        unique, inverse = np.unique(keys[is_pooled], return_inverse=True)
        words = self._operations.find_words(self._table, unique)
        current = self._operations.rows_of(words, self._pool)
        keep = ~_pairs_in(current.rows, current.values, rows=inverse, values=ordinals[is_pooled])
        if not keep.all():
            self._set(unique, words, rows=current.rows[keep], values=current.values[keep])
        return num_gone + int(np.count_nonzero(~keep))

    def compact(self) -> None:
        """Make the table and the pool as small as they are made at first."""
        new = empty_table(buckets_for(self._num_live))
        self._operations.move(self._table, new)
        self._table, self._num_used = new, self._num_live
        pool, size = self._pool, self._pool_size - self._pool_waste
        self._clear_pool()
        self._pool = np.zeros(size, np.int64)
        for first in range(0, len(new), _CHUNK):
            words = new[first : first + _CHUNK, WIDTH:]
            places = np.nonzero(words & _POOLED)
            words[places] = self._words_of(words[places], rows_of(words[places], pool))

    def arrays(self) -> dict[str, np.ndarray]:
        """The index as named arrays, for a file shared with others; compacted if that saves a fifth or more."""
        if (
            is_worth_compacting(len(self._table), self._num_live, self._num_used)
            or self._pool_waste > self._pool_size // 5
        ):
            self.compact()
        counts = np.array([self._num_live, self._num_used, self._pool_waste], np.int64)
        return {"table": self._table, "pool": self._pool[: self._pool_size], "counts": counts}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, engine: str | None = None) -> ExactIndex:
        """The index of `arrays()`, without a copy; sorted arrays (retrieval version 1) are converted."""
        index = cls(engine=engine)
        if "directory" in arrays:
            index._read_sorted(**{name: arrays[name] for name in ("keys", "checks", "offsets", "values")})
            return index
        index._table, index._pool, index._pool_size = arrays["table"], arrays["pool"], len(arrays["pool"])
        index._num_live, index._num_used, index._pool_waste = arrays["counts"].tolist()
        return index

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically."""
        save_arrays(self.arrays(), Path(path))

    @classmethod
    def load(cls, path: Path, *, is_mapped: bool = True, engine: str | None = None) -> ExactIndex:
        """Read `save`'s file, by default as a memory map."""
        return cls.from_arrays(load_arrays(Path(path), is_mapped=is_mapped), engine=engine)

    def to_device(self, device: torch.device | str) -> GpuIndex:
        """A copy on a GPU, for look-ups and changes by the million; `GpuIndex.to_index` is the way back.

        Raises:
            ValueError: Triton is not installed, or the device is no GPU.
        """
        from widedeep_kb.memory.gpu_index import GpuIndex

        return GpuIndex.from_arrays(self.arrays(), device)

    @property
    def _operations(self) -> ModuleType:
        return _module(ENGINES[self._engine])

    def _reserve(self, num_more: int, *, num_expected: int) -> None:
        """Have room for `num_more` keys; if the table must grow for them, then for those expected too."""
        if self._num_used + num_more <= MAX_LOAD * self._table.size / 2:
            return
        num_keys = self._num_live + max(num_more, num_expected, self._num_live // 4)
        new = empty_table(buckets_for(num_keys))
        self._operations.move(self._table, new)
        self._table, self._num_used = new, self._num_live

    def _refuse(self, place: int, keys: np.ndarray, *, is_new: np.ndarray, texts: Sequence[str] | None) -> None:
        earlier = np.flatnonzero((keys[:place] == keys[place]) & is_new[:place])
        key, new = f"{int(keys[place]):#018x}", _named(texts, place)
        if len(earlier):
            raise ValueError(f"hash collision: {_named(texts, earlier[0])} and {new} have the same key {key}")
        stored = self.lookup(keys[place : place + 1]).values[0]
        raise ValueError(f"hash collision: {new} has the key {key} of stored ordinal {stored}")

    def _forget(self, keys: np.ndarray) -> int:
        """Delete keys, and return how many were present."""
        num_gone = self._operations.replace(self._table, keys, np.zeros(len(keys), np.uint64))
        self._num_live -= num_gone
        return num_gone

    def _extend(self, keys: np.ndarray, ordinals: np.ndarray) -> None:
        """Add pairs whose keys are present."""
        if not len(keys):
            return
        unique, inverse = np.unique(keys, return_inverse=True)
        words = self._operations.find_words(self._table, unique)
        current = self._operations.rows_of(words, self._pool)
        rows, values = np.concatenate([current.rows, inverse]), np.concatenate([current.values, ordinals])
        self._set(unique, words, rows=rows, values=values)

    def _set(self, keys: np.ndarray, words: np.ndarray, *, rows: np.ndarray, values: np.ndarray) -> None:
        """Give keys (distinct) that have `words` new rows, larger or smaller ones: value v is in row rows[v]."""
        order = np.lexsort((values, rows))
        rows, values = rows[order], values[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
        lengths = np.bincount(rows[is_first], minlength=len(keys))
        offsets, values = _offsets(lengths), values[is_first]
        changed = np.flatnonzero(lengths != rows_of(words, self._pool).lengths)
        keys, words = keys[changed], words[changed]
        kept, source = lengths[changed] > 0, ranges_of(offsets, changed)[1]
        new = np.zeros(len(keys), np.uint64)
        new[kept] = self._words_of(words[kept], Jagged(_offsets(lengths[changed][kept]), values[source]))
        self._operations.replace(self._table, keys, new)
        self._num_live -= int(np.count_nonzero(~kept))
        self._waste(words)

    def _words_of(self, words: np.ndarray, rows: Jagged) -> np.ndarray:
        """uint64 [K]: `words` with references to rows, none empty; rows that no word can hold go to the pool."""
        lengths, first = rows.lengths, rows.values[rows.offsets[:-1]]
        is_pooled = (lengths > 1) | (first < 0) | (first > MAX_INLINE)
        sizes = (lengths + 1)[is_pooled]
        places = self._pool_size + np.cumsum(sizes) - sizes
        end = self._pool_size + int(sizes.sum())
        if end > POOLED:
            raise ValueError(f"rows of several ordinals take {end} places, an index has at most {POOLED}")
        if end > len(self._pool):
            room = np.zeros(max(end, 5 * self._pool_size // 4) - self._pool_size, np.int64)
            self._pool = np.concatenate([self._pool[: self._pool_size], room])
        self._pool[places] = lengths[is_pooled]
        source = ranges(rows.offsets[:-1][is_pooled], lengths[is_pooled])
        self._pool[ranges(places + 1, lengths[is_pooled])] = rows.values[source]
        self._pool_size = end
        references = first + 1
        references[is_pooled] = places | POOLED
        return (words & _CHECK) | references.astype(np.uint64)

    def _waste(self, words: np.ndarray) -> None:
        """Clear the pool's rows of words that are no longer in the table."""
        places = (words[words & _POOLED != 0] & ~_CHECK).astype(np.int64) - POOLED
        places = places[places > 0]
        sizes = self._pool[places] + 1
        self._pool[ranges(places, sizes)] = 0
        self._pool_waste += int(sizes.sum())
        if self._pool_waste > max(1024, self._pool_size // 2):
            self.compact()

    def _clear_pool(self) -> None:
        self._pool, self._pool_size, self._pool_waste = np.zeros(1, np.int64), 1, 0

    def _read_sorted(self, *, keys: np.ndarray, checks: np.ndarray, offsets: np.ndarray, values: np.ndarray) -> None:
        self._reserve(len(keys), num_expected=0)
        words = self._words_of(checks.astype(np.uint64) << _HALF, Jagged(offsets, values))
        _, self._num_used = self._operations.claim(self._table, keys, words)
        self._num_live = len(keys)


def _inline(checks: np.ndarray, ordinals: np.ndarray) -> np.ndarray:
    """uint64 [Q]: the words of single ordinals; the empty row of the pool for those that a word cannot hold."""
    ordinals = ordinals.astype(np.int64)
    is_inline = (ordinals >= 0) & (ordinals <= MAX_INLINE)
    return (checks & _CHECK) | np.where(is_inline, ordinals + 1, POOLED).astype(np.uint64)


def buckets_for(num_keys: int) -> int:
    """Buckets of a table that is made for `num_keys`."""
    return max(_MIN_BUCKETS, -int(-num_keys / LOAD // WIDTH))


def is_worth_compacting(num_buckets: int, num_live: int, num_used: int) -> bool:
    """Whether a table is a fifth larger than one made for its keys, or a fifth of its keys are deleted ones."""
    return buckets_for(num_live) < LOAD * num_buckets or num_used > 1.2 * num_live


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _named(texts: Sequence[str] | None, place: int) -> str:
    return f"input {place}" if texts is None else repr(texts[place])


def _pairs_in(own_rows: np.ndarray, own_values: np.ndarray, *, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """bool [P]: which of the pairs (own_rows[p], own_values[p]) are among the pairs of rows and values."""
    distinct, numbers = np.unique(np.concatenate([own_values, values]), return_inverse=True)
    pairs = np.concatenate([own_rows, rows]) * len(distinct) + numbers
    return np.isin(pairs[: len(own_rows)], pairs[len(own_rows) :])
