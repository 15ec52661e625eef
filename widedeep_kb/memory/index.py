"""Exact index: 64-bit key -> jagged ordinals (int64), by exact match or a miss, never a neighbour.

A large sorted base with a bucket directory, and a small overlay that overrides it key by key; writes touch the overlay,
which is merged into the base when it has grown. All numpy, so a saved index serves from its memory map at once.

Letters: Q queried keys, K distinct keys, V ordinals in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from widedeep_kb.keys import ranges, ranges_of
from widedeep_kb.memory.array_file import load_arrays, save_arrays

_MIN_OVERLAY = 65_536
_NAMES = ("keys", "checks", "offsets", "values", "directory")


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


@dataclass(frozen=True)
class _Table:
    """Sorted distinct keys with their checks and values; `directory`, int64 [2^b + 1]: each key prefix's first key."""

    keys: np.ndarray  # uint64 [K]
    checks: np.ndarray  # uint32 [K]
    offsets: np.ndarray  # int64 [K + 1]
    values: np.ndarray  # int64 [V]
    directory: np.ndarray

    @classmethod
    def build(cls, keys: np.ndarray, checks: np.ndarray, *, offsets: np.ndarray, values: np.ndarray) -> "_Table":
        """A table of keys that are sorted already."""
        bits = max(1, len(keys).bit_length() - 1)
        prefixes = (keys >> np.uint64(64 - bits)).astype(np.int64)
        directory = np.concatenate([[0], np.cumsum(np.bincount(prefixes, minlength=1 << bits))]).astype(np.int64)
        return cls(keys, checks, offsets, values, directory)

    def find(self, queries: np.ndarray) -> np.ndarray:
        """int64 [Q]: the position of each key, -1 where absent."""
        bits = (len(self.directory) - 1).bit_length() - 1
        buckets = (queries >> np.uint64(64 - bits)).astype(np.int64)
        positions, stops = self.directory[buckets], self.directory[buckets + 1]
        result = np.full(len(queries), -1, dtype=np.int64)
        active = np.flatnonzero(positions < stops)
        # Keys are hashes, so that a bucket has one or two of them: a few vectorised steps reach every bucket's end.
        while len(active):
            here = positions[active]
            keys, wanted = self.keys[here], queries[active]
            result[active[keys == wanted]] = here[keys == wanted]
            positions[active] += 1
            active = active[(keys < wanted) & (here + 1 < stops[active])]
        return result


def _empty() -> _Table:
    nothing = np.zeros(0, np.int64)
    return _Table.build(
        nothing.astype(np.uint64), nothing.astype(np.uint32), offsets=np.zeros(1, np.int64), values=nothing
    )


class ExactIndex:
    """Key -> set of ordinals, with a check hash for each key so that two texts never share an entry unnoticed."""

    def __init__(self) -> None:
        self._base = _empty()
        self._overlay = _empty()  # the full, current row of every key it has; an empty row hides the base's

    @property
    def num_keys(self) -> int:
        """Distinct keys that have at least one ordinal."""
        live = int(np.count_nonzero(np.diff(self._overlay.offsets)))
        hidden = np.count_nonzero(self._base.find(self._overlay.keys) >= 0)
        return len(self._base.keys) - int(hidden) + live

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(getattr(table, name).nbytes for table in (self._base, self._overlay) for name in _NAMES)

    def lookup(self, keys: np.ndarray, checks: np.ndarray | None = None) -> Jagged:
        """Ordinals of each key.

        Args:
            keys: uint64 [Q].
            checks: uint64 [Q]; a key whose entry has another check is a miss.
        """
        base = self._base.find(keys)
        overlay = self._overlay.find(keys) if len(self._overlay.keys) else np.full(len(keys), -1)
        base[overlay >= 0] = -1
        if checks is not None:
            short = _short(checks)
            for positions, table in ((base, self._base), (overlay, self._overlay)):
                hit = np.flatnonzero(positions >= 0)
                positions[hit[table.checks[positions[hit]] != short[hit]]] = -1
        lengths = np.zeros(len(keys), np.int64)
        for positions, table in ((base, self._base), (overlay, self._overlay)):
            hit = np.flatnonzero(positions >= 0)
            lengths[hit] = table.offsets[positions[hit] + 1] - table.offsets[positions[hit]]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        values = np.empty(int(offsets[-1]), np.int64)
        for positions, table in ((base, self._base), (overlay, self._overlay)):
            hit = np.flatnonzero(positions >= 0)
            _, source = ranges_of(table.offsets, positions[hit])
            values[ranges(offsets[hit], lengths[hit])] = table.values[source]
        return Jagged(offsets, values)

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
        if not len(keys):
            return
        short = _short(checks)
        order = np.lexsort((ordinals, keys))
        keys, short, ordinals = keys[order], short[order], ordinals[order].astype(np.int64)
        is_first = np.concatenate([[True], keys[1:] != keys[:-1]])
        unique, unique_checks = keys[is_first], short[is_first]
        self._refuse_collisions(keys, short, order=order, texts=texts)
        current = self.lookup(unique)
        rows = np.concatenate([current.rows, np.cumsum(is_first) - 1])
        self._override(unique, unique_checks, rows=rows, values=np.concatenate([current.values, ordinals]))

    def delete(self, keys: np.ndarray, ordinals: np.ndarray) -> int:
        """Take (key, ordinal) pairs out; absent pairs are passed over. Returns the number taken out."""
        unique, inverse = np.unique(keys, return_inverse=True)
        current = self.lookup(unique)
        pairs = np.stack([inverse, ordinals.astype(np.int64)], axis=1)
        keep = ~_pairs_in(np.stack([current.rows, current.values], axis=1), pairs)
        num_taken = int(np.count_nonzero(~keep))
        if num_taken:
            present = current.lengths > 0
            renumbered = (np.cumsum(present) - 1)[current.rows[keep]]
            self._override(
                unique[present], self._checks_of(unique[present]), rows=renumbered, values=current.values[keep]
            )
        return num_taken

    def compact(self) -> None:
        """Merge the overlay into the base: deleted keys leave no trace."""
        if not len(self._overlay.keys):
            return
        keep = self._overlay.find(self._base.keys) < 0
        base = _select(self._base, keep)
        overlay = _select(self._overlay, np.diff(self._overlay.offsets) > 0)
        self._base, self._overlay = _merge(base, overlay), _empty()

    def arrays(self) -> dict[str, np.ndarray]:
        """The compacted index as named arrays, for a file shared with others."""
        self.compact()
        return {name: getattr(self._base, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "ExactIndex":
        """The index of `arrays()`, without a copy."""
        index = cls()
        index._base = _Table(**{name: arrays[name] for name in _NAMES})
        return index

    def save(self, path: Path) -> None:
        """Write one safetensors file, atomically."""
        save_arrays(self.arrays(), Path(path))

    @classmethod
    def load(cls, path: Path, *, is_mapped: bool = True) -> "ExactIndex":
        """Read `save`'s file, by default as a memory map."""
        return cls.from_arrays(load_arrays(Path(path), is_mapped=is_mapped))

    def _checks_of(self, keys: np.ndarray) -> np.ndarray:
        """uint32 [Q]: stored checks of keys that are present."""
        overlay, base = self._overlay.find(keys), self._base.find(keys)
        result = np.empty(len(keys), np.uint32)
        result[base >= 0] = self._base.checks[base[base >= 0]]
        result[overlay >= 0] = self._overlay.checks[overlay[overlay >= 0]]
        return result

    def _refuse_collisions(
        self, keys: np.ndarray, checks: np.ndarray, *, order: np.ndarray, texts: Sequence[str] | None
    ) -> None:
        clash = np.flatnonzero((keys[1:] == keys[:-1]) & (checks[1:] != checks[:-1]))
        if len(clash):
            one, other = (_named(texts, order[clash[0] + i]) for i in (0, 1))
            raise ValueError(f"hash collision: {one} and {other} have the same key {int(keys[clash[0]]):#018x}")
        stored = self.lookup(keys)
        live = np.flatnonzero(stored.lengths)
        clash = live[self._checks_of(keys[live]) != checks[live]]
        if len(clash):
            first = clash[0]
            new, old = _named(texts, order[first]), int(stored.values[stored.offsets[first]])
            raise ValueError(f"hash collision: {new} has the key {int(keys[first]):#018x} of stored ordinal {old}")

    def _override(self, keys: np.ndarray, checks: np.ndarray, *, rows: np.ndarray, values: np.ndarray) -> None:
        """Set the whole rows of `keys` (sorted, distinct): value v is in row rows[v]."""
        order = np.lexsort((values, rows))
        rows, values = rows[order], values[order]
        is_new = np.ones(len(rows), dtype=bool)
        is_new[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
        counts = np.bincount(rows[is_new], minlength=len(keys))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        changed = _Table.build(keys, checks, offsets=offsets, values=values[is_new])
        self._overlay = _merge(_select(self._overlay, changed.find(self._overlay.keys) < 0), changed)
        if len(self._overlay.keys) > max(_MIN_OVERLAY, len(self._base.keys) // 8):
            self.compact()


def _short(checks: np.ndarray) -> np.ndarray:
    return (checks >> np.uint64(32)).astype(np.uint32)


def _named(texts: Sequence[str] | None, position: int) -> str:
    return f"input {position}" if texts is None else repr(texts[position])


def _pairs_in(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool [P]: which rows of `pairs` (int64 [P, 2]) are among `others`."""
    _, numbers = np.unique(np.concatenate([pairs, others]), axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)
    return np.isin(numbers[: len(pairs)], numbers[len(pairs) :])


def _select(table: _Table, keep: np.ndarray) -> _Table:
    rows = np.flatnonzero(keep)
    _, source = ranges_of(table.offsets, rows)
    offsets = np.concatenate([[0], np.cumsum(np.diff(table.offsets)[rows])]).astype(np.int64)
    return _Table.build(table.keys[rows], table.checks[rows], offsets=offsets, values=table.values[source])


def _merge(one: _Table, other: _Table) -> _Table:
    """Both tables' keys, which are disjoint."""
    keys = np.concatenate([one.keys, other.keys])
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([one.offsets[:-1], other.offsets[:-1] + len(one.values)])[order]
    lengths = np.concatenate([np.diff(one.offsets), np.diff(other.offsets)])[order]
    values = np.concatenate([one.values, other.values])[ranges(starts, lengths)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    checks = np.concatenate([one.checks, other.checks])[order]
    return _Table.build(keys[order], checks, offsets=offsets, values=values)
