"""The wide adapter against a float64 reference in plain loops, its null slot and its helpers."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.adapter import (
    HIT_FEATURES,
    AdapterOutput,
    WideAdapter,
    hit_features,
    repeat_to,
    split_rows,
)

HIDDEN, WIDTH, HEADS, DIM = 12, 6, 3, 4


def fresh_adapter(seed: int, *, null_threshold: float = 0.1) -> WideAdapter:
    """An adapter with every parameter random."""
    torch.manual_seed(seed)
    adapter = WideAdapter(HIDDEN, slot_width=WIDTH, num_heads=HEADS, head_dim=DIM, null_threshold=null_threshold)
    for parameter in adapter.parameters():
        parameter.data.normal_(std=0.6)
    return adapter


class Inputs(NamedTuple):
    """What one read of the memory takes."""

    hidden: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor
    cues: Tensor
    hits: Tensor
    marks: Tensor

    def read(self, adapter: WideAdapter, *, needs_weights: bool = False) -> AdapterOutput:
        """The adapter's output."""
        memory = adapter.project(self.keys, self.values, hits=self.hits, mask=self.mask, marks=self.marks)
        return adapter(self.hidden, memory, cues=self.cues, needs_weights=needs_weights)


def inputs(
    seed: int, *, batch: int = 2, tokens: int = 3, slots: int = 5
) -> Inputs:
    """Random inputs; about a third of the slots cannot be read, about half of them are marked."""
    torch.manual_seed(seed)
    mask = torch.rand(batch, slots) < 0.7
    hidden, cues = torch.randn(batch, tokens, HIDDEN), torch.randn(batch, tokens, 3 * HIDDEN)
    keys, values = torch.randn(batch, slots, WIDTH), torch.randn(batch, slots, WIDTH)
    hits, marks = torch.rand(batch, slots, HIT_FEATURES), torch.rand(batch, slots) < 0.5
    return Inputs(hidden, keys, values, mask, cues, hits, marks)


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
    key_rows = [matvec(p["key.weight"], k) for k in keys]  # a key with its hit features behind
    value_rows = [matvec(p["value.weight"], v) for v in values]
    read, attention = [], []
    for a in range(HEADS):
        part = slice(a * DIM, (a + 1) * DIM)
        scores = [dot(query[part], p["null_key"][a][0]) / math.sqrt(DIM)]
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
    given = inputs(seed + 100)
    out, fused = given.read(adapter, needs_weights=True), given.read(adapter)
    assert fused.weights is None
    for b in range(given.hidden.shape[0]):
        readable = given.mask[b].nonzero().flatten()
        for t in range(given.hidden.shape[1]):
            token = torch.cat([given.hidden[b, t], given.cues[b, t]]).double().tolist()
            keys = torch.cat([given.keys[b, readable], given.hits[b, readable]], dim=-1).double().tolist()
            addition, weights = slow_token(adapter, token, keys, given.values[b, readable].double().tolist())
            expected = torch.tensor(weights).double()
            kept = torch.cat([torch.zeros(1, dtype=torch.int64), readable + 1])
            close(out.weights[b, :, t, kept], expected, atol=1e-6)
            assert not out.weights[b, :, t, 1:][:, ~given.mask[b]].any()
            for found in (out, fused):
                close(found.addition[b, t], torch.tensor(addition), atol=1e-5)
                close(found.mass[b, :, t], expected[:, 1:].sum(-1), atol=1e-6)
                close(found.marked[b, :, t], expected[:, 1:][:, given.marks[b, readable]].sum(-1), atol=1e-6)


def close(found: Tensor, expected: Tensor, *, atol: float) -> None:
    """Assert equal in float64 within `atol` and 1e-4 of the value."""
    torch.testing.assert_close(found.double(), expected.double(), atol=atol, rtol=1e-4)


@pytest.mark.parametrize("needs_weights", [False, True])
def test_a_fully_masked_memory_adds_exactly_zero_and_has_finite_gradients(needs_weights: bool) -> None:
    adapter = fresh_adapter(0)
    given = inputs(1)
    given.mask[0] = False
    given.mask[1] = True
    given.hidden.requires_grad_()
    out = given.read(adapter, needs_weights=needs_weights)
    assert not out.addition[0].any()
    assert out.addition[1].any()
    assert not out.mass[0].any()
    out.addition.square().sum().backward()
    assert not given.hidden.grad[0].any()
    assert all(torch.isfinite(p.grad).all() for p in adapter.parameters() if p.grad is not None)


@pytest.mark.parametrize("needs_weights", [False, True])
def test_no_slots_at_all_add_exactly_zero(needs_weights: bool) -> None:
    assert not inputs(1, slots=0).read(fresh_adapter(0), needs_weights=needs_weights).addition.any()


@pytest.mark.parametrize("needs_weights", [False, True])
def test_attention_below_the_threshold_adds_exactly_zero(needs_weights: bool) -> None:
    given = inputs(1, slots=5)
    for threshold, adds_something in ((0.9, False), (0.1, True)):
        adapter = fresh_adapter(0, null_threshold=threshold)
        adapter.key.weight.data.zero_()
        adapter.null_key.data.zero_()  # all scores are equal: at most 5 of 6 parts of the attention are on slots
        assert bool(given.read(adapter, needs_weights=needs_weights).addition.any()) is adds_something


def test_hidden_slots_change_nothing() -> None:
    adapter = fresh_adapter(2)
    given = inputs(3)
    noise = torch.where(given.mask.unsqueeze(-1), 0.0, 9.0)
    changed = given._replace(keys=given.keys + noise, values=given.values - noise)
    assert torch.equal(given.read(adapter).addition, changed.read(adapter).addition)


def test_hit_features_are_the_weight_the_best_and_the_distance_to_it() -> None:
    features = hit_features(torch.tensor([[0.8, 0.2, 0.8, 0.0]]))
    expected = [[[0.8, 1, 0], [0.2, 0, 0.6], [0.8, 1, 0], [0, 0, 0.8]]]
    torch.testing.assert_close(features, torch.tensor(expected))


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
