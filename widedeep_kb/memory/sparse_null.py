"""The hard edge of the null choice, shared by wide and deep: little attention on memory becomes exactly none."""

from __future__ import annotations

from torch import Tensor


def sparse_null(mass: Tensor, threshold: float) -> Tensor:
    """Factor that scales what memory adds, given the attention `mass` it received.

    It is 0 up to `threshold` and rises so that factor x mass goes linearly from 0 to 1: where memory has nothing to
    say the LLM's states stay bit-identical instead of nearly so.

    Args:
        mass: any shape, in [0, 1].
        threshold: in [0, 1).
    """
    return ((mass - threshold) / (1 - threshold)).clamp(min=0) / mass.clamp(min=1e-6)
