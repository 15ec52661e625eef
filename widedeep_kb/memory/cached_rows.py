"""Rows in host memory behind a cache on the GPU, for a wide table that is larger than the GPU memory set aside for it.

In: row numbers. Out: row contents on the GPU, the same numbers as from a plain `WideTable`. The rows are page-locked
host memory that the GPU reads over PCIe (never CUDA managed memory, whose page faults move 4 KiB and more for a row);
FBGEMM's caching kernels keep those last used in a 32-way set-associative LRU cache on the GPU. A call of theirs takes
0.44 ms on an H100, in which 10,000 rows cross PCIe: look-ups of fewer than `CACHE_FROM_ROWS` read the host directly.

`CachedRows.ahead` fetches on a stream of its own: the index knows a question's rows before the LLM starts, so that they
travel while its lower layers run, and the first adapter waits for them (`Pending.wait`).

Letters: N rows asked for, R rows of capacity, D = `embedding_dim`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from widedeep_kb.memory.packed import PackedTable, RowCodec
from widedeep_kb.memory.row_trainer import MAX_CUDA_DIM, RowTrainer, caching_kernel
from widedeep_kb.memory.rows import RowAllocator
from widedeep_kb.memory.wide import FLOAT_FORMATS, WideTable

ROWS_PER_SET = 32  # FBGEMM's associativity, one warp
STATE_BYTES = 16  # of a cached row: which row it is, and when it was last used
ROW_STATE_BYTES = 4  # on the GPU for each row in host memory: the table it belongs to
CACHE_FROM_ROWS = 16_384  # where a cache that serves nine rows in ten overtakes PCIe; benchmarks/NOTES.md
_ROWS_PER_COPY = 1 << 16
_DTYPES = (torch.float32, torch.float16)  # of FBGEMM's cache


def num_cached_rows(cache_bytes: int, *, row_bytes: int) -> int:
    """Rows that a cache of so many bytes holds, a multiple of 32; 0 where not even one set fits."""
    return cache_bytes // (ROWS_PER_SET * (row_bytes + STATE_BYTES)) * ROWS_PER_SET


def free_host_bytes() -> int:
    """Bytes of host memory that a process can have without swapping (Linux)."""
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:")]
    return int(line.split()[1]) << 10


class RowCache:
    """R rows in page-locked host memory and a cache of some of them on a GPU.

    Args:
        num_rows: R; the rows are zero at first.
        embedding_dim: D.
        device: of the cache.
        dtype: of the rows.
        cache_rows: rows of the cache, a multiple of 32.

    Raises:
        ValueError: less host memory is free than the rows take.
    """

    def __init__(
        self, num_rows: int, embedding_dim: int, *, device: torch.device, dtype: torch.dtype, cache_rows: int
    ) -> None:
        num_bytes, free_bytes = num_rows * embedding_dim * dtype.itemsize, free_host_bytes()
        if num_bytes > free_bytes:
            raise ValueError(f"{num_rows} rows take {num_bytes} bytes of host memory, of which {free_bytes} are free")
        self._kernel = caching_kernel(
            num_rows, embedding_dim, device=device, dtype=dtype, cache_sets=cache_rows // ROWS_PER_SET
        )
        self.rows = self._kernel.weights_uvm.view(num_rows, embedding_dim)  # a CUDA tensor whose memory is the host's

    def lookup(self, row_ids: Tensor) -> Tensor:
        """Float32 [N, D] of rows (int64 [N], N above 0) through the cache."""
        return self._kernel(row_ids, torch.arange(row_ids.numel() + 1, device=row_ids.device))  # bags of one row

    def is_cached(self, row_ids: Tensor) -> Tensor:
        """Bool [N], rows (int64 [N]) that are in the cache now."""
        return self._places(row_ids) >= 0

    def drop(self, row_ids: Tensor) -> None:
        """Forget what the cache holds of rows (int64 [N]): they are read from the host next time."""
        places = self._places(row_ids)
        self._kernel.lxu_cache_state.view(-1)[places[places >= 0].long()] = -1

    def clear(self) -> None:
        """Forget all that the cache holds."""
        self._kernel.reset_cache_states()

    def _places(self, row_ids: Tensor) -> Tensor:
        state = self._kernel.lxu_cache_state
        return torch.ops.fbgemm.lxu_cache_lookup(row_ids, state, self._kernel.total_cache_hash_size, False, None)


class Pending:
    """Rows that are on their way to the GPU on another stream.

    Attributes:
        event: recorded behind the last of them.
    """

    def __init__(self) -> None:
        self.event = torch.cuda.Event()

    def wait(self, *tensors: Tensor) -> None:
        """Make the current stream wait for them; `tensors` were made on the other stream and are used on this one."""
        stream = torch.cuda.current_stream(tensors[0].device)
        stream.wait_event(self.event)
        for tensor in tensors:
            tensor.record_stream(stream)


class CachedRows(WideTable):
    """A `WideTable` whose rows are in host memory, with a cache on the GPU; the same results, row for row.

    Large look-ups without gradients go through the cache, small ones read the host (see above). With gradients, in
    training, rows are read and updated in host memory directly: a step touches few bytes, and the cache holds no change
    that the host does not have. Optimizer state and the note of which rows are live are on the GPU, 5 bytes a row.
    Growth copies the rows in host memory.

    Args:
        capacity, embedding_dim, device: as in `WideTable`; the device must be a GPU.
        dtype: float32 or float16.
        cache_bytes: GPU memory for the cache.
        cache_from_rows: rows of a look-up from which the cache is used.
        make_cache: makes what holds the rows; default: `RowCache`.

    Raises:
        ValueError: no GPU, a dtype the cache does not take, or a cache too small for 32 rows.
    """

    def __init__(
        self,
        capacity: int = 1024,
        embedding_dim: int = 1024,
        *,
        cache_bytes: int,
        device: torch.device | str = "cuda",
        dtype: torch.dtype = torch.float16,
        cache_from_rows: int = CACHE_FROM_ROWS,
        make_cache: Callable[..., RowCache] | None = None,
    ) -> None:
        device = torch.device(device)
        if make_cache is None:
            _check_gpu(device)
        if dtype not in _DTYPES:
            raise ValueError(f"a GPU cache holds torch.float32 or torch.float16 rows, got {dtype}")
        if embedding_dim > MAX_CUDA_DIM or embedding_dim < 4 or embedding_dim % 4:
            raise ValueError(f"embedding_dim must be a multiple of 4 up to {MAX_CUDA_DIM}, got {embedding_dim}")
        if not num_cached_rows(cache_bytes, row_bytes=embedding_dim * dtype.itemsize):
            raise ValueError(f"a cache of {cache_bytes} bytes does not hold {ROWS_PER_SET} rows of {embedding_dim}")
        nn.Module.__init__(self)
        self.cache_bytes, self.cache_from_rows = cache_bytes, max(1, cache_from_rows)
        self._make_cache = make_cache or RowCache
        self.allocator = RowAllocator(capacity)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._is_stale, self._last = False, torch.cuda.Event() if self._stream else None
        rows = self.allocator.capacity
        self._keep(
            self._new_cache(rows, embedding_dim, device=device, dtype=dtype),
            momentum=torch.zeros(rows, device=device),
            is_live=torch.zeros(rows, device=device, dtype=torch.bool),
        )

    @property
    def cache(self) -> RowCache:
        """What holds the rows."""
        return self._cache

    @torch.no_grad()
    def write(self, row_ids: Tensor, values: Tensor) -> None:
        """See `WideTable.write`."""
        super().write(row_ids, values)
        self._drop(row_ids)

    @torch.no_grad()
    def erase(self, row_ids: Tensor) -> None:
        """See `WideTable.erase`."""
        super().erase(row_ids)
        self._drop(row_ids)

    def known_rows(self, row_ids: Tensor) -> Tensor:
        """See `WideTable.known_rows`."""
        if torch.is_grad_enabled() or row_ids.numel() < self.cache_from_rows:
            return self.weight.index_select(0, row_ids).float()  # the GPU reads the host's memory
        stream = torch.cuda.current_stream(row_ids.device) if self._last else None
        if stream:
            stream.wait_event(self._last)  # another stream may still be filling the cache
        if self._is_stale:
            self._cache.clear()
            self._is_stale = False
        rows = self._cache.lookup(row_ids)
        if stream:
            self._last.record(stream)
        return rows

    def lookup_rows(self, row_ids: Tensor) -> Tensor:
        """See `WideTable.lookup_rows`."""
        self.check_live(row_ids)
        return self.known_rows(row_ids)

    @contextmanager
    def ahead(self) -> Iterator[Pending | None]:
        """Look-ups inside the `with` block run beside what the caller's stream has still to do.

        Yields:
            what to wait for before the rows are used.
        """
        if self._stream is None:
            yield None
            return
        pending = Pending()
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            yield pending
            pending.event.record(self._stream)

    def trainable(self, lr: float, *, eps: float = 1e-8) -> RowTrainer:
        """See `WideTable.trainable`."""
        return _HostRowTrainer(self, lr, eps=eps)

    def rows_were_trained(self) -> None:
        """The rows in host memory have changed, whichever they are: what the cache holds is not to be used."""
        self._is_stale = True

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        embedding_dim: int = 1024,
        *,
        device: torch.device | str = "cuda",
        **options: Any,
    ) -> CachedRows:
        """A table from `state_tensors()`, of whichever kind of table; the rows pass the GPU by.

        Args:
            tensors, embedding_dim, device: as in `WideTable.from_tensors`.
            **options: `cache_bytes` and others of the constructor.

        Raises:
            ValueError: as `WideTable.from_tensors` and the constructor.
        """
        plain = WideTable.from_tensors(tensors, embedding_dim, device="cpu")
        table = cls(1, embedding_dim, device=device, dtype=plain.weight.dtype, **options)
        table._resize(plain.allocator)
        _copy_rows(plain.weight, table.weight)
        table.momentum.copy_(plain.momentum)
        table.is_live.copy_(plain.is_live)
        return table

    def _resize(self, allocator: RowAllocator) -> None:
        """Takes over `allocator` and gives the table its capacity."""
        if allocator.capacity > self.capacity:
            weight, old = self.weight, self.capacity
            cache = self._new_cache(allocator.capacity, self.embedding_dim, device=weight.device, dtype=weight.dtype)
            _copy_rows(weight, cache.rows)
            momentum = self.momentum.new_zeros(allocator.capacity)
            is_live = self.is_live.new_zeros(allocator.capacity)
            momentum[:old], is_live[:old] = self.momentum, self.is_live
            self._keep(cache, momentum=momentum, is_live=is_live)
        self.allocator = allocator

    def _new_cache(self, num_rows: int, embedding_dim: int, *, device: torch.device, dtype: torch.dtype) -> RowCache:
        cache_rows = num_cached_rows(self.cache_bytes, row_bytes=embedding_dim * dtype.itemsize)
        return self._make_cache(num_rows, embedding_dim, device=device, dtype=dtype, cache_rows=cache_rows)

    def _keep(self, cache: RowCache, *, momentum: Tensor, is_live: Tensor) -> None:
        self._hold(cache.rows, momentum=momentum, is_live=is_live)
        self._cache = cache

    def _drop(self, row_ids: Tensor) -> None:
        if not row_ids.numel():
            return
        if self._last:
            torch.cuda.current_stream(row_ids.device).wait_event(self._last)
        self._cache.drop(row_ids)


class _HostRowTrainer(RowTrainer):
    """Trains rows in host memory, and tells their table when they have changed."""

    def _fused(self, row_ids: Tensor) -> Tensor:
        rows = super()._fused(row_ids)
        rows.register_hook(lambda _grad: self.table.rows_were_trained())  # the update follows at once
        return rows


def _copy_rows(old: Tensor, new: Tensor) -> None:
    """Copies the rows of `old` [R, D] into the first ones of `new`, some at a time."""
    for start in range(0, old.shape[0], _ROWS_PER_COPY):
        part = old[start : start + _ROWS_PER_COPY]
        new[start : start + part.shape[0]].copy_(part)


def within_budget(table: WideTable, *, capacity: int, gpu_row_bytes: int | None) -> WideTable:
    """`table`, or the same rows as `CachedRows` once `capacity` rows would take more than the budget.

    Args:
        table: to be grown to `capacity`.
        capacity: rows it is to hold.
        gpu_row_bytes: GPU memory for rows; None = no limit.

    Raises:
        ValueError: a budget for a table that is not on a GPU, or one below 32 rows.
    """
    if gpu_row_bytes is None or isinstance(table, CachedRows):
        return table
    _check_gpu(table.weight.device)
    if capacity * table.weight.shape[1] * table.weight.dtype.itemsize <= gpu_row_bytes:
        return table
    _check_cacheable(table.row_format, gpu_row_bytes=gpu_row_bytes)
    state, device = table.state_tensors(), table.weight.device
    return CachedRows.from_tensors(state, table.embedding_dim, device=device, cache_bytes=gpu_row_bytes)


def load_table(
    tensors: Mapping[str, Tensor],
    embedding_dim: int,
    *,
    device: torch.device | str,
    gpu_row_bytes: int | None,
    codec: RowCodec | None = None,
) -> WideTable:
    """The table of `state_tensors()`: on `device`, or in host memory with a cache there if it exceeds the budget.

    Args:
        tensors, embedding_dim, device: as in `WideTable.from_tensors`.
        gpu_row_bytes: GPU memory for rows; None = no limit.
        codec: of packed rows; None = rows of floats.

    Raises:
        ValueError: see `WideTable.from_tensors`, `PackedTable.from_tensors` and `within_budget`.
    """
    if gpu_row_bytes is not None:
        _check_gpu(torch.device(device))
        if tensors["rows"].nbytes > gpu_row_bytes:
            if codec is not None:
                _check_cacheable(codec.name, gpu_row_bytes=gpu_row_bytes)
            return CachedRows.from_tensors(tensors, embedding_dim, device=device, cache_bytes=gpu_row_bytes)
    if codec is not None:
        return PackedTable.from_tensors(tensors, codec, device=device)
    return WideTable.from_tensors(tensors, embedding_dim, device=device)


def _check_cacheable(row_format: str, *, gpu_row_bytes: int) -> None:
    if FLOAT_FORMATS.get(row_format) not in _DTYPES:
        raise ValueError(
            f"rows stored as {row_format} do not fit into {gpu_row_bytes} bytes of GPU memory: only fp32 and fp16 rows "
            "can be kept in host memory with a cache on the GPU"
        )


def _check_gpu(device: torch.device) -> None:
    if device.type != "cuda":
        raise ValueError(f"rows in host memory with a cache on the GPU need a GPU, got device {str(device)!r}")
