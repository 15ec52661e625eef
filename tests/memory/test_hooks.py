"""The contracts of memory in the forward pass, for every architecture: identity, caches, beams, padding."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, StaticCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.reader import Reader, ReaderConfig

MakeLM = Callable[..., FrozenLM]
PROMPT_LENGTHS = (9, 5, 7)
NUM_ROWS = 2


@dataclass
class Attached:
    """A tiny LLM with an open reader hooked on."""

    lm: FrozenLM
    reader: Reader
    hooks: MemoryHooks

    @torch.no_grad()
    def run(
        self, rows: Tensor | None, input_ids: Tensor, *, use_deep: bool = False, **kwargs: object
    ) -> CausalLMOutputWithPast:
        """One forward pass with `rows` in memory."""
        with self.hooks.bind(Binding(rows=rows, use_deep=use_deep)):
            return self.lm.model(input_ids=input_ids, **kwargs)

    def generate(self, rows: Tensor | None, input_ids: Tensor, **kwargs: object) -> object:
        """Six more tokens with `rows` in memory."""
        settings = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0, **kwargs}
        with self.hooks.bind(Binding(rows=rows)):
            return self.lm.model.generate(input_ids=input_ids, **settings)

    def rows(self, batch_size: int = len(PROMPT_LENGTHS), *, seed: int = 1, empty: tuple[int, ...] = ()) -> Tensor:
        """Random rows [B, R, S x 2W] with some empty slots; the sequences in `empty` have none at all."""
        generator = torch.Generator().manual_seed(seed)
        slots = torch.randn(batch_size, NUM_ROWS, 8, 2 * self.reader.config.slot_width, generator=generator)
        slots[:, -1, 5:] = 0
        slots[list(empty)] = 0
        return slots.flatten(-2)


def attach(lm: FrozenLM, *, num_subkeys: int = 0) -> Attached:
    """A seeded reader, its gates wide open, on `lm`."""
    torch.manual_seed(3)
    reader = Reader(ReaderConfig.for_lm(lm, num_heads=2, head_dim=16, slot_width=16, num_subkeys=num_subkeys)).eval()
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    return Attached(lm, reader, MemoryHooks(lm, reader))


@pytest.fixture
def attached(tiny_frozen_lm: MakeLM, architecture: str) -> Attached:
    """Every architecture in turn, in float32."""
    return attach(tiny_frozen_lm(architecture))


@pytest.fixture
def llama(tiny_frozen_lm: MakeLM) -> Attached:
    """One architecture where the others can behave no differently."""
    return attach(tiny_frozen_lm("llama"))


def prompts(vocab_size: int = 300, *, seed: int = 0) -> list[Tensor]:
    """Random prompts of different lengths."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, vocab_size, (n,), generator=generator) for n in PROMPT_LENGTHS]


def padded(rows: list[Tensor], side: str) -> dict[str, Tensor]:
    """Inputs of one batch: `side` is "left", "right", or "none" (all cut to the shortest)."""
    width = min(map(len, rows)) if side == "none" else max(map(len, rows))
    input_ids, mask = torch.zeros(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width, dtype=torch.int64)
    for i, row in enumerate(rows):
        row = row[:width]
        place = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        input_ids[i, place], mask[i, place] = row, 1
    return {"input_ids": input_ids, "attention_mask": mask}


def position_ids(attention_mask: Tensor) -> Tensor:
    """Positions that count real tokens only, as `generate` makes them."""
    return (attention_mask.cumsum(-1) - 1).clamp(min=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_sequences_without_rows_are_bit_identical(
    tiny_frozen_lm: MakeLM, architecture: str, side: str, dtype: torch.dtype
) -> None:
    lm = tiny_frozen_lm(architecture)
    lm.model.to(dtype)
    inputs = padded(prompts(), side)
    with torch.no_grad():
        bare = lm.model(**inputs).logits
    attached = attach(lm)
    assert torch.equal(attached.run(None, **inputs).logits, bare)
    assert torch.equal(attached.run(attached.rows(empty=(0, 1, 2)), **inputs).logits, bare)
    mixed = attached.run(attached.rows(empty=(1,)), **inputs).logits
    assert torch.equal(mixed[1], bare[1])
    assert not torch.equal(mixed[0], bare[0])
    assert not torch.equal(mixed[2], bare[2])


@pytest.mark.parametrize("num_beams", [1, 4])
def test_generation_without_rows_is_bit_identical(tiny_frozen_lm: MakeLM, architecture: str, num_beams: int) -> None:
    lm = tiny_frozen_lm(architecture)
    inputs = padded(prompts(), "left")
    settings = {"num_beams": num_beams, "output_scores": True, "return_dict_in_generate": True}
    bare = lm.model.generate(**inputs, max_new_tokens=6, min_new_tokens=6, do_sample=False, pad_token_id=0, **settings)
    attached = attach(lm)
    mixed = attached.generate(attached.rows(empty=(1,)), **inputs, **settings)
    own = slice(num_beams, 2 * num_beams)
    assert torch.equal(mixed.sequences[1], bare.sequences[1])
    assert all(torch.equal(a[own], b[own]) for a, b in zip(mixed.scores, bare.scores, strict=True))
    assert not torch.equal(mixed.scores[0][0], bare.scores[0][0])


def test_hooks_without_a_binding_and_after_removal_leave_the_llm_alone(attached: Attached) -> None:
    inputs = padded(prompts(), "left")
    attached.hooks.remove()
    bare = attached.lm.model(**inputs).logits
    assert torch.equal(attached.run(attached.rows(), **inputs).logits, bare)
    again = MemoryHooks(attached.lm, attached.reader)
    assert again.binding is None
    assert torch.equal(attached.lm.model(**inputs).logits, bare)


def test_an_open_gate_changes_the_logits_and_a_closed_one_does_not(attached: Attached) -> None:
    inputs = padded(prompts(), "none")
    bare = attached.lm.model(**inputs).logits
    opened = attached.run(attached.rows(), **inputs).logits
    assert (opened - bare).abs().amax(-1).min() > 1e-3
    other_rows = attached.run(attached.rows(seed=2), **inputs).logits
    assert (opened - other_rows).abs().max() > 1e-3
    for adapter in attached.reader.adapters:
        adapter.gate.data.zero_()
    assert torch.equal(attached.run(attached.rows(), **inputs).logits, bare)


def test_each_adapter_layer_changes_the_logits(attached: Attached) -> None:
    inputs = padded(prompts(), "none")
    bare = attached.lm.model(**inputs).logits
    for chosen in attached.reader.adapters:
        for adapter in attached.reader.adapters:
            adapter.gate.data.fill_(2.0 if adapter is chosen else 0.0)
        assert not torch.equal(attached.run(attached.rows(), **inputs).logits, bare)


def test_deep_memory_changes_the_logits_without_any_row(tiny_frozen_lm: MakeLM, architecture: str) -> None:
    attached = attach(tiny_frozen_lm(architecture), num_subkeys=4)
    inputs = padded(prompts(), "left")
    bare = attached.lm.model(**inputs).logits
    assert torch.equal(attached.run(None, **inputs).logits, bare)
    assert not torch.equal(attached.run(None, **inputs, use_deep=True).logits, bare)


def test_logits_do_not_depend_on_padding(attached: Attached) -> None:
    rows, memory = prompts(), attached.rows()
    for side in ("left", "right"):
        inputs = padded(rows, side)
        out = attached.run(memory, **inputs, position_ids=position_ids(inputs["attention_mask"])).logits
        for i, row in enumerate(rows):
            alone = attached.run(memory[i : i + 1], row[None]).logits[0]
            torch.testing.assert_close(out[i][inputs["attention_mask"][i].bool()], alone, atol=1e-5, rtol=1e-5)


def test_token_by_token_with_the_cache_equals_one_pass(attached: Attached) -> None:
    input_ids, memory = prompts()[0][None], attached.rows(1)
    whole = attached.run(memory, input_ids, use_cache=False).logits
    parts, cache = [], None
    for piece in (input_ids[:, :4], *input_ids[:, 4:].split(1, dim=1)):
        out = attached.run(memory, piece, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_the_default_forward_returns_a_cache_that_knows_the_tokens(attached: Attached) -> None:
    input_ids, memory = prompts()[0][None], attached.rows(1)
    whole = attached.run(memory, input_ids).logits
    first = attached.run(memory, input_ids[:, :4])
    rest = attached.run(memory, input_ids[:, 4:], past_key_values=first.past_key_values)
    torch.testing.assert_close(rest.logits, whole[:, 4:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("side", ["none", "left"])
def test_generation_with_and_without_cache_agrees(attached: Attached, num_beams: int, side: str) -> None:
    inputs, memory = padded(prompts(), side), attached.rows(empty=(2,))
    settings = {"num_beams": num_beams, "output_scores": True, "return_dict_in_generate": True}
    cached = attached.generate(memory, **inputs, **settings, use_cache=True)
    uncached = attached.generate(memory, **inputs, **settings, use_cache=False)
    assert torch.equal(cached.sequences, uncached.sequences)
    for with_cache, without in zip(cached.scores, uncached.scores, strict=True):
        torch.testing.assert_close(with_cache, without, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("num_beams", [1, 4])
def test_each_prompt_of_a_batch_reads_its_own_memory(attached: Attached, num_beams: int) -> None:
    rows, memory = prompts(), attached.rows()
    settings = {"num_beams": num_beams, "num_return_sequences": 1 if num_beams == 1 else 2}
    together = attached.generate(memory, **padded(rows, "left"), **settings)[:, -6:]
    apart = [attached.generate(memory[i : i + 1], row[None], **settings)[:, -6:] for i, row in enumerate(rows)]
    assert torch.equal(together, torch.cat(apart))


def test_several_sampled_sequences_agree_with_and_without_cache(attached: Attached) -> None:
    inputs, memory = padded(prompts(), "left"), attached.rows()
    found = []
    for use_cache in (True, False):
        torch.manual_seed(11)
        settings = {"do_sample": True, "num_return_sequences": 3, "use_cache": use_cache}
        found.append(attached.generate(memory, **inputs, **settings))
    assert found[0].shape[0] == 9
    assert torch.equal(found[0], found[1])
    assert len(set(map(tuple, found[0][:3].tolist()))) > 1


def test_a_cropped_cache_continues_as_if_never_longer(attached: Attached) -> None:
    input_ids, memory = prompts()[0][None], attached.rows(1)
    wrong = torch.cat([input_ids[:, :5], input_ids[:, :3]], dim=1)
    cache = attached.run(memory, wrong, use_cache=True).past_key_values
    cache.crop(5)
    continued = attached.run(memory, input_ids[:, 5:], past_key_values=cache).logits
    whole = attached.run(memory, input_ids).logits
    torch.testing.assert_close(continued, whole[:, 5:], atol=1e-5, rtol=1e-5)


def test_a_reordered_cache_carries_the_cue_tokens(attached: Attached) -> None:
    inputs, order = padded(prompts(), "none"), torch.tensor([2, 0, 0])
    input_ids, memory = inputs["input_ids"], attached.rows()
    cache = attached.run(memory, input_ids[:, :4], use_cache=True).past_key_values
    cache.reorder_cache(order)
    continued = attached.run(memory[order], input_ids[order, 4:], past_key_values=cache).logits
    whole = attached.run(memory[order], input_ids[order]).logits
    torch.testing.assert_close(continued, whole[:, 4:], atol=1e-5, rtol=1e-5)


def test_a_repeated_cache_reads_repeated_memory(attached: Attached) -> None:
    input_ids, memory = padded(prompts(), "none")["input_ids"], attached.rows()
    cache = attached.run(memory, input_ids[:, :4], use_cache=True).past_key_values
    cache.batch_repeat_interleave(2)
    continued = attached.run(memory, input_ids[:, 4:].repeat_interleave(2, dim=0), past_key_values=cache).logits
    whole = attached.run(memory, input_ids).logits
    torch.testing.assert_close(continued, whole[:, 4:].repeat_interleave(2, dim=0), atol=1e-5, rtol=1e-5)


def test_assisted_decoding_prints_what_greedy_decoding_prints(
    attached: Attached, tiny_causal_lm: Callable[..., PreTrainedModel], architecture: str
) -> None:
    helper = tiny_causal_lm(architecture, seed=0)  # agrees with the LLM wherever memory changes nothing
    input_ids, memory = prompts()[0][None], attached.rows(1)
    greedy = attached.generate(memory, input_ids, max_new_tokens=10)
    assisted = attached.generate(memory, input_ids, max_new_tokens=10, assistant_model=helper)
    assert torch.equal(greedy, assisted)


def test_padding_counts_as_no_token(llama: Attached) -> None:
    inputs = padded(prompts(), "left")
    noise = inputs["input_ids"].clone()
    noise[inputs["attention_mask"] == 0] = 77
    places = position_ids(inputs["attention_mask"])
    real = inputs["attention_mask"].bool()
    out = [
        llama.run(llama.rows(), ids, attention_mask=inputs["attention_mask"], position_ids=places).logits[real]
        for ids in (inputs["input_ids"], noise)
    ]
    torch.testing.assert_close(out[0], out[1], atol=1e-6, rtol=1e-6)


def test_the_three_cues_matter_and_older_tokens_do_not_reach_them(llama: Attached) -> None:
    tokens = torch.arange(20, 29)[None]
    features = llama.hooks._cue_features(tokens, num_new=2)
    table = torch.nn.functional.layer_norm(llama.lm.embedding_weight, (64,))
    expected = torch.cat([table[tokens[0, [-2, -1]] - back] for back in range(3)], dim=-1)
    torch.testing.assert_close(features[0], expected)
    short = llama.hooks._cue_features(tokens[:, :1], num_new=1)
    assert not short[..., 64:].any()


def test_a_cache_filled_without_memory_can_be_continued_with_it(llama: Attached) -> None:
    input_ids, memory = prompts()[0][None], llama.rows(1)
    cache = llama.lm.model(input_ids=input_ids[:, :4], use_cache=True).past_key_values
    out = llama.run(memory, input_ids[:, 4:], past_key_values=cache).logits
    assert torch.isfinite(out).all()
    bare = llama.lm.model(input_ids=input_ids).logits
    assert not torch.equal(out, bare[:, 4:])


def test_memory_is_projected_once_for_a_whole_generation(llama: Attached, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, calls = llama.reader.adapters[0], []
    project = adapter.project
    monkeypatch.setattr(adapter, "project", lambda *args, **more: calls.append(1) or project(*args, **more))
    llama.generate(llama.rows(), **padded(prompts(), "left"), num_beams=4)
    assert len(calls) == 1


def test_single_tokens_train_the_reader_and_the_next_call_reads_what_it_learnt(llama: Attached) -> None:
    token, memory, adapter = prompts()[0][None, :1], llama.rows(1), llama.reader.adapters[0]
    before = llama.run(memory, token).logits
    with llama.hooks.bind(Binding(rows=memory)):
        llama.lm.model(input_ids=token).logits.square().sum().backward()
    assert all(parameter.grad.any() for parameter in (adapter.query.weight, adapter.gate, adapter.output.weight))
    adapter.query.weight.data.add_(1.0)
    assert not torch.equal(llama.run(memory, token).logits, before)


def test_observers_see_every_adapter_once_a_pass(llama: Attached) -> None:
    seen: list[tuple[int, torch.Size]] = []
    binding = Binding(
        rows=llama.rows(), observe=lambda i, wide, deep: seen.append((i, wide.weights.shape)), needs_weights=True
    )
    with llama.hooks.bind(binding):
        llama.lm.model(**padded(prompts(), "none"))
    shape = torch.Size([3, 2, 5, 1 + NUM_ROWS * 8])
    assert seen == [(i, shape) for i in range(len(llama.reader.adapters))]


def test_a_binding_ends_with_its_block_even_after_an_error(llama: Attached) -> None:
    with pytest.raises(KeyError), llama.hooks.bind(Binding(rows=llama.rows())):
        raise KeyError("x")
    assert llama.hooks.binding is None


def test_what_memory_cannot_serve_is_refused(llama: Attached) -> None:
    input_ids = prompts()[0][None]
    embeds = llama.lm.model.get_input_embeddings()(input_ids)
    with llama.hooks.bind(Binding(rows=llama.rows(1))), pytest.raises(ValueError, match="inputs_embeds"):
        llama.lm.model(inputs_embeds=embeds)
    static = StaticCache(config=llama.lm.model.config, max_cache_len=32)
    with pytest.raises(ValueError, match="StaticCache"):
        llama.run(llama.rows(1), input_ids, past_key_values=static)
    with pytest.raises(ValueError, match="bound for 2 prompts, the LLM was called with 3"):
        llama.run(llama.rows(2), **padded(prompts(), "none"))


def test_an_llm_with_untied_embeddings_reads_memory(tiny_frozen_lm: MakeLM) -> None:
    attached = attach(tiny_frozen_lm("llama", tie_word_embeddings=False))
    assert attached.lm.output_head.weight.data_ptr() != attached.lm.embedding_weight.data_ptr()
    inputs = padded(prompts(), "left")
    bare = attached.lm.model(**inputs).logits
    mixed = attached.run(attached.rows(empty=(0,)), **inputs).logits
    assert torch.equal(mixed[0], bare[0])
    assert not torch.equal(mixed[1], bare[1])


def test_a_binding_holds_for_its_own_thread_only(tiny_frozen_lm: MakeLM) -> None:
    attached = attach(tiny_frozen_lm("llama"))
    input_ids = torch.randint(10, 90, (1, 6))
    bare = attached.run(None, input_ids).logits

    def elsewhere() -> Tensor:
        with torch.no_grad():
            return attached.lm.model(input_ids=input_ids).logits

    with attached.hooks.bind(Binding(rows=attached.rows(1))), ThreadPoolExecutor(1) as pool, torch.no_grad():
        assert torch.equal(pool.submit(elsewhere).result(), bare)
        assert not torch.equal(attached.lm.model(input_ids=input_ids).logits, bare)
