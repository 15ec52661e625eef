"""The writer: turns facts into memory rows, with the frozen LLM's lower layers and a few trained projections.

A fact's value has one slot a token. A slot's key is the sum of a semantic part (what the LLM's lower layers make of
"The {relation} of {subject} is"), the three tokens before it inside the value (so that reading goes on like induction)
and its position; its value is the token itself. Rows are what is stored; the writer runs only on insert.

Letters: N facts, F features of a fact (writer layers x H), R rows, S slots a row, W slot width, H hidden size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS, NUM_CUES, SLOTS_PER_ROW, EncodedFacts


def token_features(token_ids: Tensor, embedding_weight: Tensor) -> Tensor:
    """Layer-normed input embeddings [..., H] float32 of `token_ids` [...]; negative ids (no token) give zeros."""
    features = F.embedding(token_ids.clamp(min=0), embedding_weight).float()
    return F.layer_norm(features, features.shape[-1:]) * (token_ids >= 0).unsqueeze(-1)


class Writer(nn.Module):
    """Projects a fact's features and token ids to rows.

    Args:
        hidden_size: H of the LLM.
        num_layers: how many lower layers of the LLM it reads (F = num_layers x H).
        slot_width: W, numbers in a slot's key and in its value.
    """

    def __init__(self, hidden_size: int, num_layers: int, *, slot_width: int = 64) -> None:
        super().__init__()
        self.hidden_size, self.slot_width = hidden_size, slot_width
        self.semantic = nn.Linear(num_layers * hidden_size, slot_width)
        self.cues = nn.Linear(NUM_CUES * hidden_size, slot_width, bias=False)
        self.value = nn.Linear(hidden_size, slot_width)
        self.position = nn.Parameter(torch.randn(MAX_VALUE_TOKENS + SLOTS_PER_ROW, slot_width) * 0.3)

    @property
    def row_width(self) -> int:
        """Numbers in a row: S slots x (key + value) x W."""
        return SLOTS_PER_ROW * 2 * self.slot_width

    def forward(
        self,
        features: Tensor,
        chunk_tokens: Tensor,
        *,
        chunk_cues: Tensor,
        chunk_starts: Tensor,
        embedding_weight: Tensor,
    ) -> Tensor:
        """Rows of R chunks.

        Args:
            features: [R, F], the LLM's states for each row's fact.
            chunk_tokens: [R, S] int64, -1 where the row has no slot.
            chunk_cues: [R, S, 3] int64.
            chunk_starts: [R] int64.
            embedding_weight: [vocabulary, H], the LLM's input embeddings.

        Returns:
            [R, S x 2W] float32; an empty slot is all zeros, which readers take as "no slot".
        """
        semantic = self.semantic_part(features)  # [R, W]
        cues = self.cues(token_features(chunk_cues, embedding_weight).flatten(-2))  # [R, S, W]
        positions = chunk_starts[:, None] + torch.arange(SLOTS_PER_ROW, device=chunk_starts.device)
        key = semantic[:, None] + cues + self.position[positions]
        value = self.value(token_features(chunk_tokens, embedding_weight))
        width = (self.slot_width,)
        slots = torch.cat([F.layer_norm(key.float(), width), F.layer_norm(value.float(), width)], dim=-1)
        return (slots * (chunk_tokens >= 0).unsqueeze(-1)).flatten(-2)

    def semantic_part(self, features: Tensor) -> Tensor:
        """What the keys of a fact's slots share: [N, W] float32 of features [N, F]."""
        parts = features.float().unflatten(-1, (-1, self.hidden_size))
        return self.semantic(F.layer_norm(parts, (self.hidden_size,)).flatten(-2))


_GPU_STATES = 75_000_000  # numbers in the states of a batch


class _StopForward(Exception):
    """Leaves the LLM's forward pass once the last layer the writer needs has run."""


@torch.no_grad()
def lower_layer_states(lm: FrozenLM, prefix_ids: Tensor, *, lengths: Tensor, layers: Sequence[int]) -> Tensor:
    """States after the given decoder layers at the last prefix token; layers above the highest are not run.

    Args:
        lm: the frozen LLM.
        prefix_ids: [N, P] int64, right padded with any valid id.
        lengths: [N] int64.
        layers: indices of decoder layers, ascending.

    Returns:
        [N, len(layers) x H] in the LLM's dtype.
    """
    taken: dict[int, Tensor] = {}
    last, thread = (lengths - 1).clamp(min=0), threading.get_ident()

    def take(layer_idx: int, output: Tensor | tuple) -> None:
        if threading.get_ident() != thread:
            return  # another thread's pass: it goes on to the last layer
        hidden = output[0] if isinstance(output, tuple) else output
        taken[layer_idx] = hidden[torch.arange(len(last), device=hidden.device), last]
        if layer_idx == max(layers):
            raise _StopForward

    handles = [lm.layers[i].register_forward_hook(lambda _m, _a, out, i=i: take(i, out)) for i in layers]
    try:
        lm.decoder(input_ids=prefix_ids, use_cache=False)  # no mask: padding stands behind what is read
    except _StopForward:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat([taken[i] for i in layers], dim=-1)


@torch.no_grad()
def fact_features(
    lm: FrozenLM,
    facts: EncodedFacts,
    *,
    layers: Sequence[int],
    tokens_per_batch: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """The LLM's states [N, F] for encoded facts, in batches of similar length; same order as the facts.

    Args:
        lm: the frozen LLM; only its lower layers run.
        facts: N facts.
        layers: decoder layers whose states are taken.
        tokens_per_batch: default: 1,024 on the CPU, where larger ones leave the caches, and on a GPU so many that their
            states take 150 MB in half precision: a GPU then takes longer than the host that issues the work.
        progress: called with the number of facts done since the last call.
    """
    tokens_per_batch = tokens_per_batch or (1024 if lm.device.type == "cpu" else _GPU_STATES // lm.hidden_size)
    features = torch.empty(len(facts), len(layers) * lm.hidden_size, dtype=lm.embedding_weight.dtype, device=lm.device)
    order = np.argsort(facts.prefix_lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(facts.prefix_lengths[order[min(start + 8, len(order)) - 1]])
        chosen = order[start : start + max(1, tokens_per_batch // max(1, longest))]
        width = max(1, int(facts.prefix_lengths[chosen].max()))
        ids = torch.from_numpy(np.maximum(facts.prefix_ids[chosen, :width], 0)).long().to(lm.device)
        lengths = torch.from_numpy(facts.prefix_lengths[chosen]).long().to(lm.device)
        features[torch.from_numpy(chosen).to(lm.device)] = lower_layer_states(lm, ids, lengths=lengths, layers=layers)
        start += len(chosen)
        if progress is not None:
            progress(len(chosen))
    return features
