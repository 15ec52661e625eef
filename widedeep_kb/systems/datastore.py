"""A datastore of an LLM's states and the tokens that followed them (Khandelwal et al. 2020, arXiv 1911.00172).

The state is the input of the last layer's feed-forward block, behind its norm: the best key in the paper's section 5.

Letters: B rows, T tokens, H hidden size, N entries, Q queries, K neighbours, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.likelihood import right_pad
from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.nearest_index import NearestIndex


@contextmanager
def feed_forward_inputs(lm: FrozenLM) -> Iterator[list[Tensor]]:
    """A list that holds, inside the block, the states [B, T, H] of the LLM's latest pass.

    Raises:
        ValueError: the last decoder layer has no `mlp`.
    """
    block = getattr(lm.layers[-1], "mlp", None)
    if block is None:
        raise ValueError(f"the last layer of {lm.identity.name!r} has no feed-forward block called 'mlp'")
    states: list[Tensor] = []

    def keep(_module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        states[:] = [inputs[0]]

    handle = block.register_forward_pre_hook(keep)
    try:
        yield states
    finally:
        handle.remove()


@torch.inference_mode()
def continuation_states(
    lm: FrozenLM, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[int]], *, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """States before each token of `tails`, each behind its head of one token at least.

    Returns:
        float32 [N, H] and token ids int64 [N], N tokens in all tails, in order.
    """
    order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
    ends = np.cumsum([len(tail) for tail in tails], dtype=np.int64)
    states = np.empty((int(ends[-1]) if len(ends) else 0, lm.hidden_size), dtype=np.float32)
    with feed_forward_inputs(lm) as latest:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            ids, mask = right_pad([[*heads[i], *tails[i]] for i in chosen], pad_id=lm.tokenizer.pad_token_id)
            lm.decoder(input_ids=ids.to(lm.device), attention_mask=mask.to(lm.device), use_cache=False)
            found = latest[0].float().cpu().numpy()
            for row, i in zip(found, chosen, strict=True):
                first = len(heads[i]) - 1
                states[ends[i] - len(tails[i]) : ends[i]] = row[first : first + len(tails[i])]
    return states, np.array([token for tail in tails for token in tail], dtype=np.int64)


class Datastore:
    """Entries of a state and the token that followed it, found by squared Euclidean distance.

    Args:
        states: float32 [N, H].
        tokens: int64 [N].
        device: of the search.
    """

    def __init__(self, states: np.ndarray, tokens: np.ndarray, *, device: str | torch.device) -> None:
        assert len(states) == len(tokens), "an entry is a state and a token"
        self.index = NearestIndex(states, metric="l2", device=device)
        self.tokens = torch.from_numpy(tokens).to(device)

    def __len__(self) -> int:
        """Entries that can be found."""
        return len(self.index)

    @property
    def size_bytes(self) -> int:
        """Bytes of the index and of the tokens."""
        return self.index.size_bytes + self.tokens.nbytes

    def replace(self, places: np.ndarray, states: np.ndarray, tokens: np.ndarray) -> None:
        """Remove the entries at int64 `places`, and add others behind all there were."""
        assert len(states) == len(tokens), "an entry is a state and a token"
        self.index.remove(places)
        self.index.add(states)
        self.tokens = torch.cat([self.tokens, torch.from_numpy(tokens).to(self.tokens.device)])

    def neighbours(self, queries: Tensor, *, top_k: int, temperature: float) -> tuple[Tensor, Tensor]:
        """Weights, float32 [Q, K], that sum to 1, and tokens, int64 [Q, K], of the nearest entries.

        A weight falls with exp(-distance² / temperature). K is `top_k`, or N where there are fewer entries.

        Args:
            queries: states [Q, H].
            top_k: most neighbours.
            temperature: above 0.
        """
        found = self.index.search(queries, top_k=min(top_k, len(self)))
        tokens = self.tokens[found.indices.clamp(min=0).to(self.tokens.device)].to(queries.device)
        return torch.softmax(-found.scores / temperature, dim=1), tokens  # what is missing is infinitely far
