"""The hard edge of the null choice, against the formula worked by hand in float64."""

from __future__ import annotations

import pytest
import torch

from widedeep_kb.memory.sparse_null import sparse_null


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5])
def test_values_and_gradient_equal_the_formula(threshold: float) -> None:
    mass = torch.linspace(0.0005, 1, 2001, dtype=torch.float64, requires_grad=True)
    factor = sparse_null(mass, threshold)
    factor.sum().backward()
    for m, value, slope in zip(mass.tolist(), factor.tolist(), mass.grad.tolist(), strict=True):
        if abs(m - threshold) < 1e-9:
            continue
        expected = (m - threshold) / (1 - threshold) / m if m > threshold else 0.0
        # d/dm of (1 - t/m) / (1 - t) = t / (m^2 (1 - t))
        expected_slope = threshold / (m * m * (1 - threshold)) if m > threshold else 0.0
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert slope == pytest.approx(expected_slope, rel=1e-9, abs=1e-9)


def test_ends_and_no_mass_at_all() -> None:
    mass = torch.tensor([0.0, 0.1, 1.0], requires_grad=True)
    factor = sparse_null(mass, 0.1)
    assert factor.tolist() == [0.0, 0.0, 1.0]
    factor.sum().backward()
    assert torch.isfinite(mass.grad).all()
