"""All adapters of a reader and a question's slots in buffers of fixed size, for steps over single tokens.

What `OneTokenReader` computes, at the same addresses call after call, so that a step can be a CUDA graph: keys and
values of the slots are projected once a question and copied in; weights are read where the adapters keep them. On a GPU
two Triton kernels an adapter, elsewhere plain torch.

Letters: B sequences, L adapters, A heads, D head width, M slots, H hidden size.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from widedeep_kb.memory.adapter import ProjectedMemory, WideAdapter
from widedeep_kb.memory.encoding import NUM_CUES
from widedeep_kb.memory.sparse_null import sparse_null
from widedeep_kb.memory.writer import token_features

LEAST_SLOTS = 64
_BLOCK_SLOTS = 128
_HEIGHT = 16  # sequences of one product of `add_output`


def num_places(num_slots: int) -> int:
    """Slots that a buffer holds where a question has `num_slots`: a power of two, so that few buffers serve all."""
    return max(LEAST_SLOTS, 1 << (num_slots - 1).bit_length())


class StaticReader:
    """Buffers for B sequences of up to M slots.

    Args:
        adapters: L adapters.
        embeddings: [vocabulary, H] of the LLM.
        batch_size: B.
        num_slots: M.
        is_fused: use the Triton kernels; default: on a GPU with Triton, if D is a power of two.
        is_observed: keep the attention on each slot in `log_attention`.
    """

    def __init__(
        self,
        adapters: Sequence[WideAdapter],
        *,
        embeddings: Tensor,
        batch_size: int,
        num_slots: int,
        is_fused: bool | None = None,
        is_observed: bool = False,
    ) -> None:
        first = adapters[0]
        self.adapters, self.embeddings, self.batch_size, self.num_slots = adapters, embeddings, batch_size, num_slots
        self.num_heads, self.head_dim = first.num_heads, first.head_dim
        weight = first.query.weight
        fits = weight.is_cuda and self.head_dim & (self.head_dim - 1) == 0 and has_triton()
        self.is_fused = fits if is_fused is None else is_fused
        shape = (len(adapters), batch_size, self.num_heads, num_slots)
        with torch.inference_mode(False):  # what is made in inference mode can be written nowhere else
            options = {"dtype": weight.dtype, "device": weight.device}
            self.keys = torch.zeros(*shape, self.head_dim, **options)
            self.values = torch.zeros_like(self.keys)
            self.mask = torch.zeros(batch_size, num_slots, dtype=torch.bool, device=weight.device)
            self.content = torch.zeros(batch_size, weight.shape[0], dtype=torch.float32, device=weight.device)
            self.log_attention = torch.zeros(shape if is_observed else 1, dtype=torch.float32, device=weight.device)
        self.is_observed = is_observed
        self._stream = torch.cuda.Stream() if weight.is_cuda else None

    def load(self, memories: Sequence[ProjectedMemory]) -> None:
        """Take over a question's slots: what each adapter reads, of B sequences and at most M slots."""
        count = memories[0].mask.shape[1] - 1
        torch._foreach_copy_(
            [*self.keys[:, :, :, :count], *self.values[:, :, :, :count]],
            [m.keys[:, :, 1:] for m in memories] + [m.values[:, :, 1:, : self.head_dim] for m in memories],
        )
        self.mask.zero_()
        self.mask[:, :count] = memories[0].mask[:, 1:]

    def cue_queries(self, latest: Tensor) -> tuple[Tensor, ...]:
        """What the last three tokens [B, 3] add to each adapter's query: L of [B, A x D].

        On a GPU this runs beside the layers below the first adapter: call `join` before the results are read.
        """
        if self._stream is None:
            return self._cue_queries(latest)
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            return self._cue_queries(latest)

    def join(self) -> None:
        """Wait, on the GPU, for `cue_queries`."""
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)

    def _cue_queries(self, latest: Tensor) -> tuple[Tensor, ...]:
        newest_first = token_features(latest.flip(1), self.embeddings).flatten(1)
        weights = [adapter.query.weight for adapter in self.adapters]
        features = newest_first.to(weights[0].dtype)
        return tuple(torch.mm(features, weight[:, weight.shape[1] // (1 + NUM_CUES) :].T) for weight in weights)

    def read(self, index: int, hidden: Tensor, *, cue_query: Tensor) -> Tensor:
        """The hidden states [B, 1, H] with what adapter `index` adds, a new tensor.

        Args:
            index: of the adapter.
            hidden: [B, 1, H], the LLM's states as they are.
            cue_query: [B, A x D], this adapter's part of `cue_queries`.
        """
        return (self._read_fused if self.is_fused else self._read_plain)(index, hidden, cue_query)

    def _read_plain(self, index: int, hidden: Tensor, cue_query: Tensor) -> Tensor:
        adapter, heads = self.adapters[index], (self.num_heads, self.head_dim)
        own = adapter.query.weight[:, : hidden.shape[-1]]
        norm = adapter.norm
        normed = F.layer_norm(hidden[:, 0].to(own.dtype), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        query = torch.addmm(cue_query, normed, own.T).unflatten(-1, heads) * self.head_dim**-0.5  # [B, A, D]
        null_score = (query * adapter.null_key[:, 0]).sum(-1, keepdim=True)  # [B, A, 1]
        scores = (self.keys[index] @ query.unsqueeze(-1)).squeeze(-1).masked_fill(~self.mask[:, None], -torch.inf)
        log_weights = torch.log_softmax(torch.cat([null_score, scores], dim=-1), dim=-1)[..., 1:]
        weights = log_weights.exp()
        factor = sparse_null(weights.sum(-1, keepdim=True), adapter.null_threshold)
        content = (weights.unsqueeze(-2) @ self.values[index]).squeeze(-2) * factor
        if self.is_observed:
            self.log_attention[index] = log_weights
        addition = torch.tanh(adapter.gate) * torch.mm(content.flatten(1), adapter.output.weight.T)
        return hidden + addition.to(hidden.dtype).unsqueeze(1)

    def _read_fused(self, index: int, hidden: Tensor, cue_query: Tensor) -> Tensor:
        from triton import cdiv, next_power_of_2  # noqa: PLC0415 - not installed everywhere

        from widedeep_kb.memory.one_token_triton import add_output, attend  # noqa: PLC0415

        adapter, width = self.adapters[index], hidden.shape[-1]
        hidden, out = hidden.contiguous(), torch.empty_like(hidden, memory_format=torch.contiguous_format)
        weight, inner = adapter.query.weight, self.num_heads * self.head_dim
        attend[(self.batch_size, self.num_heads)](
            hidden,
            cue_query,
            adapter.norm.weight,
            adapter.norm.bias,
            weight,
            adapter.null_key,
            self.keys[index],
            self.values[index],
            self.mask.view(torch.int8),
            self.content,
            self.log_attention[index] if self.is_observed else self.log_attention,
            cue_query.stride(0),
            weight.stride(0),
            adapter.norm.eps,
            adapter.null_threshold,
            H=width,
            A=self.num_heads,
            D=self.head_dim,
            M=self.num_slots,
            BLOCK_H=next_power_of_2(width),
            CHUNK=min(128, next_power_of_2(width)),
            BLOCK_M=min(_BLOCK_SLOTS, self.num_slots),
            IS_OBSERVED=self.is_observed,
            num_warps=8,
        )
        height, columns = (1, 16) if self.batch_size == 1 else (_HEIGHT, 32)
        add_output[(cdiv(width, columns), cdiv(self.batch_size, height))](
            hidden,
            self.content,
            adapter.output.weight,
            adapter.gate,
            out,
            self.batch_size,
            H=width,
            K=inner,
            BLOCK_K=next_power_of_2(inner),
            BLOCK_B=height,
            BLOCK_H=columns,
            num_warps=4,
        )
        return out


def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None
