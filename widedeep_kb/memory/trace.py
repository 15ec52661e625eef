"""What one greedy generation looked like: how sure the LLM was of each token and where the adapters looked.

Letters: B sequences, M memory slots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from widedeep_kb.decoding import Traced
from widedeep_kb.memory.adapter import AdapterOutput


class GreedyTrace(LogitsProcessor):
    """Watches one greedy generation: probability of each token chosen, attention at each step."""

    def __init__(self) -> None:
        self.log_probabilities: list[Tensor] = []
        self.weights: list[Tensor] = []

    @property
    def num_steps(self) -> int:
        """Tokens generated so far."""
        return len(self.log_probabilities)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Note the probability of the likeliest token; the scores stay as they are."""
        self.log_probabilities.append(torch.log_softmax(scores, dim=-1, dtype=torch.float32).amax(-1))
        return scores

    def observe(self, _index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
        """Note the attention of one adapter at the last position."""
        if wide is not None:
            self.weights.append(wide.weights[:, :, -1].mean(1)[:, 1:])

    def token_log_probabilities(self, steps: Sequence[int]) -> list[Tensor]:
        """Natural logarithms of the probabilities of each sequence's own tokens, [steps] each, on the CPU."""
        table = torch.stack(self.log_probabilities, dim=1).cpu()
        return [row[:n] for row, n in zip(table, steps, strict=True)]

    def mass(self, steps: Sequence[int], *, num_adapters: int) -> Tensor | None:
        """[B, M] attention on each slot, mean over adapters and each sequence's own steps; None without wide memory."""
        if not self.weights:
            return None
        return _own_mean(torch.stack(self.weights).unflatten(0, (-1, num_adapters)).mean(1), steps)


class StepTrace:
    """What a greedy generation in fixed buffers looked like, told as `GreedyTrace` tells it.

    Args:
        traced: of B sequences and N steps; where it looked is a mean over adapters already.
    """

    def __init__(self, traced: Traced) -> None:
        self._log_probabilities, self._looks = traced.log_probabilities.cpu(), traced.looks

    @property
    def num_steps(self) -> int:
        """N."""
        return self._log_probabilities.shape[1]

    def token_log_probabilities(self, steps: Sequence[int]) -> list[Tensor]:
        """See `GreedyTrace`."""
        return [row[:n] for row, n in zip(self._log_probabilities, steps, strict=True)]

    def mass(self, steps: Sequence[int], *, num_adapters: int) -> Tensor | None:  # noqa: ARG002 - as `GreedyTrace`
        """See `GreedyTrace`."""
        return None if self._looks is None else _own_mean(self._looks, steps)


def _own_mean(table: Tensor, steps: Sequence[int]) -> Tensor:
    """[B, M] mean over each sequence's own steps of [N, B, M]."""
    counts = torch.tensor(steps, device=table.device)
    is_own = torch.arange(len(table), device=table.device)[:, None] < counts[None]
    return (table * is_own.unsqueeze(-1)).sum(0) / counts.unsqueeze(-1)
