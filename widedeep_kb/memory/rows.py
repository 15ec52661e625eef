"""Which rows of the wide table are taken: hands out runs of consecutive rows, takes them back, and grows.

In: how many rows each fact needs. Out: the first row of each fact (int64). Pure numpy, no row contents.
Letters: N facts, F free runs (maximal spans of free rows).
"""

from __future__ import annotations

import numpy as np


class RowAllocator:
    """Free list over row numbers `0 .. capacity - 1`, with coalescing and growth by doubling.

    Free runs are kept as two sorted arrays, so one call serves a million facts without a Python loop over them: each
    call costs O(F log F + N). A request takes the shortest run that holds it (best fit), so holes are filled first.

    With `num_shards > 1` rows are dealt to shards in blocks: block `b` of `rows_per_block` rows belongs to shard
    `b % num_shards`. No fact crosses a block, so all its rows are on one shard, and growth moves no row between shards.

    Args:
        capacity: rows to begin with, at least 1; rounded up to whole blocks on every shard.
        num_shards: devices that the rows will be dealt to.
        rows_per_block: consecutive rows on one shard, which is also the longest fact when `num_shards > 1`.

    Raises:
        ValueError: an argument below 1.
    """

    def __init__(self, capacity: int, *, num_shards: int = 1, rows_per_block: int = 64) -> None:
        for name, value in (("capacity", capacity), ("num_shards", num_shards), ("rows_per_block", rows_per_block)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.num_shards = num_shards
        self.rows_per_block = rows_per_block
        self.capacity = self._whole_blocks(capacity)
        self._free_starts, self._free_lengths = self._coalesce(*self._fresh_runs(0, self.capacity))

    @property
    def num_free(self) -> int:
        """Rows that the next `allocate` can use before it grows."""
        return int(self._free_lengths.sum())

    @property
    def num_allocated(self) -> int:
        """Rows in use."""
        return self.capacity - self.num_free

    @property
    def num_used(self) -> int:
        """One past the last row in use: what has to be saved. 0 when all rows are free."""
        next_starts = np.append(self._free_starts[1:], self.capacity)
        tail = self._free_starts[_after_last(self._free_starts + self._free_lengths != next_starts) :]
        return int(tail[0]) if tail.size else self.capacity

    def allocate(self, num_rows: np.ndarray) -> np.ndarray:
        """Takes `num_rows[i]` consecutive rows for each fact, doubling the capacity as often as needed.

        Args:
            num_rows: int [N], each at least 1.

        Returns:
            int64 [N], the first row of each fact. Nothing is taken if it raises.

        Raises:
            ValueError: not a 1-D integer array, a count below 1, or a fact longer than a block of a sharded table.
        """
        counts = _int_array("num_rows", num_rows)
        self._check_counts(counts)
        grown = self.copy()
        first_rows = np.empty(counts.size, dtype=np.int64)
        for count in np.unique(counts)[::-1].tolist():  # the longest first: they have the fewest places to go
            wanted = np.flatnonzero(counts == count)
            while int((grown._free_lengths // count).sum()) < wanted.size:
                grown.grow(2 * grown.capacity)
            first_rows[wanted] = grown._take(count, num_facts=wanted.size)
        self._adopt(grown)
        return first_rows

    def free(self, first_rows: np.ndarray, num_rows: np.ndarray) -> None:
        """Gives runs of rows back; neighbours are joined. The runs need not be the ones that were allocated.

        Args:
            first_rows: int [N].
            num_rows: int [N], each at least 1.

        Raises:
            ValueError: rows out of range, already free or given twice, or a run that crosses a block. Nothing changes.
        """
        starts, counts = _int_array("first_rows", first_rows), _int_array("num_rows", num_rows)
        if starts.size != counts.size:
            raise ValueError(f"{starts.size} first_rows but {counts.size} num_rows")
        self._check_counts(counts)
        outside = (starts < 0) | (starts + counts > self.capacity)
        if outside.any():
            row = int(starts[outside][0])
            raise ValueError(f"row {row} is not in a table of {self.capacity} rows")
        if self.num_shards > 1:
            crossing = starts // self.rows_per_block != (starts + counts - 1) // self.rows_per_block
            if crossing.any():
                raise ValueError(f"the run at row {int(starts[crossing][0])} crosses a block")
        self._free_starts, self._free_lengths = self._coalesce(
            np.concatenate([self._free_starts, starts]), np.concatenate([self._free_lengths, counts])
        )

    def grow(self, capacity: int) -> None:
        """Adds free rows at the end until there are at least `capacity` (rounded up to whole blocks).

        Raises:
            ValueError: `capacity` is below the present one.
        """
        if capacity < self.capacity:
            raise ValueError(f"cannot shrink a table of {self.capacity} rows to {capacity}")
        capacity = self._whole_blocks(capacity)
        starts, lengths = self._fresh_runs(self.capacity, capacity)
        self._free_starts, self._free_lengths = self._coalesce(
            np.concatenate([self._free_starts, starts]), np.concatenate([self._free_lengths, lengths])
        )
        self.capacity = capacity

    def is_allocated(self, rows: np.ndarray) -> np.ndarray:
        """bool [N]: which of `rows` (int [N]) are in use; False for rows out of range."""
        rows = _int_array("rows", rows)
        run = np.searchsorted(self._free_starts, rows, side="right") - 1
        is_free = np.zeros(rows.size, dtype=bool)
        inside = run >= 0
        is_free[inside] = rows[inside] < self._free_starts[run[inside]] + self._free_lengths[run[inside]]
        return ~is_free & (rows >= 0) & (rows < self.capacity)

    def shard_of(self, rows: np.ndarray) -> np.ndarray:
        """int64 [N]: the shard that holds each of `rows` (int [N])."""
        return _int_array("rows", rows) // self.rows_per_block % self.num_shards

    def local_row(self, rows: np.ndarray) -> np.ndarray:
        """int64 [N]: the place of each of `rows` (int [N]) inside its shard; dense from 0."""
        block, place = np.divmod(_int_array("rows", rows), self.rows_per_block)
        return block // self.num_shards * self.rows_per_block + place

    def copy(self) -> RowAllocator:
        """An independent allocator in the same state. Cheap: the arrays are never changed in place."""
        twin = object.__new__(RowAllocator)
        twin._adopt(self)
        return twin

    def trimmed(self) -> RowAllocator:
        """A copy without the free rows at its end (at least one block on every shard stays)."""
        twin = self.copy()
        twin.capacity = self._whole_blocks(max(self.num_used, 1))
        kept = self._free_starts < twin.capacity
        twin._free_starts = self._free_starts[kept]
        twin._free_lengths = np.minimum(self._free_lengths[kept], twin.capacity - twin._free_starts)
        return twin

    def state(self) -> dict[str, np.ndarray]:
        """int64 arrays: `layout` [3] (capacity, num_shards, rows_per_block), `free_starts` [F], `free_lengths` [F]."""
        layout = np.array([self.capacity, self.num_shards, self.rows_per_block], dtype=np.int64)
        return {"layout": layout, "free_starts": self._free_starts, "free_lengths": self._free_lengths}

    @classmethod
    def from_state(cls, state: dict[str, np.ndarray]) -> RowAllocator:
        """The allocator that `state()` described.

        Raises:
            ValueError: a missing array, or free runs that overlap or leave the table.
        """
        for name in ("layout", "free_starts", "free_lengths"):
            if name not in state:
                raise ValueError(f"the row allocator's state has no {name!r}")
        layout = _int_array("layout", state["layout"])
        if layout.size != 3:
            raise ValueError(f"layout must hold capacity, num_shards and rows_per_block, got {layout.tolist()}")
        capacity, num_shards, rows_per_block = layout.tolist()
        allocator = cls(capacity, num_shards=num_shards, rows_per_block=rows_per_block)
        if allocator.capacity != capacity:
            raise ValueError(f"capacity {capacity} is not a whole number of blocks")
        allocator._free_starts = allocator._free_lengths = np.empty(0, dtype=np.int64)
        allocator.free(state["free_starts"], state["free_lengths"])
        return allocator

    def _take(self, count: int, *, num_facts: int) -> np.ndarray:
        """First rows [num_facts] of runs of `count` rows, cut from the front of the shortest free runs that fit."""
        fitting = np.flatnonzero(self._free_lengths >= count)
        fitting = fitting[np.argsort(self._free_lengths[fitting], kind="stable")]
        places = self._free_lengths[fitting] // count
        num_runs = int(np.searchsorted(np.cumsum(places), num_facts)) + 1
        fitting, places = fitting[:num_runs], places[:num_runs]
        places[-1] -= places.sum() - num_facts
        place_in_run = np.arange(num_facts) - np.repeat(np.cumsum(places) - places, places)
        first_rows = np.repeat(self._free_starts[fitting], places) + count * place_in_run
        starts, lengths = self._free_starts.copy(), self._free_lengths.copy()
        starts[fitting] += count * places
        lengths[fitting] -= count * places
        self._free_starts, self._free_lengths = starts[lengths > 0], lengths[lengths > 0]
        return first_rows

    def _check_counts(self, counts: np.ndarray) -> None:
        if counts.size and counts.min() < 1:
            raise ValueError(f"a fact takes at least 1 row, got {int(counts.min())}")
        if self.num_shards > 1 and counts.size and counts.max() > self.rows_per_block:
            raise ValueError(f"{int(counts.max())} rows do not fit a shard block of {self.rows_per_block}")

    def _coalesce(self, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sorted runs, neighbours joined (except across blocks of a sharded table).

        Raises:
            ValueError: two runs overlap.
        """
        if starts.size == 0:
            return starts, lengths
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], lengths[order]
        stops = starts + lengths
        overlapping = starts[1:] < stops[:-1]
        if overlapping.any():
            raise ValueError(f"row {int(starts[1:][overlapping][0])} is already free")
        is_first = np.ones(starts.size, dtype=bool)
        is_first[1:] = starts[1:] != stops[:-1]
        if self.num_shards > 1:
            is_first |= starts % self.rows_per_block == 0
        heads = np.flatnonzero(is_first)
        return starts[heads], np.add.reduceat(lengths, heads)

    def _fresh_runs(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Starts and lengths of the runs that make up the free span `start .. stop - 1` (whole blocks if sharded)."""
        if start == stop:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        starts = np.arange(start, stop, self.rows_per_block if self.num_shards > 1 else stop - start, dtype=np.int64)
        return starts, np.diff(np.append(starts, stop))

    def _whole_blocks(self, capacity: int) -> int:
        unit = self.rows_per_block * self.num_shards if self.num_shards > 1 else 1
        return -(-capacity // unit) * unit

    def _adopt(self, other: RowAllocator) -> None:
        self.__dict__.update(other.__dict__)


def expand_rows(first_rows: np.ndarray, num_rows: np.ndarray) -> np.ndarray:
    """All row numbers of facts: int [N] first rows and int [N] counts -> int64 [sum(num_rows)], fact after fact."""
    starts, counts = _int_array("first_rows", first_rows), _int_array("num_rows", num_rows)
    return np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())


def _after_last(is_set: np.ndarray) -> int:
    """One past the last True of bool [F]; 0 when there is none."""
    return int(np.flatnonzero(is_set)[-1]) + 1 if is_set.any() else 0


def _int_array(name: str, values: np.ndarray) -> np.ndarray:
    """`values` as a 1-D int64 array.

    Raises:
        ValueError: another shape, or values that are not integers.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{name} must be a 1-D integer array, got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64, copy=False)
