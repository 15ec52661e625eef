"""Trains rows of the wide table in place: row-wise Adagrad fused into the backward pass, at the cost of the batch only.

In: row numbers and which of them may learn. Out: their contents, differentiable. The only file that imports fbgemm
(so FBGEMM's kernel with a cache, for `cached_rows`, is made here too).
Letters: N rows asked for, R rows of capacity, D = `embedding_dim`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

try:
    from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import (
        BoundsCheckMode,
        CacheAlgorithm,
        EmbeddingLocation,
        PoolingMode,
    )
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
        ComputeDevice,
        SplitTableBatchedEmbeddingBagsCodegen,
    )
except (ImportError, OSError) as error:  # OSError: an fbgemm built for another torch
    raise ImportError(
        "the wide table needs the fbgemm that matches this torch: pip install -r requirements-cpu.txt (or "
        "requirements-gpu.txt)"
    ) from error

if TYPE_CHECKING:
    from widedeep_kb.memory.wide import WideTable

MAX_CUDA_DIM = 2048  # the widest row that fbgemm's CUDA kernels take
_KERNEL_TYPES = {torch.float32: SparseType.FP32, torch.float16: SparseType.FP16, torch.bfloat16: SparseType.BF16}
_SHARED_FROM_NUMEL = 1 << 20  # below this a second buffer for a moment costs nothing


class RowTrainer:
    """Row-wise Adagrad on the rows of a `WideTable` that a batch touches, done inside the backward pass.

    For each row of the batch with summed gradient g:
    `momentum += mean(g * g); row -= lr * g / (sqrt(momentum) + eps)`. No momentum term, no decay; other rows are not
    written, and no gradient of the table is ever made. FBGEMM's fused kernel (table-batched embedding, exact row-wise
    Adagrad, sum over bags of one row) works in place on the table's own rows and `momentum` buffer, so there is no
    second copy, and training goes on where it stopped when a table is loaded.

    Call `lookup` once per step, with all rows of the step: each call is an update of its own in the backward pass, so
    gradients cannot be accumulated over several.

    Args:
        table: the table to train. It may grow, be written to or move between steps, not between look-up and backward.
        lr: step size, above 0. Can be changed between steps.
        eps: added to the root, above 0.

    Raises:
        ValueError: `lr` or `eps` not above 0, or a table whose dtypes the kernel does not take (bfloat16 on CPU).
    """

    def __init__(self, table: WideTable, lr: float, *, eps: float = 1e-8) -> None:
        if not lr > 0 or not eps > 0:
            raise ValueError(f"lr and eps must be above 0, got {lr} and {eps}")
        self.table = table
        self.eps = eps
        self._lr = lr
        self._kernel = self._bind()

    @property
    def lr(self) -> float:
        """Step size of the next look-up's update."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = value
        self._kernel.set_learning_rate(value)

    def lookup(self, row_ids: Tensor, is_trainable: Tensor | None = None) -> Tensor:
        """Float32 [N, D]; the backward pass through it updates the rows whose `is_trainable` is True.

        Args:
            row_ids: int64 [N], live rows; repeats are summed before the update.
            is_trainable: bool [N] (None = all). Other rows are detached. A row named twice is trained through its
                trainable places only.

        Raises:
            ValueError: a row out of range or not live, or a mask of another shape or dtype.
        """
        if is_trainable is not None and (is_trainable.shape != row_ids.shape or is_trainable.dtype != torch.bool):
            found = f"{is_trainable.dtype} of shape {tuple(is_trainable.shape)}"
            raise ValueError(f"is_trainable must be torch.bool of shape {tuple(row_ids.shape)}, got {found}")
        if is_trainable is None:
            self.table.check_live(row_ids)
            return self._fused(row_ids) if row_ids.numel() else self.table.lookup_rows(row_ids)
        rows = self.table.lookup_rows(row_ids)
        places = is_trainable.nonzero().squeeze(1)
        if places.numel() == 0:
            return rows
        return rows.index_copy(0, places, self._fused(row_ids.index_select(0, places)))

    def known_rows(self, row_ids: Tensor) -> Tensor:
        """`lookup` of rows, at least one, that the caller knows to be live: a GPU is not waited for to check them."""
        return self._fused(row_ids)

    def _fused(self, row_ids: Tensor) -> Tensor:
        """float32 [N, D] from the kernel, which is bound anew if the table's storage was replaced since."""
        if _weights_of(self._kernel).data_ptr() != self.table.weight.data_ptr():
            self._kernel = self._bind()
        offsets = torch.arange(row_ids.numel() + 1, device=row_ids.device)  # bags of one row
        return self._kernel(row_ids, offsets)

    def _bind(self) -> SplitTableBatchedEmbeddingBagsCodegen:
        """A kernel that works on the table's own rows and momentum."""
        weight, is_cuda = self.table.weight.detach(), self.table.weight.is_cuda
        if weight.dtype == torch.bfloat16 and not is_cuda:
            raise ValueError("FBGEMM cannot train torch.bfloat16 rows on cpu; use torch.float32 or torch.float16")
        if self.table.momentum.dtype != torch.float32:
            raise ValueError(
                f"the optimizer state must stay torch.float32, but was cast to {self.table.momentum.dtype}"
            )
        location = EmbeddingLocation.DEVICE if is_cuda else EmbeddingLocation.HOST
        compute = ComputeDevice.CUDA if is_cuda else ComputeDevice.CPU
        with _SharedStorage(weight.view(-1)):
            kernel = SplitTableBatchedEmbeddingBagsCodegen(
                [(weight.shape[0], weight.shape[1], location, compute)],
                weights_precision=_KERNEL_TYPES[weight.dtype],
                output_dtype=SparseType.FP32,
                optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
                learning_rate=self._lr,
                eps=self.eps,
                stochastic_rounding=weight.dtype != torch.float32,  # else small updates of half rows round to nothing
                pooling_mode=PoolingMode.SUM,  # with bags of one row: 6 times faster on CPU than PoolingMode.NONE
                device=weight.device,
                bounds_check_mode=BoundsCheckMode.NONE,  # rows are checked before, and a bad one raises
            )
        _weights_of(kernel).data = weight.view(-1)
        momentum = kernel.momentum1_dev if is_cuda else kernel.momentum1_host
        momentum.data = self.table.momentum
        return kernel


class _SharedStorage(TorchFunctionMode):
    """Hands a new FBGEMM kernel the table's storage where it would make its own buffer of that size.

    Without this a kernel for a 4 GB table fills another 4 GB with zeros, only for them to be replaced.
    """

    def __init__(self, storage: Tensor) -> None:
        super().__init__()
        self._storage = storage

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        is_buffer = func in (torch.zeros, torch.empty) and args == (self._storage.numel(),)
        if is_buffer and kwargs.get("dtype") == self._storage.dtype and self._storage.numel() >= _SHARED_FROM_NUMEL:
            return self._storage
        return func(*args, **kwargs)


def caching_kernel(
    num_rows: int, embedding_dim: int, *, device: torch.device, dtype: torch.dtype, cache_sets: int
) -> SplitTableBatchedEmbeddingBagsCodegen:
    """FBGEMM's kernel for `num_rows` zero rows in page-locked host memory, with an LRU cache on a GPU.

    Args:
        num_rows, embedding_dim: of the table.
        device: the GPU.
        dtype: of the rows and the cache, float32 or float16.
        cache_sets: sets of 32 rows.
    """
    return SplitTableBatchedEmbeddingBagsCodegen(
        [(num_rows, embedding_dim, EmbeddingLocation.MANAGED_CACHING, ComputeDevice.CUDA)],
        weights_precision=_KERNEL_TYPES[dtype],
        cache_precision=_KERNEL_TYPES[dtype],
        output_dtype=SparseType.FP32,
        optimizer=EmbOptimType.EXACT_SGD,  # never run: it has no state to allocate
        cache_algorithm=CacheAlgorithm.LRU,
        cache_sets=cache_sets,
        pooling_mode=PoolingMode.SUM,
        device=device,
        bounds_check_mode=BoundsCheckMode.NONE,  # rows are checked before
        uvm_host_mapped=True,
    )


def _weights_of(kernel: SplitTableBatchedEmbeddingBagsCodegen) -> Tensor:
    """The kernel's flat weights [R * D]."""
    return kernel.weights_host if kernel.use_cpu else kernel.weights_dev
