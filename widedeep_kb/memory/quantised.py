"""Rows as 8-bit or 4-bit codes in FBGEMM's fused layout: each group of numbers with a scale and a bias behind it.

In: float rows. Out: bytes, and float rows again. A group is one slot of a row: an empty slot, all zeros, stays so.
Letters: N rows asked for, R rows stored, D numbers in a row, B bytes of a packed row, G groups of S numbers a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

import widedeep_kb.memory.row_trainer  # noqa: F401 - registers FBGEMM's operators
from widedeep_kb.memory.encoding import SLOTS_PER_ROW
from widedeep_kb.memory.gather import HAS_TRITON, check_gather, found_rows

SCALE_BYTES = {8: 8, 4: 4, 2: 4}  # scale and bias of a group: float32 behind 8-bit codes, else float16


def gather_quantised(
    packed: Tensor, row_ids: Tensor, *, num_bits: int, num_groups: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Rows by number from FBGEMM's fused layout, each group of numbers with its own scale and bias; dequantised.

    Args:
        packed: uint8 [R, B], contiguous: G groups of S codes (`num_bits` each), scale and bias.
        row_ids: int64 [N]; numbers outside 0 to R - 1 give zeros.
        num_bits: 8 or 4.
        num_groups: G.
        dtype: of the result.

    Returns:
        [N, G x S].

    Raises:
        ValueError: as `gather_rows`.
    """
    check_gather(packed, row_ids)
    if packed.is_cuda and HAS_TRITON:
        from widedeep_kb.memory.gather_triton import gather_quantised_on_gpu

        return gather_quantised_on_gpu(packed, row_ids, num_bits=num_bits, num_groups=num_groups, dtype=dtype)
    # a zero row has scale and bias 0: its numbers are 0
    return dequantise(found_rows(packed, row_ids), num_bits=num_bits, num_groups=num_groups).to(dtype)


def quantise(values: Tensor, *, num_bits: int, num_groups: int) -> Tensor:
    """Uint8 [N, B] in FBGEMM's fused layout from float [N, D]; a group that is all zeros stays exactly zero."""
    groups = values.float().reshape(len(values) * num_groups, -1).contiguous()
    if num_bits == 8:
        packed = torch.ops.fbgemm.FloatToFused8BitRowwiseQuantized(groups)
    else:
        packed = torch.ops.fbgemm.FloatToFusedNBitRowwiseQuantizedSBHalf(groups, num_bits)
    return packed.reshape(len(values), num_groups * packed.shape[1])


def dequantise(packed: Tensor, *, num_bits: int, num_groups: int) -> Tensor:
    """Float32 [N, D] from what `quantise` returned."""
    groups = packed.reshape(len(packed) * num_groups, -1).contiguous()
    if num_bits == 8:
        values = torch.ops.fbgemm.Fused8BitRowwiseQuantizedToFloat(groups)
    else:
        values = torch.ops.fbgemm.FusedNBitRowwiseQuantizedSBHalfToFloat(groups, num_bits)
    return values.reshape(len(packed), num_groups * values.shape[1])


class QuantisedCodec:
    """Float rows as codes of `num_bits`, a scale and a bias for each of the row's slots.

    Args:
        embedding_dim: D, a multiple of 32.
        num_bits: 8 or 4.

    Raises:
        ValueError: another embedding_dim.
    """

    def __init__(self, embedding_dim: int, *, num_bits: int) -> None:
        if embedding_dim < 4 * SLOTS_PER_ROW or embedding_dim % (4 * SLOTS_PER_ROW):
            raise ValueError(f"int{num_bits} rows need a multiple of {4 * SLOTS_PER_ROW} numbers, got {embedding_dim}")
        self.name, self.embedding_dim, self.num_bits = f"int{num_bits}", embedding_dim, num_bits
        self.row_bytes = embedding_dim * num_bits // 8 + SLOTS_PER_ROW * SCALE_BYTES[num_bits]

    def encode(self, values: Tensor) -> Tensor:
        """Uint8 [N, B] of float rows [N, D]."""
        return quantise(values, num_bits=self.num_bits, num_groups=SLOTS_PER_ROW)

    def rows(self, packed: Tensor, row_ids: Tensor) -> Tensor:
        """Float32 [N, D] by number (int64 [N]) from packed rows [R, B]."""
        return gather_quantised(packed, row_ids, num_bits=self.num_bits, num_groups=SLOTS_PER_ROW)
