"""Causal attention over short sequences as two matrix products and a softmax: for training on a GPU.

Fused attention kernels work on tiles of 64 x 128 scores; a question has about 24 tokens, so that most of a tile is
empty. Here the query heads that share a key head are one matrix.

Letters: B sequences, T tokens, A query heads, G key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

MAX_TOKENS = 128
_SPECIAL_MASKS = ("attention_mask", "local_size", "use_vmap", "allow_is_bidirectional_skip")


def short_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """What transformers' "sdpa" gives, [B, T, A, D], for query [B, A, T, D], key and value [B, G, T, D].

    With a mask, dropout, a bias, a cache or more than `MAX_TOKENS` tokens it is "sdpa" itself.
    """
    num_tokens, causal = query.shape[2], getattr(module, "is_causal", True) if is_causal is None else is_causal
    is_plain = attention_mask is None and dropout == 0 and kwargs.get("position_bias") is None and causal
    if not is_plain or num_tokens > MAX_TOKENS or key.shape[2] != num_tokens:
        options = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal, **kwargs}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    batch_size, num_heads, _, width = query.shape
    shape = (batch_size, key.shape[1], num_heads // key.shape[1], num_tokens, num_tokens)
    grouped = (query * (width**-0.5 if scaling is None else scaling)).reshape(batch_size, key.shape[1], -1, width)
    scores = (grouped @ key.transpose(-1, -2)).view(shape).float()
    later = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=query.device).triu(1)
    weights = torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1).to(value.dtype)
    read = weights.flatten(2, 3) @ value
    return read.view(batch_size, num_heads, num_tokens, width).transpose(1, 2).contiguous(), None


@contextmanager
def attention_for_training(*, is_short: bool = True) -> Iterator[None]:
    """Inside the `with` block LLMs with transformers' fused attention ("sdpa") run causal passes fast.

    No mask is made where a causal one is meant (while a graph is recorded transformers cannot look whether sequences
    are padded or packed, and makes one, for which slower kernels are taken: pass neither), and short sequences take
    `short_attention`. Sliding windows and attention of other kinds stay as they are.

    Args:
        is_short: whether `short_attention` is used.
    """
    usual = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]

    def mask(**wanted: object) -> Tensor | None:
        is_plain = all(wanted.get(name) is None or wanted[name] is False for name in _SPECIAL_MASKS)
        return None if is_plain else usual(**wanted)

    ALL_MASK_ATTENTION_FUNCTIONS["sdpa"] = mask
    if is_short:
        ALL_ATTENTION_FUNCTIONS["sdpa"] = short_attention
    try:
        yield
    finally:
        del ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
        if is_short:
            del ALL_ATTENTION_FUNCTIONS["sdpa"]
