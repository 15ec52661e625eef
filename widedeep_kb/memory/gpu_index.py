"""The exact index on a GPU: 64-bit key -> jagged ordinals, the same table, pool and answers as `ExactIndex`.

For look-ups and changes by the million: deduplicating or joining a corpus against a memory, or many thousand questions
at once. The read path of one question keeps the index on the CPU: its 60 or so keys are answered there in the time of a
kernel or less, and need not be copied there and back. Keys and checks are unsigned hashes, held as int64 of the same
bits, as torch has few unsigned operations.

    gpu = index.to_device("cuda")  # index: ExactIndex
    offsets, values = gpu.lookup(keys, checks)
    index = gpu.to_index()

Letters: Q queried keys, K distinct keys, V ordinals in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.memory.bucket_table import DELETED, MAX_INLINE, MAX_LOAD, POOLED, WIDTH, empty_table
from widedeep_kb.memory.index import ExactIndex, buckets_for, is_worth_compacting

_LOW = (1 << 32) - 1


@dataclass(frozen=True)
class Launch:
    """How kernels are launched; answers do not depend on it.

    Attributes:
        queries_per_program: a power of two, at least 32 times `num_warps`. A program ends with its longest search.
        num_warps: warps of 32 threads to a program.
    """

    queries_per_program: int = 32
    num_warps: int = 1

    def __post_init__(self) -> None:
        if self.queries_per_program < 32 * self.num_warps:
            raise ValueError(f"{self.queries_per_program} queries to a program of {self.num_warps} warps")


class JaggedTensors(NamedTuple):
    """Rows of different lengths: row i is values[offsets[i]:offsets[i + 1]].

    Attributes:
        offsets: int64 [Q + 1].
        values: int64 [V], ascending within a row.
    """

    offsets: Tensor
    values: Tensor

    @property
    def lengths(self) -> Tensor:
        """int64 [Q]."""
        return torch.diff(self.offsets)

    @property
    def rows(self) -> Tensor:
        """int64 [V]: the row of each value."""
        numbers = torch.arange(self.offsets.numel() - 1, device=self.offsets.device)
        return torch.repeat_interleave(numbers, self.lengths)


class GpuIndex:
    """Key -> set of ordinals on one GPU. All tensors given and returned lie there.

    Args:
        device: of the table; the CPU only under Triton's interpreter.
        num_keys: keys to make room for at once.
        launch: how kernels are launched.

    Raises:
        ValueError: Triton is not installed, or the device is no GPU.
    """

    def __init__(self, device: torch.device | str, *, num_keys: int = 0, launch: Launch | None = None) -> None:
        _check(torch.device(device))
        self.device, self.launch = torch.device(device), launch or Launch()
        self._table = self._zeros(buckets_for(num_keys), 2 * WIDTH)
        self._num_live = self._num_used = 0  # places with a key, and those that ever had one
        self._clear_pool()

    @property
    def num_keys(self) -> int:
        """Distinct keys that have at least one ordinal."""
        return self._num_live

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return self._table.nbytes + self._pool.nbytes

    @classmethod
    def from_arrays(
        cls, arrays: dict[str, np.ndarray], device: torch.device | str, *, launch: Launch | None = None
    ) -> GpuIndex:
        """The index of `ExactIndex.arrays()`, copied to a device."""
        result = cls(device, launch=launch)
        result._table = torch.from_numpy(arrays["table"].view(np.int64)).to(device, copy=True)
        result._pool = torch.from_numpy(arrays["pool"]).to(device, copy=True)
        result._pool_size = result._pool.numel()
        result._num_live, result._num_used, result._pool_waste = arrays["counts"].tolist()
        return result

    def arrays(self) -> dict[str, np.ndarray]:
        """What `ExactIndex.arrays()` gives: for a file, or `ExactIndex.from_arrays`; compacted as there."""
        if (
            is_worth_compacting(len(self._table), self._num_live, self._num_used)
            or self._pool_waste > self._pool_size // 5
        ):
            self.compact()
        return {
            "table": self._table.cpu().numpy().view(np.uint64),
            "pool": self._pool[: self._pool_size].cpu().numpy(),
            "counts": np.array([self._num_live, self._num_used, self._pool_waste], np.int64),
        }

    def to_index(self) -> ExactIndex:
        """A copy on the CPU."""
        arrays = self.arrays()
        table = empty_table(len(arrays["table"]))
        table[:] = arrays["table"]
        return ExactIndex.from_arrays(arrays | {"table": table, "pool": arrays["pool"].copy()})

    def lookup(self, keys: Tensor, checks: Tensor | None = None) -> JaggedTensors:
        """Ordinals of each key.

        Args:
            keys: int64 [Q], repeats allowed.
            checks: int64 [Q]; a key whose entry has another upper half is a miss.
        """
        return self._rows_of(self.lookup_words(keys, checks))

    def lookup_words(self, keys: Tensor, checks: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
        """The word of each key, int64 [Q], 0 for a miss (into `out`, where given): one kernel, no wait for the device.

        The lower half is the key's only ordinal plus 1 unless bit 31 is set: `bucket_table` tells the rest.
        """
        return self._find(keys, checks, is_place=False, out=out)

    def insert(self, keys: Tensor, ordinals: Tensor, checks: Tensor) -> None:
        """Add (key, ordinal) pairs, int64 [Q] each; pairs already present change nothing.

        Raises:
            ValueError: lengths differ, or two texts share a key (their checks differ). The index is unchanged.
        """
        if not keys.numel() == ordinals.numel() == checks.numel():
            raise ValueError(f"{keys.numel()} keys, {ordinals.numel()} ordinals and {checks.numel()} checks")
        if not keys.numel():
            return
        unique, rows = torch.unique(keys, return_inverse=True)
        numbers = torch.arange(keys.numel(), device=self.device)
        firsts = torch.full_like(unique, keys.numel()).scatter_reduce_(0, rows, numbers, reduce="amin")
        del numbers
        stored = self.lookup_words(unique)
        if self._reserve(int(torch.count_nonzero(stored == 0))):
            stored = self.lookup_words(unique)
        known = torch.where(stored == 0, checks[firsts], stored)
        clash = torch.nonzero((known[rows] ^ checks) >> 32)
        if clash.numel():
            self._refuse(int(clash[0]), keys, stored=stored[rows])
        current = self._rows_of(stored)
        self._set(
            unique,
            known,
            rows=torch.cat([current.rows, rows]),
            values=torch.cat([current.values, ordinals]),
            lengths=current.lengths,
        )

    def delete(self, keys: Tensor, ordinals: Tensor) -> int:
        """Take (key, ordinal) pairs out, int64 [Q] each; absent ones are passed over. Returns the number taken out."""
        unique, rows = torch.unique(keys, return_inverse=True)
        words = self.lookup_words(unique)
        current = self._rows_of(words)
        distinct, numbers = torch.unique(torch.cat([current.values, ordinals]), return_inverse=True)
        pairs = torch.cat([current.rows, rows]) * distinct.numel() + numbers
        size = current.values.numel()
        keep = ~torch.isin(pairs[:size], pairs[size:])
        num_taken = size - int(keep.sum())
        if num_taken:
            self._set(unique, words, rows=current.rows[keep], values=current.values[keep], lengths=current.lengths)
        return num_taken

    def compact(self) -> None:
        """Make the table and the pool as small as they are made at first."""
        self._rebuild(self._num_live)

    def _refuse(self, place: int, keys: Tensor, *, stored: Tensor) -> None:
        what = "another input" if int(stored[place]) == 0 else "a stored text"
        key = int(keys[place]) & (2**64 - 1)
        raise ValueError(f"hash collision: input {place} has the key {key:#018x} of {what}")

    def _set(self, keys: Tensor, words: Tensor, *, rows: Tensor, values: Tensor, lengths: Tensor) -> None:
        """Give distinct keys, whose rows have `lengths`, new rows: value v is in row rows[v]; the empty ones go.

        Args:
            keys: int64 [K].
            words: int64 [K], of the keys that are present, a check for the others.
            rows, values: int64 [V].
            lengths: int64 [K].
        """
        order = torch.argsort(values)
        order = order[torch.argsort(rows[order], stable=True)]
        rows, values = rows[order], values[order]
        is_first = torch.ones_like(rows, dtype=torch.bool)
        is_first[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
        rows, values = rows[is_first], values[is_first]
        new_lengths = torch.bincount(rows, minlength=keys.numel())
        changed = new_lengths != lengths
        values = values[changed[rows]]
        keys, words, was, new_lengths = keys[changed], words[changed], lengths[changed] > 0, new_lengths[changed]
        kept = new_lengths > 0
        new = torch.zeros_like(words)
        new[kept] = self._words_of(words[kept], JaggedTensors(_offsets(new_lengths[kept]), values))
        former = words[was]
        self._replace(keys[was], new[was])
        self._add(keys[~was], new[~was])
        self._num_live += int((~was).sum()) - int((~kept).sum())
        self._waste(former)

    def _words_of(self, words: Tensor, rows: JaggedTensors) -> Tensor:
        """int64 [K]: `words` with references to rows, none empty; rows that no word can hold go to the pool."""
        starts, lengths = rows.offsets[:-1], rows.lengths
        first = rows.values[starts]
        is_pooled = (lengths > 1) | (first < 0) | (first > MAX_INLINE)
        starts, lengths, references = starts[is_pooled], lengths[is_pooled], first + 1
        offsets = self._pool_size + _offsets(lengths + 1)
        end, places = int(offsets[-1]), offsets[:-1]
        if end > POOLED:
            raise ValueError(f"rows of several ordinals take {end} places, an index has at most {POOLED}")
        if end > self._pool.numel():
            room = self._zeros(max(end, 5 * self._pool_size // 4) - self._pool_size)
            self._pool = torch.cat([self._pool[: self._pool_size], room])
        self._pool[places] = lengths
        self._pool[_ranges(places + 1, lengths)] = rows.values[_ranges(starts, lengths)]
        self._pool_size = end
        references[is_pooled] = places | POOLED
        return (words & ~_LOW) | references

    def _rows_of(self, words: Tensor) -> JaggedTensors:
        """The ordinals behind words (int64 [Q]), none behind 0."""
        references = words & _LOW
        is_pooled = references >= POOLED
        pooled = torch.nonzero(is_pooled).flatten()
        lengths = (references > 0).to(torch.int64)
        places = references[pooled] - POOLED
        sizes = self._pool[places]
        lengths[pooled] = sizes
        offsets = _offsets(lengths)
        values = torch.repeat_interleave(references - 1, lengths)
        values[_ranges(offsets[pooled], sizes)] = self._pool[_ranges(places + 1, sizes)]
        return JaggedTensors(offsets, values)

    def _find(self, keys: Tensor, checks: Tensor | None, *, is_place: bool, out: Tensor | None = None) -> Tensor:
        from widedeep_kb.memory.gpu_index_kernels import find_kernel

        result = torch.empty_like(keys, memory_format=torch.contiguous_format) if out is None else out
        launch, keys = self.launch, keys.contiguous()
        if keys.numel():
            find_kernel[(-(-keys.numel() // launch.queries_per_program),)](
                keys,
                keys if checks is None else checks.contiguous(),
                self._table,
                result,
                keys.numel(),
                len(self._table),
                BLOCK=launch.queries_per_program,
                HAS_CHECKS=checks is not None,
                PLACES=is_place,
                num_warps=launch.num_warps,
            )
        return result

    def _reserve(self, num_more: int) -> bool:
        """Have room for `num_more` keys. Returns whether references to the pool have changed for it."""
        if self._num_used + num_more <= MAX_LOAD * self._table.numel() / 2:
            return False
        self._rebuild(self._num_live + max(num_more, self._num_live // 4))
        return True

    def _add(self, keys: Tensor, words: Tensor) -> None:
        """Add distinct keys that are absent and have room."""
        from widedeep_kb.memory.gpu_index_kernels import add_kernel

        if not keys.numel():
            return
        num_filled, block = self._zeros(1), self.launch.queries_per_program
        add_kernel[(-(-keys.numel() // block),)](
            keys.contiguous(),
            words.contiguous(),
            self._table,
            self._zeros(block),
            num_filled,
            keys.numel(),
            len(self._table),
            BLOCK=block,
            num_warps=self.launch.num_warps,
        )
        self._num_used += int(num_filled)

    def _replace(self, keys: Tensor, words: Tensor) -> None:
        """Set the words of keys that are present; a word of 0 deletes its key."""
        places = self._find(keys, None, is_place=True)
        flat = self._table.view(-1)
        flat[places + WIDTH] = words
        flat[places[words == 0]] = DELETED

    def _waste(self, words: Tensor) -> None:
        """Clear the pool's rows of words that are no longer in the table."""
        places = (words[words & POOLED != 0] & _LOW) - POOLED
        sizes = self._pool[places] + 1
        self._pool[_ranges(places, sizes)] = 0
        self._pool_waste += int(sizes.sum())
        if self._pool_waste > max(1024, self._pool_size // 2):
            self.compact()

    def _rebuild(self, num_keys: int) -> None:
        """The same keys in a table made for `num_keys`, and a pool without waste."""
        places = torch.nonzero(self._table[:, WIDTH:].reshape(-1)).flatten()
        places = places // WIDTH * 2 * WIDTH + places % WIDTH
        keys, words = (self._table.view(-1)[places + shift] for shift in (0, WIDTH))
        del places
        pooled = torch.nonzero(words & POOLED).flatten()
        rows = self._rows_of(words[pooled])
        self._clear_pool()
        words[pooled] = self._words_of(words[pooled], rows)
        self._table, self._num_used = self._zeros(buckets_for(num_keys), 2 * WIDTH), 0
        self._add(keys, words)

    def _clear_pool(self) -> None:
        self._pool, self._pool_size, self._pool_waste = self._zeros(1), 1, 0

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.int64, device=self.device)


def _check(device: torch.device) -> None:
    if find_spec("triton") is None:
        raise ValueError("the GPU index needs Triton, which is not installed")
    from triton import JITFunction

    from widedeep_kb.memory.gpu_index_kernels import find_kernel

    if device.type == "cpu" and isinstance(find_kernel, JITFunction):
        raise ValueError("the GPU index needs a GPU, got the device 'cpu'")


def _offsets(lengths: Tensor) -> Tensor:
    return torch.nn.functional.pad(torch.cumsum(lengths, 0), (1, 0))


def _ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """Concatenation of arange(start, start + length) over pairs, int64."""
    within = torch.repeat_interleave(starts - _offsets(lengths)[:-1], lengths)
    return within + torch.arange(within.numel(), device=within.device)
