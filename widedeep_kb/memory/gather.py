"""Looks up rows by number: a Triton kernel on a GPU, torch elsewhere.

In: stored rows and row numbers. Out: the rows' contents. A row number that the table does not have gives a row of
zeros on every device, never a read beside the table: callers that want an error check before (`WideTable.check_live`),
and callers that want padding ask for row -1.
Letters: N rows asked for, R rows stored, D numbers in a row.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

HAS_TRITON = find_spec("triton") is not None


def gather_rows(rows: Tensor, row_ids: Tensor, *, dtype: torch.dtype | None = None) -> Tensor:
    """Rows by number.

    Args:
        rows: [R, D] float32, float16 or bfloat16, contiguous.
        row_ids: int64 [N]; numbers outside 0 to R - 1 give zeros.
        dtype: of the result; default: that of `rows`.

    Returns:
        [N, D], a new tensor.

    Raises:
        ValueError: row numbers of another type, shape or device, or rows that are not contiguous.
    """
    check_gather(rows, row_ids)
    dtype = dtype or rows.dtype
    if rows.is_cuda and HAS_TRITON:
        from widedeep_kb.memory.gather_triton import gather_on_gpu

        return gather_on_gpu(rows, row_ids, dtype=dtype)
    return found_rows(rows, row_ids).to(dtype)


def found_rows(rows: Tensor, row_ids: Tensor) -> Tensor:
    """`rows[row_ids]` by torch, with zeros for numbers that are not there."""
    is_row = (row_ids >= 0) & (row_ids < rows.shape[0])
    if not row_ids.is_cuda and bool(is_row.all()):
        return rows.index_select(0, row_ids)
    if not rows.shape[0]:
        return rows.new_zeros(len(row_ids), rows.shape[1])
    return rows.index_select(0, row_ids.where(is_row, 0)).masked_fill_(~is_row[:, None], 0)


def check_gather(rows: Tensor, row_ids: Tensor) -> None:
    """Raises ValueError unless rows [R, D] are contiguous and row_ids int64 [N] on their device."""
    if row_ids.dtype != torch.int64 or row_ids.ndim != 1 or row_ids.device != rows.device:
        found = f"{row_ids.dtype} of shape {tuple(row_ids.shape)} on {row_ids.device}"
        raise ValueError(f"row_ids must be torch.int64 of shape [N] on {rows.device}, got {found}")
    if rows.ndim != 2 or not rows.is_contiguous():
        raise ValueError(f"rows must be contiguous and of shape [R, D], got shape {tuple(rows.shape)}")
