"""The deep memory: product keys over one shared pool of slots, read by similarity with the hidden state.

It generalises: it always returns its nearest slots, with a learnt "nothing to say" choice beside them. After
Lample et al. 2019, "Large Memory Layers with Product Keys", section 3, with normalised queries and keys.

Letters: B, T as usual; n sub-keys of a half; Q heads; K slots read by a head; D width of a slot's value.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widedeep_kb.memory.sparse_null import sparse_null


@cache
def best_pairs(count: int, device: torch.device) -> Tensor:
    """Pairs [2, N] of places in two falling lists of `count` numbers among which are the `count` largest sums.

    At places i and j (from 0) there are (i + 1)(j + 1) pairs whose sums are at least as large, the pair itself among
    them: 50 pairs of 256 are left for the 16 largest.
    """
    places = torch.arange(1, count + 1)
    return (torch.outer(places, places) <= count).nonzero().T.contiguous().to(device)


class DeepPool(nn.Module):
    """The slots, shared by all adapter layers: n sub-keys for each half of a query and n x n values.

    Args:
        num_subkeys: n; the pool has n^2 slots.
        key_dim: width of a sub-key.
        value_dim: D.
    """

    def __init__(self, num_subkeys: int = 128, *, key_dim: int = 64, value_dim: int = 128) -> None:
        super().__init__()
        self.subkeys = nn.Parameter(torch.randn(2, num_subkeys, key_dim))
        self.values = nn.Embedding(num_subkeys**2, value_dim)  # of unit scale: `DeepReader.output` learns at once

    def forward(self, query: Tensor, *, top_k: int) -> tuple[Tensor, Tensor]:
        """The best slots of each query.

        Args:
            query: [..., 2 x key_dim].
            top_k: K.

        Returns:
            scores [..., K] float32 in [-2, 2] (sums of two cosines) and slot indices [..., K] int64.
        """
        halves = F.normalize(query.float().unflatten(-1, (2, -1)), dim=-1)
        with torch.autocast(query.device.type, enabled=False):  # in bfloat16 near slots could not be told apart
            scores = torch.einsum("...hd,hnd->...hn", halves, F.normalize(self.subkeys.float(), dim=-1))
        best, index = scores.topk(min(top_k, scores.shape[-1]), dim=-1)  # [..., 2, K]
        first, second = best_pairs(best.shape[-1], best.device)
        with torch.no_grad():
            sums = best[..., 0, :].index_select(-1, first) + best[..., 1, :].index_select(-1, second)
            chosen = sums.topk(best.shape[-1], dim=-1).indices
        first, second = first[chosen], second[chosen]  # [..., K] each, into `best`
        top = best[..., 0, :].gather(-1, first) + best[..., 1, :].gather(-1, second)
        subkeys = index[..., 0, :].gather(-1, first), index[..., 1, :].gather(-1, second)
        return top, subkeys[0] * scores.shape[-1] + subkeys[1]

    def read(self, index: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums [..., D] of the values of slots, from their indices and weights, both [..., K]."""
        table = self.values.weight
        flat = F.embedding_bag(
            index.flatten(0, -2), table, per_sample_weights=weights.flatten(0, -2).to(table.dtype), mode="sum"
        )
        return flat.unflatten(0, index.shape[:-1])


class SlotChoice(NamedTuple):
    """Which slots each head reads.

    Attributes:
        scores: [..., Q, K] float32 in [-2, 2], the sums of two cosines.
        index: [..., Q, K] int64.
        weights: [..., Q, 1 + K] float32 shares of attention that sum to 1, "nothing to say" first.
    """

    scores: Tensor
    index: Tensor
    weights: Tensor


class DeepReader(nn.Module):
    """One adapter layer's way into the pool: its queries, its "nothing to say" score and its gate.

    Args:
        hidden_size: H.
        key_dim: width of a sub-key of the pool.
        value_dim: D of the pool.
        num_heads: Q.
        top_k: K.
    """

    def __init__(
        self, hidden_size: int, *, key_dim: int = 64, value_dim: int = 128, num_heads: int = 2, top_k: int = 16
    ) -> None:
        super().__init__()
        self.num_heads, self.top_k = num_heads, top_k
        self.query = nn.Linear(hidden_size, num_heads * 2 * key_dim)
        self.null = nn.Linear(hidden_size, num_heads)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.output = nn.Linear(num_heads * value_dim, hidden_size, bias=False)
        self.gate = nn.Parameter(torch.tensor(0.5))

    def forward(self, hidden_states: Tensor, pool: DeepPool, *, null_threshold: float) -> tuple[Tensor, Tensor]:
        """What the pool adds to layer-normed hidden states [B, T, H].

        Returns:
            the addition [B, T, H] and the share of attention given to slots [B, T, Q] (the rest says nothing).
        """
        _, index, weights = self.choose(hidden_states, pool)
        mass = 1 - weights[..., 0]
        read = pool.read(index, weights[..., 1:]) * sparse_null(mass, null_threshold).unsqueeze(-1)
        return torch.tanh(self.gate) * self.output(read.flatten(-2)), mass

    def choose(self, hidden_states: Tensor, pool: DeepPool) -> SlotChoice:
        """The slots that layer-normed hidden states [..., H] ask for."""
        query = self.query(hidden_states).unflatten(-1, (self.num_heads, -1))
        scores, index = pool(query, top_k=self.top_k)
        null = self.null(hidden_states).float().unsqueeze(-1)
        logits = torch.cat([null, scores * self.scale.exp()], dim=-1)
        return SlotChoice(scores, index, torch.softmax(logits, dim=-1))
