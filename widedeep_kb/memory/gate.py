"""The relevance gate: whether what the exact index found answers the question at all.

A name in a question brings its facts even where the question is about something else. Where the adapters look at the
end of the prompt, together with how the index came to the facts, tells the two apart. A question that the gate shuts
out is answered by the LLM alone, bit for bit.

Letters: B questions, L adapters, A heads, R rows of a question.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEAST = 1e-3  # attention below which differences mean nothing


class RelevanceGate(nn.Module):
    """A logistic regression on attention and hit weight; as made, it lets every question through.

    Args:
        num_adapters: L.
        num_heads: A.
    """

    def __init__(self, num_adapters: int, num_heads: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_adapters * num_heads + 1))
        self.register_buffer("bias", torch.ones(()))

    @property
    def is_set(self) -> bool:
        """Whether the gate was fitted."""
        return bool(self.weight.any())

    def forward(self, mass: Tensor, hit_weights: Tensor) -> Tensor:
        """[B] bool, questions whose facts are to be read.

        Args:
            mass: [B, L, A] attention on memory at the last prompt token.
            hit_weights: [B, R] weight of the hit that brought each row, 0 = no row.
        """
        return gate_features(mass, hit_weights) @ self.weight + self.bias > 0

    def fit(self, features: Tensor, is_answered: Tensor, *, penalty: float = 1e-3, margin: float = 0.0) -> None:
        """Fit to questions with hits.

        Args:
            features: [N, L x A + 1], see `gate_features`.
            is_answered: [N] bool, whether one of the facts found answers the question.
            penalty: on the squared weights of the standardised features.
            margin: added to the bias, in logits: above 0 lets more questions through.
        """
        points, targets = features.double(), is_answered.double()
        mean, scale = points.mean(0), points.std(0) + 1e-9
        points = (points - mean) / scale
        parameters = torch.zeros(points.shape[1] + 1, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([parameters], max_iter=300)

        def closure() -> Tensor:
            optimizer.zero_grad()
            logits = points @ parameters[:-1] + parameters[-1]
            loss = F.binary_cross_entropy_with_logits(logits, targets) + penalty * parameters[:-1].square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        weight = parameters.detach()[:-1] / scale
        self.weight.copy_(weight)
        self.bias.copy_(parameters.detach()[-1] - mean @ weight + margin)


def prompt_ends(attention_mask: Tensor) -> Tensor:
    """[B] index of each prompt's last token, from the mask [B, T] of prompts padded on either side."""
    return (attention_mask * torch.arange(attention_mask.shape[1], device=attention_mask.device)).argmax(1)


def mass_at(mass: Tensor, ends: Tensor) -> Tensor:
    """[B, A] float32: an adapter's attention on memory [B, A, T] at one token [B] of each prompt."""
    return mass[torch.arange(len(ends), device=ends.device), :, ends].float()


def gate_features(mass: Tensor, hit_weights: Tensor) -> Tensor:
    """[B, L x A + 1] float32: log of the attention of each head, and the best weight of the index.

    Args:
        mass: [B, L, A].
        hit_weights: [B, R].
    """
    return torch.cat([(mass.float().flatten(1) + _LEAST).log(), hit_weights.float().amax(1, keepdim=True)], dim=1)
