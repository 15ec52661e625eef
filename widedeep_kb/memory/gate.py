"""The relevance gate: whether what the exact index found answers the question at all.

A name in a question brings its facts even where the question is about something else. Where the adapters look at the
end of the prompt, how the index came to the facts, and what the names leave unexplained of the wording tell the two
apart. A question that the gate shuts out is answered by the LLM alone, bit for bit.

Letters: B questions, L adapters, A heads, R rows of a question, W = 3 numbers on its wording,
F = L x A + 1 + W + L, U = 8 hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from widedeep_kb.memory.logistic import SmallClassifier
from widedeep_kb.memory.wording import NUM_WORDING

_LEAST = 1e-3  # attention below which differences mean nothing
_NUM_UNITS = 8


class RelevanceGate(SmallClassifier):
    """Judges questions; as made, it lets every one through. A score above 0 lets a question through.

    Args:
        num_adapters: L.
        num_heads: A.
    """

    def __init__(self, num_adapters: int, num_heads: int) -> None:
        self.num_heads_seen = num_adapters * num_heads
        num_features = self.num_heads_seen + 1 + NUM_WORDING + num_adapters
        super().__init__(num_features, num_units=_NUM_UNITS, bias=1.0)

    def forward(self, mass: Tensor, hit_weights: Tensor, wording: Tensor) -> Tensor:
        """[B] bool, questions whose facts are to be read.

        Args:
            mass: [B, L, A] attention on memory at the last prompt token.
            hit_weights: [B, R] weight of the hit that brought each row, 0 = no row.
            wording: [B, W], see `describe_wording`.
        """
        return self.score(gate_features(mass, hit_weights, wording)) > 0

    def fit(self, features: Tensor, targets: Tensor, *, weights: Tensor, penalty: float = 2e-3) -> None:
        """Fit as `SmallClassifier` does, with nothing learnt of single heads.

        Where each head looks also tells the domains of the questions apart: a gate that knows it judges questions of
        other domains worse than one that sees the mean of each adapter. Gates fitted before may weigh heads.
        """
        seen = features.clone()
        seen[:, : self.num_heads_seen] = 0.0
        super().fit(seen, targets, weights=weights, penalty=penalty)

    def set_threshold(
        self, scores: Tensor, is_answered: Tensor, *, most_open: float = 0.01, most_shut: float = 0.05
    ) -> float:
        """Shift the bias so that at most `most_open` of the unrelated questions pass.

        Args:
            scores: [N] logits of questions, by gates that were not fitted to them.
            is_answered: [N] bool; both kinds occur.
            most_open: share of the unrelated questions that may pass.
            most_shut: share of the answered questions that may be shut out; this limit goes first.

        Returns:
            the logit that is now the least one let through.
        """
        wanted = torch.quantile(scores[~is_answered], 1 - most_open, interpolation="higher")
        allowed = torch.quantile(scores[is_answered], most_shut, interpolation="lower")
        threshold = torch.minimum(wanted, torch.nextafter(allowed, torch.full_like(allowed, -torch.inf)))
        self.bias -= threshold
        return float(threshold)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Read also gates of former readers, that knew nothing of the adapters' means or of the wording."""
        weight = state_dict.get(f"{prefix}weight")
        if weight is not None and self.num_heads_seen < len(weight) < len(self.weight):
            for name in ("hidden_weight", "hidden_bias", "output"):
                state_dict.setdefault(f"{prefix}{name}", torch.zeros_like(getattr(self, name)))
            for name in ("weight", "hidden_weight"):
                known = state_dict[f"{prefix}{name}"]
                padded = torch.zeros_like(getattr(self, name))
                padded[: len(known)] = known
                state_dict[f"{prefix}{name}"] = padded
        super()._load_from_state_dict(state_dict, prefix, *args)


def prompt_ends(attention_mask: Tensor) -> Tensor:
    """[B] index of each prompt's last token, from the mask [B, T] of prompts padded on either side."""
    return (attention_mask * torch.arange(attention_mask.shape[1], device=attention_mask.device)).argmax(1)


def mass_at(mass: Tensor, ends: Tensor) -> Tensor:
    """[B, A] float32: an adapter's attention on memory [B, A, T] at one token [B] of each prompt."""
    return mass[torch.arange(len(ends), device=ends.device), :, ends].float()


def gate_features(mass: Tensor, hit_weights: Tensor, wording: Tensor) -> Tensor:
    """[B, F] float32: log of each head's attention, the index's best weight, the wording, each adapter's attention.

    Args:
        mass: [B, L, A].
        hit_weights: [B, R].
        wording: [B, W].
    """
    attention, best = (mass.float().flatten(1) + _LEAST).log(), hit_weights.float().amax(1, keepdim=True)
    return torch.cat([attention, best, wording.float(), mass.float().mean(2)], dim=1)
