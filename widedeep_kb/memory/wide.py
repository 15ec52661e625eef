"""The wide memory's storage: a TorchRec embedding table of fact rows that can be written, erased, grown and refined.

In: row numbers from the exact index. Out: row contents. A fact takes one or more consecutive rows of `embedding_dim`
numbers (8 slots x (64 key + 64 value) = 1,024). This is the only file that imports torchrec.
Letters: N rows asked for, B queries, R rows of capacity, U rows in use (one past the last), D = `embedding_dim`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from widedeep_kb.memory.gather import gather_rows
from widedeep_kb.memory.row_trainer import MAX_CUDA_DIM, RowTrainer
from widedeep_kb.memory.rows import RowAllocator

try:
    from torchrec import EmbeddingCollection, EmbeddingConfig, JaggedTensor, KeyedJaggedTensor
    from torchrec.modules.embedding_configs import DataType
except ImportError as error:
    raise ImportError(
        "the wide table needs torchrec: pip install -r requirements-cpu.txt (or requirements-gpu.txt)"
    ) from error

if TYPE_CHECKING:
    from widedeep_kb.memory.cached_rows import Pending
    from widedeep_kb.memory.encoding import EncodedFacts

TABLE_NAME = "wide"
FEATURE_NAME = "facts"
FLOAT_FORMATS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}  # by name of row format
_DATA_TYPES = {torch.float32: DataType.FP32, torch.float16: DataType.FP16, torch.bfloat16: DataType.BF16}


class WideTable(nn.Module):
    """Rows of facts in a `torchrec.EmbeddingCollection`, with a row allocator and row-wise optimizer state.

    A row is free, allocated (by `allocate`) or live (by `write`). Only live rows can be looked up: others raise, so
    that no query ever reads another fact's row by accident. Gradients go through `trainable`; the table's own
    weight never requires one. Do not change the table from two threads at once.

    Args:
        capacity: rows to begin with.
        embedding_dim: D, a multiple of 4; at most 2,048 on CUDA.
        device: where the rows are kept.
        dtype: storage type: float32, float16 or bfloat16. Look-ups are float32 always.
        num_shards: devices that rows will be dealt to (see `RowAllocator`).

    Raises:
        ValueError: an embedding_dim or dtype that the kernels do not take.
    """

    def __init__(
        self,
        capacity: int = 1024,
        embedding_dim: int = 1024,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        num_shards: int = 1,
    ) -> None:
        super().__init__()
        device = torch.device(device)
        _check_layout(embedding_dim, device=device, dtype=dtype)
        self.allocator = RowAllocator(capacity, num_shards=num_shards)
        rows = self.allocator.capacity
        self._hold(
            torch.zeros(rows, embedding_dim, device=device, dtype=dtype),
            momentum=torch.zeros(rows, device=device),
            is_live=torch.zeros(rows, device=device, dtype=torch.bool),
        )

    @property
    def weight(self) -> Tensor:
        """[R, D] the stored rows themselves, not a copy; requires no gradient."""
        return self.collection.embeddings[TABLE_NAME].weight

    @property
    def capacity(self) -> int:
        """R, rows that fit before the table grows."""
        return self.weight.shape[0]

    @property
    def embedding_dim(self) -> int:
        """D, numbers in a row."""
        return self.weight.shape[1]

    @property
    def row_format(self) -> str:
        """Name of the storage type, such as "fp16"."""
        return next(name for name, dtype in FLOAT_FORMATS.items() if dtype == self.weight.dtype)

    @property
    def pack(self) -> Callable[[EncodedFacts, Tensor], Tensor] | None:
        """Makes rows of facts' tokens and features where numbers alone do not do (compact rows); else None."""
        return None

    @property
    def num_live(self) -> int:
        """Rows written and not erased."""
        return int(self.is_live.sum())

    def allocate(self, num_rows: np.ndarray) -> np.ndarray:
        """Reserves `num_rows[i]` consecutive rows per fact; grows by doubling when they do not fit.

        Args:
            num_rows: int [F], each at least 1.

        Returns:
            int64 [F], the first row of each fact. Use `rows.expand_rows` for all its rows.

        Raises:
            ValueError: see `RowAllocator.allocate`. Nothing is reserved if it raises.
        """
        allocator = self.allocator.copy()
        first_rows = allocator.allocate(num_rows)
        self._resize(allocator)
        return first_rows

    def grow(self, capacity: int) -> None:
        """Makes room for at least `capacity` rows; rows, optimizer state and row numbers stay as they are.

        Old and new rows exist together for a moment. Raises ValueError when `capacity` is below the present one.
        """
        allocator = self.allocator.copy()
        allocator.grow(capacity)
        self._resize(allocator)

    def capacity_for(self, num_rows: np.ndarray, *, freed: np.ndarray) -> int:
        """The capacity after `allocate(num_rows)`, once the rows `freed` (int64, each once) are erased.

        Raises:
            ValueError: see `RowAllocator.allocate` and `RowAllocator.free`.
        """
        allocator = self.allocator.copy()
        allocator.free(freed, np.ones_like(freed))
        allocator.allocate(num_rows)
        return allocator.capacity

    def storable(self, values: Tensor, *, num_rows: int) -> Tensor:
        """`values` (float [num_rows, D]) in the table's dtype and on its device.

        Raises:
            ValueError: another shape, or numbers that are not finite in the table's dtype; the message counts from 0.
        """
        if values.shape != (num_rows, self.embedding_dim):
            raise ValueError(f"values must be {(num_rows, self.embedding_dim)}, got {tuple(values.shape)}")
        values = values.detach().to(self.weight)
        is_bad = ~torch.isfinite(values).all(dim=1)
        if is_bad.any():
            raise ValueError(f"row {int(is_bad.int().argmax())} of the values is not finite as {self.weight.dtype}")
        return values

    @torch.no_grad()
    def write(self, row_ids: Tensor, values: Tensor) -> None:
        """Stores rows, makes them live and starts their optimizer state afresh.

        Args:
            row_ids: int64 [N], allocated rows, each once.
            values: float [N, D], finite after conversion to the table's dtype.

        Raises:
            ValueError: rows not allocated or given twice, another shape, or numbers that are not finite.
        """
        self._check_allocated(row_ids)
        self.weight.index_copy_(0, row_ids, self.storable(values, num_rows=row_ids.numel()))
        self._forget_training(row_ids)
        self.is_live.index_fill_(0, row_ids, True)

    @torch.no_grad()
    def erase(self, row_ids: Tensor) -> None:
        """Zeroes rows and their optimizer state, and gives the rows back for later facts.

        Args:
            row_ids: int64 [N], allocated rows, each once.

        Raises:
            ValueError: rows out of range, already free or given twice. Nothing is erased if it raises.
        """
        self._check_allocated(row_ids)
        self.weight.index_fill_(0, row_ids, 0.0)
        self._forget_training(row_ids)
        self.is_live.index_fill_(0, row_ids, False)
        rows = row_ids.cpu().numpy()
        self.allocator.free(rows, np.ones_like(rows))

    def forward(self, values: Tensor, lengths: Tensor) -> JaggedTensor:
        """Looks up several rows per query through the `EmbeddingCollection`.

        Args:
            values: int64 [N], live rows, query after query.
            lengths: int [B], rows of each query, 0 for a miss; they sum to N.

        Returns:
            JaggedTensor of B queries with float32 values [N, D], without gradient.

        Raises:
            ValueError: a row out of range or not live, or lengths that do not sum to N.
        """
        self.check_live(values)
        if int(lengths.sum()) != values.numel():
            raise ValueError(f"lengths sum to {int(lengths.sum())}, but there are {values.numel()} rows")
        return self._collect(values, lengths)

    def lookup(self, values: Tensor, lengths: Tensor) -> JaggedTensor:
        """The same as calling the module."""
        return self(values, lengths)

    def lookup_rows(self, row_ids: Tensor) -> Tensor:
        """Float32 [N, D] of live rows (int64 [N]): the values of `lookup` without the jagged wrapping.

        Raises:
            ValueError: a row out of range or not live.
        """
        self.check_live(row_ids)
        return gather_rows(self.weight, row_ids, dtype=torch.float32)

    def known_rows(self, row_ids: Tensor) -> Tensor:
        """Float32 [N, D] of rows (int64 [N]) that the caller knows to be live: no GPU is waited for to check them."""
        return gather_rows(self.weight, row_ids, dtype=torch.float32)

    def rows_as_stored(self, row_ids: np.ndarray) -> np.ndarray:
        """Numpy [N, D] of live rows (int64 [N]), float16 or float32: as they are stored where numpy knows the type.

        Raises:
            ValueError: a row out of range or not live.
        """
        ids = torch.from_numpy(row_ids).to(self.weight.device)
        if self.weight.dtype in (torch.float16, torch.float32):
            self.check_live(ids)
            return self.weight.index_select(0, ids).cpu().numpy()
        return self.lookup_rows(ids).cpu().numpy()

    def ahead(self) -> AbstractContextManager[Pending | None]:
        """Rows looked up inside the `with` block may still be on their way behind it, if it yields what to wait for."""
        return nullcontext()

    def trainable(self, lr: float, *, eps: float = 1e-8) -> RowTrainer:
        """A differentiable look-up whose backward pass trains the rows; see `RowTrainer`."""
        self.check_trainable()
        return RowTrainer(self, lr, eps=eps)

    def check_trainable(self) -> None:
        """Raises ValueError where rows are stored so that they cannot be trained; these can."""

    def check_live(self, row_ids: Tensor) -> None:
        """Raises ValueError unless `row_ids` is an int64 [N] tensor on the table's device that names live rows only."""
        self._check_range(row_ids)
        is_dead = ~self.is_live.index_select(0, row_ids)
        if is_dead.any():
            raise ValueError(f"row {int(row_ids[is_dead][0])} holds no fact (never written, or erased)")

    def state_tensors(self) -> dict[str, Tensor]:
        """All that `from_tensors` needs, ready for safetensors; `rows` and `momentum` are views, not copies.

        Returns:
            rows [U, D] storage dtype, momentum float32 [U], is_live bool [U], layout int64 [3], free_starts and
            free_lengths int64 [free runs]; spare capacity at the end is left out.
        """
        allocator = self.allocator.trimmed()
        stop = allocator.capacity
        free_list = {name: torch.from_numpy(array.copy()) for name, array in allocator.state().items()}
        return {
            "rows": self.weight.detach()[:stop],
            "momentum": self.momentum[:stop],
            "is_live": self.is_live[:stop],
            **free_list,
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], embedding_dim: int = 1024, *, device: torch.device | str = "cpu"
    ) -> WideTable:
        """A table from `state_tensors()`. Tensors already on `device` are taken over without a copy.

        So rows that `safetensors.safe_open(...).get_tensor(...)` maps from a file on CPU are read from disk as they are
        asked for. The mapping is private: writes to this table never reach the file.

        Args:
            tensors: what `state_tensors` returned.
            embedding_dim: D that the caller's adapters expect.
            device: where the rows shall be kept.

        Raises:
            ValueError: a missing tensor, another `embedding_dim`, or tensors that contradict each other.
        """
        dtypes = {"momentum": torch.float32, "is_live": torch.bool}
        allocator = stored_allocator(tensors, dtypes)
        rows, device = tensors["rows"], torch.device(device)
        if rows.ndim != 2 or rows.shape[1] != embedding_dim:
            raise ValueError(f"rows of shape {tuple(rows.shape)} do not have embedding_dim {embedding_dim}")
        _check_layout(embedding_dim, device=device, dtype=rows.dtype)
        table = cls(1, embedding_dim, device=device, dtype=rows.dtype)
        table.allocator = allocator
        momentum, is_live = (tensors[name].to(device).contiguous() for name in ("momentum", "is_live"))
        table._hold(rows.to(device).contiguous(), momentum=momentum, is_live=is_live)
        return table

    def _collect(self, values: Tensor, lengths: Tensor) -> JaggedTensor:
        features = KeyedJaggedTensor(keys=[FEATURE_NAME], values=values, lengths=lengths)
        return self.collection(features)[FEATURE_NAME]

    def _forget_training(self, row_ids: Tensor) -> None:
        self.momentum.index_fill_(0, row_ids, 0.0)

    def _resize(self, allocator: RowAllocator) -> None:
        """Takes over `allocator` and gives the table its capacity."""
        if allocator.capacity > self.capacity:
            state = (_with_rows(old, allocator.capacity) for old in (self.momentum, self.is_live))
            weight = _with_rows(self.weight.detach(), allocator.capacity)
            self._hold(weight, momentum=next(state), is_live=next(state))
        self.allocator = allocator

    def _hold(self, weight: Tensor, *, momentum: Tensor, is_live: Tensor) -> None:
        """Makes these tensors the storage: weight [R, D], momentum float32 [R], is_live bool [R]."""
        config = EmbeddingConfig(
            name=TABLE_NAME,
            num_embeddings=weight.shape[0],
            embedding_dim=weight.shape[1],
            feature_names=[FEATURE_NAME],
            data_type=_DATA_TYPES[weight.dtype],
        )
        # Made on meta, because it would fill R x D random numbers; then the weight is put in.
        self.collection = EmbeddingCollection(tables=[config], device=torch.device("meta"))
        self.collection.embeddings[TABLE_NAME].weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("momentum", momentum)
        self.register_buffer("is_live", is_live)

    def _check_range(self, row_ids: Tensor) -> None:
        if row_ids.dtype != torch.int64 or row_ids.ndim != 1 or row_ids.device != self.weight.device:
            found = f"{row_ids.dtype} of shape {tuple(row_ids.shape)} on {row_ids.device}"
            raise ValueError(f"row_ids must be torch.int64 of shape [N] on {self.weight.device}, got {found}")
        is_outside = (row_ids < 0) | (row_ids >= self.capacity)
        if is_outside.any():
            raise ValueError(f"row {int(row_ids[is_outside][0])} is not in a table of {self.capacity} rows")

    def _check_allocated(self, row_ids: Tensor) -> None:
        self._check_range(row_ids)
        rows = row_ids.cpu().numpy()
        is_allocated = self.allocator.is_allocated(rows)
        if not is_allocated.all():
            raise ValueError(f"row {int(rows[~is_allocated][0])} is not allocated")
        sorted_rows = np.sort(rows)
        repeated = sorted_rows[1:][sorted_rows[1:] == sorted_rows[:-1]]
        if repeated.size:
            raise ValueError(f"row {int(repeated[0])} is given twice")


def stored_allocator(tensors: Mapping[str, Tensor], dtypes: Mapping[str, torch.dtype]) -> RowAllocator:
    """Which rows are taken, by the `state_tensors()` of a table.

    Args:
        tensors: with "rows", "is_live", the free list and those of `dtypes`.
        dtypes: what tensors must be.

    Raises:
        ValueError: a missing tensor, or tensors that contradict each other.
    """
    missing = {"rows", *dtypes} - set(tensors)
    if missing:
        raise ValueError(f"the wide table's state has no {min(missing)!r}")
    free_list = {name: tensors[name].cpu().numpy() for name in RowAllocator(1).state() if name in tensors}
    allocator = RowAllocator.from_state(free_list)
    for name, dtype in {"rows": tensors["rows"].dtype, **dtypes}.items():
        if tensors[name].shape[0] != allocator.capacity or tensors[name].dtype != dtype:
            found = f"{tensors[name].dtype} of shape {tuple(tensors[name].shape)}"
            raise ValueError(f"{name} must be {dtype} with {allocator.capacity} rows, got {found}")
    live_rows = tensors["is_live"].cpu().nonzero().squeeze(1).numpy()
    if not allocator.is_allocated(live_rows).all():
        raise ValueError("the wide table's state calls rows live that its free list calls free")
    return allocator


def jagged_rows(values: Tensor, lengths: Tensor) -> JaggedTensor:
    """Rows [N, D] of B queries with so many rows each (lengths [B])."""
    return JaggedTensor(values=values, lengths=lengths)


def _with_rows(old: Tensor, num_rows: int) -> Tensor:
    """A copy of `old` [R, ...] with zero rows added up to `num_rows`."""
    new = old.new_empty(num_rows, *old.shape[1:])
    new[: old.shape[0]].copy_(old)
    new[old.shape[0] :].zero_()
    return new


def _check_layout(embedding_dim: int, *, device: torch.device, dtype: torch.dtype) -> None:
    if embedding_dim < 4 or embedding_dim % 4:
        raise ValueError(f"embedding_dim must be a positive multiple of 4, got {embedding_dim}")
    if device.type == "cuda" and embedding_dim > MAX_CUDA_DIM:
        raise ValueError(f"embedding_dim must be at most {MAX_CUDA_DIM} on cuda, got {embedding_dim}")
    if dtype not in _DATA_TYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(str, _DATA_TYPES))}, got {dtype}")
