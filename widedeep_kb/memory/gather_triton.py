"""The Triton kernels of `gather`: a program copies a few whole rows, all of whose loads are on their way at once.

Letters: N rows asked for, R rows stored, D numbers in a row, B bytes of a packed row, G groups of S numbers a row.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


class Launch(NamedTuple):
    """How the work is cut: rows a program, and its warps of 32 threads."""

    rows: int
    warps: int


def launch_for(row_bytes: int) -> Launch:
    """About 2 KB a program of 128 threads, one load of 16 bytes for each: a little faster than more (benchmarks)."""
    return Launch(rows=max(1, min(16, 2048 // triton.next_power_of_2(row_bytes))), warps=4)


def gather_on_gpu(rows: Tensor, row_ids: Tensor, *, dtype: torch.dtype, launch: Launch | None = None) -> Tensor:
    """[N, D] of `dtype` from rows [R, D] by row_ids int64 [N]; zeros where there is no such row."""
    dim = rows.shape[1]
    out = torch.empty(len(row_ids), dim, dtype=dtype, device=rows.device)
    launch = launch or launch_for(dim * rows.element_size())
    if out.numel():
        _gather[(triton.cdiv(len(row_ids), launch.rows),)](
            rows,
            row_ids,
            out,
            len(row_ids),
            rows.shape[0],
            DIM=dim,
            BLOCK=triton.next_power_of_2(dim),
            ROWS=launch.rows,
            num_warps=launch.warps,
        )
    return out


def gather_quantised_on_gpu(
    packed: Tensor,
    row_ids: Tensor,
    *,
    num_bits: int,
    num_groups: int,
    dtype: torch.dtype,
    launch: Launch | None = None,
) -> Tensor:
    """[N, G x S] of `dtype` from packed rows uint8 [R, B] (8 or 4 bits); zeros where there is no such row."""
    group_bytes = packed.shape[1] // num_groups
    size = (group_bytes - (8 if num_bits == 8 else 4)) * 8 // num_bits
    out = torch.empty(len(row_ids), num_groups * size, dtype=dtype, device=packed.device)
    launch = launch or launch_for(packed.shape[1])
    if out.numel():
        kernel = _gather_8_bit if num_bits == 8 else _gather_4_bit
        kernel[(triton.cdiv(len(row_ids), launch.rows),)](
            packed,
            row_ids,
            out,
            len(row_ids),
            packed.shape[0],
            SIZE=size,
            BLOCK=triton.next_power_of_2(size * num_bits // 8),
            GROUPS=num_groups,
            GROUP_BLOCK=triton.next_power_of_2(num_groups),
            ROWS=launch.rows,
            num_warps=launch.warps,
        )
    return out


@triton.jit
def _gather(rows, row_ids, out, num_ids, num_rows, DIM: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr):
    places = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    is_place = places < num_ids
    ids = tl.load(row_ids + places, mask=is_place, other=-1)
    is_row = (ids >= 0) & (ids < num_rows)
    columns = tl.arange(0, BLOCK)
    is_column = (columns < DIM)[None, :]
    values = tl.load(rows + ids[:, None] * DIM + columns[None, :], mask=is_row[:, None] & is_column, other=0.0)
    target = out + places[:, None] * DIM + columns[None, :]
    tl.store(target, values.to(out.dtype.element_ty), mask=is_place[:, None] & is_column)


@triton.jit
def _gather_8_bit(
    packed,
    row_ids,
    out,
    num_ids,
    num_rows,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUPS: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
):
    group_bytes: tl.constexpr = SIZE + 8
    places = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    is_place = places < num_ids
    ids = tl.load(row_ids + places, mask=is_place, other=-1)
    is_row = (ids >= 0) & (ids < num_rows)
    groups = tl.arange(0, GROUP_BLOCK)
    starts = ids[:, None] * (GROUPS * group_bytes) + groups[None, :] * group_bytes  # [ROWS, GROUP_BLOCK]
    is_group = is_row[:, None] & (groups < GROUPS)[None, :]
    scales = packed.to(tl.pointer_type(tl.float32)) + (starts + SIZE) // 4
    scale = tl.load(scales, mask=is_group, other=0.0)
    bias = tl.load(scales + 1, mask=is_group, other=0.0)
    columns = tl.arange(0, BLOCK)
    is_column = (columns < SIZE)[None, None, :]
    codes = tl.load(packed + starts[:, :, None] + columns, mask=is_group[:, :, None] & is_column, other=0)
    values = codes.to(tl.float32) * scale[:, :, None] + bias[:, :, None]
    target = out + places[:, None, None] * (GROUPS * SIZE) + groups[None, :, None] * SIZE + columns[None, None, :]
    is_target = (is_place[:, None] & (groups < GROUPS)[None, :])[:, :, None] & is_column
    tl.store(target, values.to(out.dtype.element_ty), mask=is_target)


@triton.jit
def _gather_4_bit(
    packed,
    row_ids,
    out,
    num_ids,
    num_rows,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    GROUPS: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    ROWS: tl.constexpr,
):
    group_bytes: tl.constexpr = SIZE // 2 + 4
    places = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    is_place = places < num_ids
    ids = tl.load(row_ids + places, mask=is_place, other=-1)
    is_row = (ids >= 0) & (ids < num_rows)
    groups = tl.arange(0, GROUP_BLOCK)
    starts = ids[:, None] * (GROUPS * group_bytes) + groups[None, :] * group_bytes  # [ROWS, GROUP_BLOCK]
    is_group = is_row[:, None] & (groups < GROUPS)[None, :]
    scales = packed.to(tl.pointer_type(tl.float16)) + (starts + SIZE // 2) // 2
    scale = tl.load(scales, mask=is_group, other=0.0).to(tl.float32)
    bias = tl.load(scales + 1, mask=is_group, other=0.0).to(tl.float32)
    pairs = tl.arange(0, BLOCK)
    is_pair = (pairs < SIZE // 2)[None, None, :]
    codes = tl.load(packed + starts[:, :, None] + pairs, mask=is_group[:, :, None] & is_pair, other=0)
    both = tl.join(codes & 15, codes >> 4).reshape(ROWS, GROUP_BLOCK, 2 * BLOCK)  # the lower half comes first
    values = both.to(tl.float32) * scale[:, :, None] + bias[:, :, None]
    columns = tl.arange(0, 2 * BLOCK)
    target = out + places[:, None, None] * (GROUPS * SIZE) + groups[None, :, None] * SIZE + columns[None, None, :]
    is_target = (is_place[:, None] & (groups < GROUPS)[None, :])[:, :, None] & (columns < SIZE)[None, None, :]
    tl.store(target, values.to(out.dtype.element_ty), mask=is_target)
