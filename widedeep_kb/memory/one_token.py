"""Reading the wide memory for one new token, without gradients, in as few operations as it can be done.

A decode step of a small LLM on a GPU takes as long as its operations take to be issued, so their number counts, not
their size. This computes what `WideAdapter.forward` computes, from weights and memory prepared once per call of the
LLM: the cue part of all adapters' queries is one product, the gate is part of the output weight, the mask is added, and
results go to buffers whose views are made beforehand.

Letters: B sequences, L adapters, A heads, D head width, M memory slots, H hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from widedeep_kb.memory.adapter import MARK_CHANNELS, AdapterOutput, ProjectedMemory, WideAdapter
from widedeep_kb.memory.encoding import NUM_CUES

_LEAST_THRESHOLD = 1e-12  # keeps the factor 0, not nan, where there is no attention


class _Prepared(NamedTuple):
    """One adapter's weights and memory.

    Attributes:
        norm: shape, weight, bias and epsilon of the layer norm.
        query: [H, A x D], the part of the query's weight that reads the hidden state.
        keys: [B x A, D, 1 + M].
        mask: [B x A, 1, 1 + M], 0 or -inf, added to the scores.
        values: [B x A, 1 + M, D + 8].
        highest: 1 / (1 - threshold).
        taken: threshold / (1 - threshold); `sparse_null` is highest - taken / attention, where that is positive.
        output: [A x D, H], times tanh(gate), in the LLM's dtype.
    """

    norm: tuple[tuple[int, ...], Tensor, Tensor, float]
    query: Tensor
    keys: Tensor
    mask: Tensor
    values: Tensor
    highest: Tensor
    taken: Tensor
    output: Tensor


class _Buffers:
    """Where the results of one adapter after another go, and their views.

    Args:
        sizes: B, A, D, H and the width of a value.
        like: the adapters' dtype and device.
        dtype: the LLM's.
    """

    def __init__(self, sizes: tuple[int, int, int, int, int], *, like: Tensor, dtype: torch.dtype) -> None:
        batch, heads, dim, hidden, width = sizes
        with torch.inference_mode(False):  # what is made in inference mode can be written nowhere else
            self.hidden, self.query = like.new_empty(batch, hidden), like.new_empty(batch, heads * dim)
            self.read = like.new_empty(batch * heads, 1, width)
            self.content = like.new_empty(batch * heads, 1, dim, dtype=dtype)
            self.addition = like.new_empty(batch, hidden, dtype=dtype)
            self.hidden_steps, self.addition_steps = self.hidden.unsqueeze(1), self.addition.unsqueeze(1)  # [B, 1, H]
            self.query_heads = self.query.view(batch * heads, 1, dim)
            self.content_read, self.mass = self.read[..., :dim], self.read[..., dim : dim + 1]
            self.content_flat = self.content.view(batch, heads * dim)


class OneTokenReader:
    """All adapters of a reader and their memory, ready for single tokens of B sequences.

    It holds copies: make a new one for each call, and none where gradients are recorded.

    Args:
        adapters: L adapters.
        memories: what each of them reads, of equal batch size.
        dtype: the LLM's.
    """

    def __init__(
        self, adapters: Sequence[WideAdapter], memories: Sequence[ProjectedMemory], *, dtype: torch.dtype
    ) -> None:
        first, values = adapters[0], memories[0].values
        self.batch_size, self.num_heads, self.head_dim = values.shape[0], first.num_heads, first.head_dim
        self._scale = self.head_dim**-0.5
        self._cue_weight = torch.cat([_oldest_cue_first(adapter) for adapter in adapters]).T.contiguous()
        self._prepared = [_prepare(a, memory, dtype=dtype) for a, memory in zip(adapters, memories, strict=True)]
        sizes = (self.batch_size, self.num_heads, self.head_dim, first.norm.normalized_shape[0], values.shape[-1])
        self._buffers = _Buffers(sizes, like=first.query.weight.detach(), dtype=dtype)

    def cue_queries(self, cues: Tensor) -> tuple[Tensor, ...]:
        """What the cues add to each adapter's query: L of [B, A x D].

        Args:
            cues: [B, 3, H] in the adapters' dtype, features of the second last, the last and the new token.
        """
        queries = torch.mm(cues.view(self.batch_size, -1), self._cue_weight)
        return queries.split(self.num_heads * self.head_dim, dim=1)

    def read(
        self, index: int, hidden: Tensor, *, cue_query: Tensor, is_observed: bool
    ) -> tuple[Tensor, AdapterOutput | None]:
        """What adapter `index` adds, [B, 1, H], good until the next call, and where it looked if `is_observed`.

        Args:
            index: of the adapter.
            hidden: [B, 1, H], the LLM's states as they are.
            cue_query: [B, A x D], this adapter's part of `cue_queries`.
            is_observed: return the attention too.
        """
        own, buffers = self._prepared[index], self._buffers
        buffers.hidden_steps.copy_(hidden)
        normed = torch.layer_norm(buffers.hidden, *own.norm)
        torch.addmm(cue_query, normed, own.query, out=buffers.query)
        scores = torch.baddbmm(own.mask, buffers.query_heads, own.keys, alpha=self._scale)
        weights = torch.softmax(scores, dim=-1)
        torch.bmm(weights, own.values, out=buffers.read)
        factor = torch.addcdiv(own.highest, own.taken, buffers.mass, value=-1.0).clamp_min_(0.0)  # mass 0: -inf, so 0
        torch.mul(buffers.content_read, factor, out=buffers.content)
        torch.mm(buffers.content_flat, own.output, out=buffers.addition)
        if not is_observed:
            return buffers.addition_steps, None
        attention = buffers.read[..., self.head_dim :].clone().view(-1, self.num_heads, 1, MARK_CHANNELS)
        mass, marked = attention[..., 0], attention[..., 1]
        weights = weights.view(self.batch_size, self.num_heads, 1, -1)
        return buffers.addition_steps, AdapterOutput(buffers.addition_steps, mass, marked, weights)


def _oldest_cue_first(adapter: WideAdapter) -> Tensor:
    """[A x D, 3H]: the part of the query's weight that reads the cues, in the order of the text."""
    weight = adapter.query.weight
    return weight[:, weight.shape[1] // (1 + NUM_CUES) :].unflatten(1, (NUM_CUES, -1)).flip(1).flatten(1)


def _prepare(adapter: WideAdapter, memory: ProjectedMemory, *, dtype: torch.dtype) -> _Prepared:
    weight = adapter.query.weight
    mask = torch.zeros_like(memory.mask, dtype=weight.dtype).masked_fill_(~memory.mask, -torch.inf)
    threshold = max(adapter.null_threshold, _LEAST_THRESHOLD)
    norm = adapter.norm
    return _Prepared(
        norm=(norm.normalized_shape, norm.weight, norm.bias, norm.eps),
        query=weight[:, : weight.shape[1] // (1 + NUM_CUES)].T,
        keys=memory.keys.to(weight.dtype).flatten(0, 1).transpose(1, 2),
        mask=mask.repeat_interleave(adapter.num_heads, dim=0).unsqueeze(1),
        values=memory.values.to(weight.dtype).flatten(0, 1),
        highest=weight.new_tensor(1 / (1 - threshold)),
        taken=weight.new_tensor(threshold / (1 - threshold)),
        output=(torch.tanh(adapter.gate) * adapter.output.weight).to(dtype).T,
    )
