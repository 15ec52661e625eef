"""A logistic regression with a few hidden units beside it, fitted on the spot and kept as buffers.

Letters: N examples, F features, U hidden units.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CONSTANT = 1e-6  # standard deviation up to which a feature counts as constant, and is not weighed


class SmallClassifier(nn.Module):
    """As made, its logit is that of `bias` for every input.

    Args:
        num_features: F.
        num_units: U.
        bias: logit before it is fitted.
    """

    PARTS = ("weight", "bias", "hidden_weight", "hidden_bias", "output")

    def __init__(self, num_features: int, *, num_units: int, bias: float) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_features))
        self.register_buffer("bias", torch.tensor(bias))
        self.register_buffer("hidden_weight", torch.zeros(num_features, num_units))
        self.register_buffer("hidden_bias", torch.zeros(num_units))
        self.register_buffer("output", torch.zeros(num_units))

    @property
    def is_set(self) -> bool:
        """Whether it was fitted."""
        return bool(self.weight.any())

    def score(self, features: Tensor) -> Tensor:
        """Logits [N] of features [N, F]."""
        return _logits(features, *(getattr(self, name) for name in self.PARTS))

    def fit(self, features: Tensor, targets: Tensor, *, weights: Tensor, penalty: float = 2e-3) -> None:
        """Fit to examples.

        Args:
            features: [N, F].
            targets: [N] bool.
            weights: [N], what each example counts.
            penalty: on the squares of what the fit learns about standardised features.
        """
        points, wanted, shares = features.double(), targets.double(), weights.double() / weights.double().sum()
        mean, scale = points.mean(0), points.std(0)
        varies = scale > _CONSTANT
        points, scale = (points - mean) / scale.clamp(min=_CONSTANT) * varies, torch.where(varies, scale, torch.inf)
        parameters = [torch.zeros_like(getattr(self, n), dtype=torch.float64, requires_grad=True) for n in self.PARTS]
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part in (parameters[2], parameters[4]):
                part.copy_(torch.randn(part.shape, generator=generator, dtype=torch.float64) * len(part) ** -0.5)
        optimizer = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            losses = F.binary_cross_entropy_with_logits(_logits(points, *parameters), wanted, reduction="none")
            loss = shares @ losses + penalty * sum(parameters[i].square().sum() for i in (0, 2, 4))
            loss.backward()
            return loss

        optimizer.step(closure)
        weight, bias, hidden_weight, hidden_bias, output = (part.detach() for part in parameters)
        weight, hidden_weight = weight / scale, hidden_weight / scale[:, None]
        folded = (weight, bias - mean @ weight, hidden_weight, hidden_bias - mean @ hidden_weight, output)
        for name, part in zip(self.PARTS, folded, strict=True):
            getattr(self, name).copy_(part)


def _logits(
    features: Tensor, weight: Tensor, bias: Tensor, hidden_weight: Tensor, hidden_bias: Tensor, output: Tensor
) -> Tensor:
    return features @ weight + bias + torch.tanh(features @ hidden_weight + hidden_bias) @ output
