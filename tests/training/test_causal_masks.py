"""A causal pass takes no mask, a padded one keeps its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.training.causal_masks import no_causal_masks

MakeLM = Callable[..., FrozenLM]


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
        with no_causal_masks():
            found = lm.decoder(input_ids=ids, use_cache=False).last_hidden_state
            padded = lm.decoder(input_ids=ids, attention_mask=torch.tensor([[0, 1, 1, 1, 1, 1]] * 2), use_cache=False)
    half = len(masks) // 2
    assert masks[:half] == [None] * half and all(mask is not None for mask in masks[half:])
    torch.testing.assert_close(found, expected)
    assert not torch.equal(padded.last_hidden_state, expected)
