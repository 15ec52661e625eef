"""Short attention: the states and gradients of transformers' fused attention, and its masks where they matter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from widedeep_kb.lm import FrozenLM
from widedeep_kb.training.short_attention import attention_for_training, short_attention

MakeLM = Callable[..., FrozenLM]


@pytest.mark.parametrize(("num_heads", "num_keys", "num_tokens"), [(9, 3, 24), (4, 4, 1), (6, 1, 128), (4, 2, 129)])
def test_it_is_fused_attention(num_heads: int, num_keys: int, num_tokens: int) -> None:
    module = nn.Module()
    module.is_causal, module.num_key_value_groups = True, num_heads // num_keys
    shapes = [(2, heads, num_tokens, 16) for heads in (num_heads, num_keys, num_keys)]
    states = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    push = torch.randn(2, num_tokens, num_heads, 16, dtype=torch.float64)
    results = []
    for attend in (sdpa_attention_forward, short_attention):
        for scaling in (None, 0.3):
            read, _ = attend(module, *states, None, scaling=scaling)
            results.append([read, *torch.autograd.grad((read * push).sum(), states)])
    half = len(results) // 2
    for expected, found in zip(results[:half], results[half:], strict=True):
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)  # the softmax is of float32


def test_a_short_sequence_needs_no_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the fused kernel ran")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", refuse)
    module = nn.Module()
    module.is_causal, module.num_key_value_groups = True, 1
    short_attention(module, *torch.randn(3, 1, 2, 128, 8).unbind(0), None)
    with pytest.raises(AssertionError, match="fused"):
        short_attention(module, *torch.randn(3, 1, 2, 129, 8).unbind(0), None)


def test_a_mask_is_heeded() -> None:
    module = nn.Module()
    module.is_causal, module.num_key_value_groups = True, 1
    query, key, value = torch.randn(3, 2, 4, 5, 8).unbind(0)
    mask = torch.rand(2, 1, 5, 5) > 0.3
    mask[..., 0] = True
    found, _ = short_attention(module, query, key, value, mask)
    torch.testing.assert_close(found, sdpa_attention_forward(module, query, key, value, mask)[0])


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen3"])
def test_an_llm_says_the_same(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    lm.model.set_attn_implementation("sdpa")
    ids = torch.randint(5, (3, 9))
    with torch.no_grad():
        expected = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
        with attention_for_training():
            assert ALL_ATTENTION_FUNCTIONS["sdpa"] is short_attention
            found = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_a_causal_pass_takes_no_mask_and_a_padded_one_keeps_its_own(
    tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    lm, masks = tiny_frozen_lm(architecture), []
    lm.model.set_attn_implementation("sdpa")
    attend = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: (masks.append(kwargs["attn_mask"]), attend(*args, **kwargs))[1],
    )
    ids = torch.arange(12).view(2, 6)
    with torch.no_grad():
        expected = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
        monkeypatch.setattr("transformers.masking_utils.is_tracing", lambda *_: True)
        masks.clear()
        lm.decoder(input_ids=ids, use_cache=False)
        assert all(mask is not None for mask in masks)
        masks.clear()
        with attention_for_training(is_short=False):
            found = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
            padded = lm.decoder(input_ids=ids, attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1]] * 2), use_cache=False)
    half = len(masks) // 2
    assert masks[:half] == [None] * half and all(mask is not None for mask in masks[half:])
    torch.testing.assert_close(found, expected)
    assert not torch.equal(padded.last_hidden_state, expected)
