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


class ProjectedMemory(NamedTuple):
    """Memory keys and values of one adapter, projected once per call.

    Attributes:
        keys: [B, A, M, D].
        values: [B, A, M, D].
    """

    keys: Tensor
    values: Tensor


class AdapterOutput(NamedTuple):
    """What an adapter adds and where it looked.

    Attributes:
        addition: [B, T, H], exactly zero where the null slot takes nearly all attention.
        weights: [B, A, T, 1 + M] float32 attention, the null slot first.
    """

    addition: Tensor
    weights: Tensor


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
        self, hidden_size: int, *, slot_width: int = 64, num_heads: int = 8, head_dim: int = 32, null_threshold: float = 0.1
    ) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.null_threshold = num_heads, head_dim, null_threshold
        inner = num_heads * head_dim
        self.norm = nn.LayerNorm(hidden_size)
        self.query = nn.Linear((1 + NUM_CUES) * hidden_size, inner, bias=False)
        self.key = nn.Linear(slot_width, inner, bias=False)
        self.value = nn.Linear(slot_width, inner, bias=False)
        self.output = nn.Linear(inner, hidden_size, bias=False)
        self.null_key = nn.Parameter(torch.zeros(num_heads, 1, head_dim))
        self.null_bias = nn.Parameter(torch.zeros(num_heads, 1, 1))
        self.gate = nn.Parameter(torch.tensor(0.5))

    def project(self, slot_keys: Tensor, slot_values: Tensor) -> ProjectedMemory:
        """Project slots [B, M, W] once; the result serves every token of a call."""
        shape = (self.num_heads, self.head_dim)
        keys = self.key(slot_keys).unflatten(-1, shape).transpose(1, 2)
        values = self.value(slot_values).unflatten(-1, shape).transpose(1, 2)
        return ProjectedMemory(keys, values)

    def forward(self, hidden_states: Tensor, memory: ProjectedMemory, *, memory_mask: Tensor, cues: Tensor) -> AdapterOutput:
        """Read the memory.

        Args:
            hidden_states: [B, T, H], layer-normed by `norm`.
            memory: this adapter's projected keys and values.
            memory_mask: [B, M] bool, True = a slot that can be read.
            cues: [B, T, 3H], features of the current token and the two before it.
        """
        query = self.query(torch.cat([hidden_states, cues.to(hidden_states.dtype)], dim=-1))
        query = query.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [B, A, T, D]
        scale = self.head_dim**-0.5
        scores = (query @ memory.keys.transpose(-1, -2)).float() * scale
        scores = scores.masked_fill(~memory_mask[:, None, None], -torch.inf)
        null = (query @ self.null_key.to(query.dtype).transpose(-1, -2)).float() * scale + self.null_bias
        weights = torch.softmax(torch.cat([null, scores], dim=-1), dim=-1)
        mass = 1 - weights[..., :1]
        read = weights[..., 1:].to(memory.values.dtype) @ memory.values  # [B, A, T, D]; the null slot's value is zero
        read = read * sparse_null(mass, self.null_threshold).to(read.dtype)
        addition = torch.tanh(self.gate) * self.output(read.transpose(1, 2).flatten(-2))
        return AdapterOutput(addition, weights)


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
