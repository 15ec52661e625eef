"""Compiled layers: the same states and gradients as eager ones, hooks at the stops only, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.training.compiled import compiled_layers, compiled_reader, segments


def run(lm: FrozenLM, *, push: Tensor, at: int) -> tuple[Tensor, Tensor]:
    """Last states, and the gradient of their sum of squares by what a hook adds after a layer."""
    push = push.clone().requires_grad_(True)
    handle = lm.layers[at].register_forward_hook(
        lambda _m, _a, out: (out[0] + push, *out[1:]) if isinstance(out, tuple) else out + push
    )
    try:
        ids = torch.arange(12).view(2, 6) % lm.embedding_weight.shape[0]
        hidden = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(hidden.square().sum(), push)
    return hidden.detach(), gradient


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3"])
def test_segments_give_the_states_and_gradients_of_eager_layers(
    tiny_frozen_lm: Callable[..., FrozenLM], architecture: str
) -> None:
    lm = tiny_frozen_lm(architecture)
    push, last = torch.randn(lm.hidden_size), len(lm.layers) - 1
    for at in {0, last}:
        expected = run(lm, push=push, at=at)
        for stops in ((), (at,)):
            with compiled_layers(lm, stops=stops, backend="eager"):
                found = run(lm, push=push, at=at)
            for a, b in zip(expected, found, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not any("forward" in vars(layer) for layer in lm.layers)


def test_without_gradients_the_layers_run_as_they_are(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm, seen = tiny_frozen_lm("llama"), []
    handle = lm.layers[0].register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
    ids = torch.arange(6)[None]
    with torch.no_grad():
        expected = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
        with compiled_layers(lm, stops=(len(lm.layers) - 1,), backend="eager"):
            found = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
    handle.remove()
    assert torch.equal(expected, found) and torch.equal(*seen)


def test_a_compiled_reader_reads_the_same(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm = tiny_frozen_lm("llama")
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    reader.add_deep(6)
    adapter, hidden = reader.adapters[0], torch.randn(2, 5, lm.hidden_size)
    slots, hits = torch.randn(2, 8, 32), torch.rand(2, 8, 3)

    def read() -> list[Tensor]:
        memory = adapter.project(slots[..., :16], slots[..., 16:], hits=hits, mask=torch.ones(2, 8, dtype=torch.bool))
        wide = adapter(hidden, memory, cues=torch.ones(2, 5, 3 * lm.hidden_size)).addition
        deep, mass = reader.deep_readers[0](hidden, reader.deep_pool, null_threshold=0.1)
        return [wide, deep, mass]

    expected = read()
    with compiled_reader(reader, backend="eager"):
        found = read()
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)
    assert "forward" not in vars(adapter) and "project" not in vars(adapter)


def test_segments_end_with_the_stops() -> None:
    assert segments(6, (1, 4)) == [[0, 1], [2, 3, 4], [5]]
    assert segments(3, (2,)) == [[0, 1, 2]]
    assert segments(3, ()) == [[0], [1], [2]]
