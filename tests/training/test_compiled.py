"""Compiled layers: the same states and gradients as eager ones, hooks included, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.training.compiled import compiled_layers


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


def counting(compiled: list[int]) -> Callable:
    """A backend of `torch.compile` that runs graphs as they are and notes how many nodes each has."""

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable:
        compiled.append(len(graph.graph.nodes))
        return graph.forward

    return backend


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3"])
def test_compiled_layers_give_the_states_and_gradients_of_eager_layers(
    tiny_frozen_lm: Callable[..., FrozenLM], architecture: str
) -> None:
    lm = tiny_frozen_lm(architecture)
    push, last = torch.randn(lm.hidden_size), len(lm.layers) - 1
    for at in {0, last}:
        expected = run(lm, push=push, at=at)
        compiled: list[int] = []
        with compiled_layers(lm, backend=counting(compiled)):
            found = run(lm, push=push, at=at)
        assert compiled
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert not any("forward" in vars(layer) for layer in lm.layers)


def test_without_gradients_the_layers_run_as_they_are(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    lm, seen, compiled = tiny_frozen_lm("llama"), [], []
    handle = lm.layers[0].register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
    ids = torch.arange(6)[None]
    with torch.no_grad():
        expected = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
        with compiled_layers(lm, backend=counting(compiled)):
            found = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
    handle.remove()
    assert torch.equal(expected, found) and torch.equal(*seen) and not compiled
