"""Decoding in fixed buffers writes the tokens that `model.generate(do_sample=False)` writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import StoppingCriteriaList

from widedeep_kb.decode_step import Ending
from widedeep_kb.decoding import PLACES, GreedyDecoder
from widedeep_kb.lm import AnswerLineEnd, FrozenLM, left_pad
from widedeep_kb.prompt_pass import PromptPasses

MakeLM = Callable[..., FrozenLM]


def prompts(lm: FrozenLM, lengths: tuple[int, ...], *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random prompts, padded on the left."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(5, 300, (n,), generator=generator).tolist() for n in lengths]
    return left_pad(rows, pad_id=lm.tokenizer.pad_token_id)


def expected(lm: FrozenLM, input_ids: Tensor, mask: Tensor, *, ending: Ending) -> Tensor:
    """transformers' own tokens."""
    line_end = [AnswerLineEnd(lm, num_prompt_tokens=input_ids.shape[1])] if ending.at_line_break else []
    return lm.model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=ending.max_new_tokens,
        min_new_tokens=ending.min_new_tokens,
        eos_token_id=list(ending.end_ids),
        pad_token_id=ending.pad_id,
        stopping_criteria=StoppingCriteriaList(line_end),
    )


@pytest.mark.parametrize("lengths", [(9, 5, 7), (1,), (62, 3)], ids=["padded", "one token", "more than a bucket"])
def test_tokens_equal_those_of_transformers(
    tiny_frozen_lm: MakeLM, architecture: str, lengths: tuple[int, ...]
) -> None:
    lm = tiny_frozen_lm(architecture)
    decoder = GreedyDecoder(lm)
    ending = Ending((99,), pad_id=0, max_new_tokens=12, min_new_tokens=12)
    for seed in range(2):  # the second call finds the first one's buffers
        input_ids, mask = prompts(lm, lengths, seed=seed)
        assert torch.equal(
            decoder.generate(input_ids, mask, ending=ending), expected(lm, input_ids, mask, ending=ending)
        )
    assert len(decoder._steps) == 1


def test_first_passes_from_buffers_write_the_same_tokens(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    decoder = GreedyDecoder(lm, has_prompt_buffers=True)
    ending = Ending((99,), pad_id=0, max_new_tokens=12, min_new_tokens=12)
    for seed, lengths in enumerate(((9, 5, 7), (3, 12, 2), (16, 4, 1), (17, 4, 1))):
        input_ids, mask = prompts(lm, lengths, seed=seed)
        ours = decoder.generate(input_ids, mask, ending=ending)
        assert torch.equal(ours, expected(lm, input_ids, mask, ending=ending))
    known = decoder._passes._passes
    assert [size[:2] for size, found in known.items() if found is not None] == [(3, 16)]
    assert [size[:2] for size, found in known.items() if found is None] == [(3, 32)]  # met once


def test_prompts_too_large_for_buffers_are_read_as_they_are(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    passes = PromptPasses(lm, is_captured=False)
    ids = torch.ones(2, 4097, dtype=torch.int64)
    for _ in range(3):
        assert passes.loaded(ids, torch.ones_like(ids), key=None, new_reader=lambda: None) is None
        assert not passes._passes


def test_the_first_passes_kept_are_those_used_last(tiny_frozen_lm: MakeLM) -> None:
    passes = PromptPasses(tiny_frozen_lm("llama"), is_captured=False)
    ids = torch.ones(1, 3, dtype=torch.int64)

    def loaded(key: int) -> object:
        return passes.loaded(ids, torch.ones_like(ids), key=key, new_reader=lambda: None)

    assert loaded(0) is None
    first = loaded(0)
    assert first is not None
    for key in range(1, 16):
        loaded(key)
    assert loaded(0) is first
    for key in range(16, 32):
        loaded(key)
    assert loaded(0) is None


def test_sequences_end_where_transformers_ends_them(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    decoder, lengths_seen = GreedyDecoder(lm), set()
    for seed in range(6):
        input_ids, mask = prompts(lm, (9, 5, 7), seed=seed)
        free = decoder.generate(input_ids, mask, ending=Ending((), 0, max_new_tokens=10))[:, -10:]
        ends = tuple({int(free[0, 3]), int(free[1, 5]), int(free[2, seed % 3])})  # tokens that it does write
        for least in (0, 7):
            ending = Ending(ends, pad_id=1, max_new_tokens=10, min_new_tokens=least)
            ours = decoder.generate(input_ids, mask, ending=ending)
            assert torch.equal(ours, expected(lm, input_ids, mask, ending=ending))
            lengths_seen.add(ours.shape[1])
    assert len(lengths_seen) > 1


def test_a_line_break_behind_text_ends_a_sequence(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    kinds = lm.blank_tokens.clone(), lm.line_break_tokens.clone()
    kinds[1][::7] = True  # as if every seventh token broke the line, and every fifth were blank
    kinds[0][::5] = True
    lm._kinds[lm.device] = kinds
    decoder, lengths_seen = GreedyDecoder(lm), set()
    for seed in range(8):
        input_ids, mask = prompts(lm, (9, 5), seed=seed)
        ending = Ending((2,), pad_id=0, max_new_tokens=20, at_line_break=True)
        ours = decoder.generate(input_ids, mask, ending=ending)
        assert torch.equal(ours, expected(lm, input_ids, mask, ending=ending))
        lengths_seen.add(ours.shape[1])
    assert len(lengths_seen) > 1


def test_what_cannot_be_decoded_in_buffers_is_an_error(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    lm.model.config._attn_implementation = "eager"
    with pytest.raises(ValueError, match="its attention is 'eager'"):
        GreedyDecoder(lm).generate(torch.ones(1, 3, dtype=torch.int64), ending=Ending((), 0, max_new_tokens=PLACES))
