"""The wide adapter against a float64 reference in plain loops, its null slot and its helpers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.adapter import WideAdapter, repeat_to, split_rows

HIDDEN, WIDTH, HEADS, DIM = 12, 6, 3, 4


def fresh_adapter(seed: int, *, null_threshold: float = 0.1) -> WideAdapter:
    """An adapter with every parameter random."""
    torch.manual_seed(seed)
    adapter = WideAdapter(HIDDEN, slot_width=WIDTH, num_heads=HEADS, head_dim=DIM, null_threshold=null_threshold)
    for parameter in adapter.parameters():
        parameter.data.normal_(std=0.6)
    return adapter


def inputs(
    seed: int, *, batch: int = 2, tokens: int = 3, slots: int = 5
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Hidden states, slot keys, slot values, mask and cues."""
    torch.manual_seed(seed)
    mask = torch.rand(batch, slots) < 0.7
    hidden, cues = torch.randn(batch, tokens, HIDDEN), torch.randn(batch, tokens, 3 * HIDDEN)
    return hidden, torch.randn(batch, slots, WIDTH), torch.randn(batch, slots, WIDTH), mask, cues


def matvec(weight: list[list[float]], vector: list[float]) -> list[float]:
    """weight @ vector."""
    return [math.fsum(w * v for w, v in zip(row, vector, strict=True)) for row in weight]


def dot(left: list[float], right: list[float]) -> float:
    """Inner product."""
    return math.fsum(x * y for x, y in zip(left, right, strict=True))


def slow_token(
    adapter: WideAdapter, token: list[float], keys: list[list[float]], values: list[list[float]]
) -> tuple[list[float], list[list[float]]]:
    """Addition and weights [A][1 + slots] of one token over the readable slots only."""
    p = {name: parameter.detach().double().tolist() for name, parameter in adapter.named_parameters()}
    query = matvec(p["query.weight"], token)
    key_rows = [matvec(p["key.weight"], k) for k in keys]
    value_rows = [matvec(p["value.weight"], v) for v in values]
    read, attention = [], []
    for a in range(HEADS):
        part = slice(a * DIM, (a + 1) * DIM)
        scores = [dot(query[part], p["null_key"][a][0]) / math.sqrt(DIM) + p["null_bias"][a][0][0]]
        scores += [dot(query[part], k[part]) / math.sqrt(DIM) for k in key_rows]
        total = math.fsum(math.exp(s) for s in scores)
        weights = [math.exp(s) / total for s in scores]
        mass = math.fsum(weights[1:])
        factor = max(0.0, (mass - adapter.null_threshold) / (1 - adapter.null_threshold)) / max(mass, 1e-6)
        for d in range(a * DIM, (a + 1) * DIM):
            read.append(factor * math.fsum(w * v[d] for w, v in zip(weights[1:], value_rows, strict=True)))
        attention.append(weights)
    return [math.tanh(p["gate"]) * x for x in matvec(p["output.weight"], read)], attention


@pytest.mark.parametrize("null_threshold", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_reading_equals_the_slow_reference(seed: int, null_threshold: float) -> None:
    adapter = fresh_adapter(seed, null_threshold=null_threshold)
    hidden, keys, values, mask, cues = inputs(seed + 100)
    out = adapter(hidden, adapter.project(keys, values), memory_mask=mask, cues=cues)
    for b in range(hidden.shape[0]):
        readable = mask[b].nonzero().flatten()
        for t in range(hidden.shape[1]):
            token = torch.cat([hidden[b, t], cues[b, t]]).double().tolist()
            chosen = (keys[b, readable].double().tolist(), values[b, readable].double().tolist())
            addition, weights = slow_token(adapter, token, *chosen)
            torch.testing.assert_close(
                out.addition[b, t].double(), torch.tensor(addition).double(), atol=1e-5, rtol=1e-4
            )
            kept = torch.cat([torch.zeros(1, dtype=torch.int64), readable + 1])
            torch.testing.assert_close(
                out.weights[b, :, t, kept].double(), torch.tensor(weights).double(), atol=1e-6, rtol=1e-4
            )
            assert not out.weights[b, :, t, 1:][:, ~mask[b]].any()


def test_a_fully_masked_memory_adds_exactly_zero_and_has_finite_gradients() -> None:
    adapter = fresh_adapter(0)
    hidden, keys, values, mask, cues = inputs(1)
    mask[0] = False
    mask[1] = True
    hidden.requires_grad_()
    out = adapter(hidden, adapter.project(keys, values), memory_mask=mask, cues=cues)
    assert not out.addition[0].any()
    assert out.addition[1].any()
    assert (out.weights[0, ..., 0] == 1).all()
    out.addition.square().sum().backward()
    assert not hidden.grad[0].any()
    assert all(torch.isfinite(p.grad).all() for p in adapter.parameters() if p.grad is not None)


def test_no_slots_at_all_add_exactly_zero() -> None:
    adapter = fresh_adapter(0)
    hidden, keys, values, mask, cues = inputs(1, slots=0)
    assert not adapter(hidden, adapter.project(keys, values), memory_mask=mask, cues=cues).addition.any()


def test_attention_below_the_threshold_adds_exactly_zero() -> None:
    adapter = fresh_adapter(0)
    hidden, keys, values, mask, cues = inputs(1)
    adapter.null_bias.data.fill_(50.0)
    out = adapter(hidden, adapter.project(keys, values), memory_mask=mask, cues=cues)
    assert not out.addition.any()


def test_hidden_slots_change_nothing() -> None:
    adapter = fresh_adapter(2)
    hidden, keys, values, mask, cues = inputs(3)
    before = adapter(hidden, adapter.project(keys, values), memory_mask=mask, cues=cues).addition
    noise = torch.where(mask.unsqueeze(-1), 0.0, 9.0)
    after = adapter(hidden, adapter.project(keys + noise, values - noise), memory_mask=mask, cues=cues).addition
    assert torch.equal(before, after)


def test_split_rows_takes_an_all_zero_value_for_no_slot() -> None:
    rows = torch.randn(2, 3, 8, 2 * WIDTH)
    rows[0, 1, 4:] = 0
    rows[1, 2, 0, WIDTH:] = 0
    keys, values, mask = split_rows(rows.flatten(-2), slot_width=WIDTH)
    assert keys.shape == values.shape == (2, 24, WIDTH)
    assert torch.equal(keys[1, 8], rows[1, 1, 0, :WIDTH])
    assert torch.equal(values[1, 9], rows[1, 1, 1, WIDTH:])
    expected = torch.ones(2, 3, 8, dtype=torch.bool)
    expected[0, 1, 4:] = False
    expected[1, 2, 0] = False
    assert torch.equal(mask, expected.flatten(1))


def test_repeat_to_follows_generate_and_refuses_the_rest() -> None:
    tensor = torch.tensor([[1], [2]])
    assert repeat_to(tensor, 4).flatten().tolist() == [1, 1, 2, 2]
    assert repeat_to(tensor, 2) is tensor
    with pytest.raises(ValueError, match="bound for 2 prompts, the LLM was called with 5"):
        repeat_to(tensor, 5)
