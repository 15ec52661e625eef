"""Causal passes without a mask where one is made only because a graph is recorded: for training on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

_SPECIAL_MASKS = ("attention_mask", "local_size", "use_vmap", "allow_is_bidirectional_skip")


@contextmanager
def no_causal_masks() -> Iterator[None]:
    """Inside the `with` block LLMs with transformers' fused attention ("sdpa") are given no mask for a causal pass.

    While a graph is recorded transformers cannot look whether sequences are padded or packed, and makes a mask, for
    which slower kernels are taken: pass neither. Sliding windows and attention of other kinds stay as they are.
    """
    usual = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]

    def mask(**wanted: object) -> Tensor | None:
        is_plain = all(wanted.get(name) is None or wanted[name] is False for name in _SPECIAL_MASKS)
        return None if is_plain else usual(**wanted)

    ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = mask
    try:
        yield
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
