"""Decoding with memory in fixed buffers writes the tokens that transformers' `generate` writes with the same memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from widedeep_kb.decoding import GreedyDecoder
from widedeep_kb.lm import FrozenLM, left_pad
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.stepping import generate_with

MakeLM = Callable[..., FrozenLM]


def hooked(lm: FrozenLM, **config: object) -> MemoryHooks:
    """A random reader with wide open gates on `lm`."""
    torch.manual_seed(3)
    sizes = {"num_heads": 2, "head_dim": 16, "slot_width": 16, **config}
    reader = Reader(ReaderConfig.for_lm(lm, **sizes)).eval()
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    return MemoryHooks(lm, reader)


def memory_of(hooks: MemoryHooks, batch_size: int, *, num_rows: int, seed: int) -> Binding:
    """Random rows, some slots empty; the last sequence has none."""
    torch.manual_seed(seed)
    slots = torch.randn(batch_size, num_rows, 8, 2 * hooks.reader.config.slot_width)
    slots[:, -1, 5:] = 0
    slots[batch_size - 1 :] *= batch_size == 1
    weights = torch.rand(batch_size, num_rows)
    return Binding(rows=slots.flatten(-2), weights=weights, wording=torch.rand(batch_size, 3))


def tokens(
    hooks: MemoryHooks, binding: Binding, decoder: GreedyDecoder, way: str, prompt: tuple, **more: int
) -> Tensor:
    """What one way of generation writes."""
    options = {"attention_mask": prompt[1], "max_new_tokens": 10, "do_sample": False, "pad_token_id": 0, **more}
    fresh = replace(binding, projected={}, one_token=None, seen=[])
    with torch.inference_mode():
        return generate_with(hooks, fresh, prompt[0], decoder=decoder, generation=way, options=options)


@pytest.mark.parametrize("lengths", [(9, 5, 7), (1,), (4, 61)], ids=["padded", "one token", "more than a bucket"])
def test_tokens_equal_those_of_transformers(
    tiny_frozen_lm: MakeLM, architecture: str, lengths: tuple[int, ...]
) -> None:
    lm = tiny_frozen_lm(architecture)
    hooks, decoder = hooked(lm), GreedyDecoder(lm)
    bare = GreedyDecoder(lm)
    for seed, num_rows in ((0, 3), (1, 2), (2, 9)):
        generator = torch.Generator().manual_seed(seed)
        rows = [torch.randint(5, 300, (n,), generator=generator).tolist() for n in lengths]
        prompt = left_pad(rows, pad_id=0)
        binding = memory_of(hooks, len(lengths), num_rows=num_rows, seed=seed)
        ours = tokens(hooks, binding, decoder, "cuda_graph", prompt, min_new_tokens=10)
        assert torch.equal(ours, tokens(hooks, binding, decoder, "transformers", prompt, min_new_tokens=10))
        without = tokens(hooks, Binding(), bare, "cuda_graph", prompt, min_new_tokens=10)
        if architecture != "gemma":  # untrained, it repeats its last token whatever it reads
            assert not torch.equal(ours[0], without[0])
    assert len(decoder._steps) == 2  # up to 64 slots, and 72
    assert len(bare._steps) == 1
    assert hooks.binding is None


def test_first_passes_from_buffers_write_the_same_tokens(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    lm = tiny_frozen_lm(architecture)
    hooks, decoder = hooked(lm), GreedyDecoder(lm, has_prompt_buffers=True)
    written = []
    for seed, num_rows in enumerate((8, 3, 1, 9, 12)):
        generator = torch.Generator().manual_seed(seed)
        prompt = left_pad([torch.randint(5, 300, (n,), generator=generator).tolist() for n in (9, 5, 7)], pad_id=0)
        binding = memory_of(hooks, 3, num_rows=num_rows, seed=seed)
        written.append(tokens(hooks, binding, decoder, "cuda_graph", prompt, min_new_tokens=10))
        assert torch.equal(written[-1], tokens(hooks, binding, decoder, "transformers", prompt, min_new_tokens=10))
    known = decoder._passes._passes
    assert [key[2][0] for key, found in known.items() if found is not None] == [8, 16]
    assert hooks.binding is None


@pytest.mark.parametrize("has_prompt_buffers", [False, True])
@pytest.mark.parametrize("kept", ["all", "some", "none"])
def test_the_gate_is_asked_in_the_first_pass(
    tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch, kept: str, has_prompt_buffers: bool
) -> None:
    lm = tiny_frozen_lm("llama")
    hooks, decoder = hooked(lm), GreedyDecoder(lm, has_prompt_buffers=has_prompt_buffers)
    is_open = {"all": [True, True], "some": [False, True], "none": [False, False]}[kept]
    monkeypatch.setattr(hooks.reader.gate, "forward", lambda *_args: torch.tensor(is_open))
    prompt = left_pad([[7, 8, 9, 10], [11, 12]], pad_id=0)
    binding = memory_of(hooks, 3, num_rows=2, seed=0)
    binding = Binding(rows=binding.rows[:2], weights=binding.weights[:2], wording=binding.wording[:2])
    binding = replace(binding, prompt_mask=prompt[1])
    for _ in range(2):  # buffers are used from the second call on
        ours = tokens(hooks, binding, decoder, "cuda_graph", prompt)
    assert torch.equal(ours, tokens(hooks, binding, decoder, "transformers", prompt))
    without = tokens(hooks, Binding(), decoder, "cuda_graph", prompt)
    assert torch.equal(ours, without) == (kept == "none")


def test_the_same_slots_at_another_place_make_another_step(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    hooks, decoder = hooked(lm), GreedyDecoder(lm)
    prompt, binding = left_pad([[7, 8, 9]], pad_id=0), memory_of(hooks, 1, num_rows=2, seed=0)
    first = tokens(hooks, binding, decoder, "cuda_graph", prompt)
    for adapter in hooks.reader.adapters:
        adapter.gate = torch.nn.Parameter(torch.zeros(()))  # elsewhere in memory
    second = tokens(hooks, binding, decoder, "cuda_graph", prompt)
    assert len(decoder._steps) == 2
    assert torch.equal(second, tokens(hooks, Binding(), decoder, "cuda_graph", prompt))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"num_beams": 2}, "it knows no 'num_beams'"),
        ({"do_sample": True}, "it does not sample"),
        ({"attention_mask": None}, "it needs 'attention_mask'"),
    ],
)
def test_what_is_not_plain_greedy_decoding_is_refused_or_left_to_transformers(
    tiny_frozen_lm: MakeLM, more: dict[str, object], message: str
) -> None:
    lm = tiny_frozen_lm("llama")
    hooks, decoder = hooked(lm), GreedyDecoder(lm, is_captured=False)
    prompt, binding = left_pad([[7, 8, 9]], pad_id=0), memory_of(hooks, 1, num_rows=2, seed=0)
    with pytest.raises(ValueError, match=message):
        tokens(hooks, binding, decoder, "cuda_graph", prompt, **more)
    assert tokens(hooks, binding, decoder, "auto", prompt, **more).shape[1] <= 13
    assert not decoder._steps
    with pytest.raises(ValueError, match="not 'fast'"):
        tokens(hooks, binding, decoder, "fast", prompt)


def test_an_llm_whose_config_alters_the_scores_is_left_to_transformers(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    lm.model.generation_config.repetition_penalty = 1.3
    hooks, decoder = hooked(lm), GreedyDecoder(lm)
    with pytest.raises(ValueError, match="sets 'repetition_penalty'"):
        tokens(hooks, Binding(), decoder, "cuda_graph", left_pad([[7, 8, 9]], pad_id=0))


def test_the_deep_memory_is_left_to_transformers(tiny_frozen_lm: MakeLM) -> None:
    lm = tiny_frozen_lm("llama")
    hooks, decoder = hooked(lm, num_subkeys=4), GreedyDecoder(lm)
    with pytest.raises(ValueError, match="the deep memory is read"):
        tokens(hooks, Binding(use_deep=True), decoder, "cuda_graph", left_pad([[7, 8, 9]], pad_id=0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_captured_steps_write_what_the_same_steps_write_uncaptured(
    tiny_frozen_lm: MakeLM, architecture: str, dtype: torch.dtype
) -> None:
    lm = tiny_frozen_lm(architecture)
    lm.model.to("cuda", dtype)
    hooks = hooked(lm)
    hooks.reader.to("cuda")
    captured = GreedyDecoder(lm, is_captured=True)
    plain = GreedyDecoder(lm, is_captured=False, has_prompt_buffers=True)
    for seed in range(3):  # the later calls replay the first one's graph
        generator = torch.Generator().manual_seed(seed)
        rows = [torch.randint(5, 300, (n,), generator=generator).tolist() for n in (9, 5, 7)]
        prompt = tuple(part.cuda() for part in left_pad(rows, pad_id=0))
        made = memory_of(hooks, 3, num_rows=2 + seed, seed=seed)
        binding = Binding(rows=made.rows.cuda(), weights=made.weights.cuda(), wording=made.wording.cuda())
        for memory in (binding, Binding()):
            ours = tokens(hooks, memory, captured, "cuda_graph", prompt, min_new_tokens=10)
            assert torch.equal(ours, tokens(hooks, memory, plain, "cuda_graph", prompt, min_new_tokens=10))
    assert len(captured._steps) == 2
    assert sum(found is not None for found in captured._passes._passes.values()) == 2
