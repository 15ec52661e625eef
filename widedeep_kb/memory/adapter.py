"""Gated cross-attention: how one decoder layer of the frozen LLM reads the wide memory.

A query is made from the layer's hidden state and the last three tokens; the keys hold the meaning of a fact and the
tokens that precede a slot, so that the choice of the fact is semantic and the choice of the next token is induction.

Letters: B sequences, T tokens, H hidden size, M memory slots, A heads, D head width, W slot width, C facts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widedeep_kb.memory.encoding import NUM_CUES
from widedeep_kb.memory.sparse_null import sparse_null

HIT_FEATURES = 3
MARK_CHANNELS = 8  # value channels that carry marks instead of content, a multiple of 8 for the attention kernels


class ProjectedMemory(NamedTuple):
    """Memory keys and values of one adapter, projected once per call; the null slot comes first.

    Attributes:
        keys: [B, A, 1 + M, D].
        values: [B, A, 1 + M, D + 8]: content, then 1 for a real slot, then the caller's mark, then zeros.
        mask: [B, 1 + M] bool, True = a slot that can be read; the null slot always can.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor


class AdapterOutput(NamedTuple):
    """What an adapter adds and where it looked.

    Attributes:
        addition: [B, T, H], exactly zero where the null slot takes nearly all attention.
        mass: [B, A, T] attention on all real slots.
        marked: [B, A, T] attention on the slots the caller marked.
        weights: [B, A, T, 1 + M] float32 attention, the null slot first; None unless asked for.
    """

    addition: Tensor
    mass: Tensor
    marked: Tensor
    weights: Tensor | None


class WideAdapter(nn.Module):
    """Cross-attention from a decoder layer to memory slots, with a learnt null slot and a gate.

    Args:
        hidden_size: H.
        slot_width: W.
        num_heads: A.
        head_dim: D.
        null_threshold: share of attention below which memory adds exactly nothing.
    """

    def __init__(
        self,
        hidden_size: int,
        *,
        slot_width: int = 64,
        num_heads: int = 8,
        head_dim: int = 32,
        null_threshold: float = 0.1,
    ) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.null_threshold = num_heads, head_dim, null_threshold
        inner = num_heads * head_dim
        self.norm = nn.LayerNorm(hidden_size)
        self.query = nn.Linear((1 + NUM_CUES) * hidden_size, inner, bias=False)
        self.key = nn.Linear(slot_width + HIT_FEATURES, inner, bias=False)
        self.value = nn.Linear(slot_width, inner, bias=False)
        self.output = nn.Linear(inner, hidden_size, bias=False)
        self.null_key = nn.Parameter(torch.zeros(num_heads, 1, head_dim))
        self.gate = nn.Parameter(torch.tensor(0.5))

    def project(
        self, slot_keys: Tensor, slot_values: Tensor, *, hits: Tensor, mask: Tensor, marks: Tensor | None = None
    ) -> ProjectedMemory:
        """Project slots once; the result serves every token of a call.

        Args:
            slot_keys, slot_values: [B, M, W].
            hits: [B, M, 3], how the exact index came to each slot's fact (see `hit_features`).
            mask: [B, M] bool, real slots.
            marks: [B, M], slots whose attention the caller wants to know; default: none.
        """
        shape = (self.num_heads, self.head_dim)
        keys = self.key(torch.cat([slot_keys, hits.to(slot_keys.dtype)], dim=-1)).unflatten(-1, shape).transpose(1, 2)
        values = self.value(slot_values).unflatten(-1, shape).transpose(1, 2)
        extra = values.new_zeros(*values.shape[:3], MARK_CHANNELS)
        extra[..., 0] = 1.0
        if marks is not None:
            extra[..., 1] = marks[:, None].to(values.dtype)
        null_key = self.null_key.to(keys.dtype).expand(len(keys), -1, -1, -1)
        return ProjectedMemory(
            keys=torch.cat([null_key, keys], dim=2),
            values=F.pad(torch.cat([values, extra], dim=-1), (0, 0, 1, 0)),  # the null slot's value is zero
            mask=F.pad(mask, (1, 0), value=True),
        )

    def forward(
        self, hidden_states: Tensor, memory: ProjectedMemory, *, cues: Tensor, needs_weights: bool = False
    ) -> AdapterOutput:
        """Read the memory.

        Args:
            hidden_states: [B, T, H], layer-normed by `norm`.
            memory: this adapter's projected keys and values.
            cues: [B, T, 3H], features of the current token and the two before it.
            needs_weights: return the attention on each slot, at the price of the fused kernel.
        """
        query = self.query(torch.cat([hidden_states, cues.to(hidden_states.dtype)], dim=-1))
        query = query.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [B, A, T, D]
        weights = None
        if needs_weights or query.shape[2] == 1:  # for one token the fused kernel's set-up costs more than it saves
            scores = (query @ memory.keys.transpose(-1, -2)).float() * self.head_dim**-0.5
            weights = torch.softmax(scores.masked_fill(~memory.mask[:, None, None], -torch.inf), dim=-1)
            read = weights.to(memory.values.dtype) @ memory.values
        else:
            read = F.scaled_dot_product_attention(
                query, memory.keys.to(query.dtype), memory.values.to(query.dtype), attn_mask=memory.mask[:, None, None]
            )
        content, mass, marked = read[..., : self.head_dim], read[..., self.head_dim], read[..., self.head_dim + 1]
        content = content * sparse_null(mass.unsqueeze(-1), self.null_threshold)
        addition = torch.tanh(self.gate) * self.output(content.transpose(1, 2).flatten(-2))
        return AdapterOutput(addition, mass, marked, weights if needs_weights else None)


def hit_features(weights: Tensor) -> Tensor:
    """How the exact index came to facts, as features of their slots: [B, R, 3] from the hits' weights [B, R].

    They are the weight itself (about 0.2 for a fact that merely shares the subject, up to 0.8 where the question names
    its relation), whether it is the highest of the question, and its distance to the highest.
    """
    highest = weights.max(dim=-1, keepdim=True).values
    return torch.stack([weights, (weights >= highest - 1e-4).to(weights.dtype), highest - weights], dim=-1)


def split_rows(rows: Tensor, *, slot_width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Slots of rows: keys and values [..., M, W] and the mask [..., M] (an all-zero value is no slot).

    Args:
        rows: [..., R, S x 2W].
        slot_width: W.
    """
    slots = rows.unflatten(-1, (-1, 2 * slot_width)).flatten(-3, -2)
    keys, values = slots[..., :slot_width], slots[..., slot_width:]
    return keys, values, (values != 0).any(-1)


def repeat_to(tensor: Tensor, batch_size: int) -> Tensor:
    """Rows of `tensor` repeated for beams or several return sequences, as `generate` repeats the prompts."""
    if tensor.shape[0] == batch_size:
        return tensor
    if batch_size % tensor.shape[0]:
        raise ValueError(f"memory is bound for {tensor.shape[0]} prompts, the LLM was called with {batch_size}")
    return tensor.repeat_interleave(batch_size // tensor.shape[0], dim=0)


def layer_norm_like(norm: nn.LayerNorm, hidden_states: Tensor) -> Tensor:
    """`norm` in float32, cast to its weights' dtype or the autocast dtype downstream."""
    return F.layer_norm(hidden_states.float(), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
