"""The memory's part in greedy decoding with fixed buffers (of `generate` and `ask`), and what can be decoded so.

Letters: B sequences, M slots.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from widedeep_kb.decode_step import Ending
from widedeep_kb.decoding import PLAIN, GreedyDecoder, why_not
from widedeep_kb.memory.adapter import AdapterOutput
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.prompt_reader import PromptReader, num_row_places
from widedeep_kb.memory.static_reader import StaticReader, num_places

Generation = Literal["auto", "transformers", "cuda_graph"]

# With one of these the first pass of Hugging Face's `generate` may be other than one over the prompts in a new cache.
OTHER_FIRST_PASS = (
    "generation_config",
    "past_key_values",
    "cache_implementation",
    "prefill_chunk_size",
    "assistant_model",
    "prompt_lookup_num_tokens",
    "assistant_early_exit",
    "custom_generate",
    "inputs_embeds",
)


class MemorySteps:
    """An `Attachment` (see `decoding`): memory hooks with the memory of one call.

    Args:
        hooks: on the LLM.
        binding: the memory of B prompts.
        is_observed: note the attention on each slot.
    """

    def __init__(self, hooks: MemoryHooks, binding: Binding, *, is_observed: bool = False) -> None:
        self._hooks, self._is_observed, self._binding = hooks, is_observed, binding
        self._noted = noted = []  # by a function of no object: rows would wait for a collection of cycles
        if is_observed:

            def note(_index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
                noted.append(wide.weights[:, :, -1, 1:].mean(1))

            self._binding = replace(binding, observe=note, needs_weights=True)

    @contextmanager
    def first_pass(self) -> Iterator[None]:
        """The binding, until the pass over the prompts is done; the gate may narrow it there."""
        with self._hooks.bind(self._binding):
            yield
            self._binding = self._hooks.binding

    def prompt_key(self) -> Hashable:
        """Number of rows, what they are, and where the weights are that a captured pass reads."""
        rows = self._binding.rows
        return (num_row_places(rows.shape[1]), rows.shape[2], rows.dtype, *self._addresses())

    def new_prompt_reader(self, batch_size: int) -> PromptReader:
        """Buffers for the rows of B prompts."""
        rows, weights = self._binding.rows, self._binding.weights
        return PromptReader(
            batch_size=batch_size, num_rows=num_row_places(rows.shape[1]), rows_like=rows, weights_like=weights
        )

    def load_prompts(self, reader: PromptReader) -> None:
        """The rows of this call."""
        self._binding.settle()
        reader.load(self._binding.rows, self._binding.weights)

    @contextmanager
    def prompts(self, reader: PromptReader) -> Iterator[None]:
        """The buffers, bound."""
        with self._hooks.bind(reader.binding()) as binding:
            yield
        reader.take(binding)

    def is_settled(self, reader: PromptReader) -> bool:
        """Ask the gate if that is still to be done; without the rows that it shuts out the prompts are read again."""
        binding = self._binding
        if binding.prompt_mask is not None:
            is_open = self._hooks.reader.gate(reader.mass, binding.weights, binding.wording)
            if not is_open.all():
                self._binding = binding.only(is_open)
                reader.load(self._binding.rows, self._binding.weights)
                return False
        self._binding = replace(self._binding, prompt_mask=None, projected=reader.projected)
        return True

    def key(self) -> Hashable | None:
        """Number of slots, and where the weights are that a captured step reads; None: the gate left no rows."""
        if self._binding.rows is None:
            return None
        return (num_places(self._num_slots), self._is_observed, *self._addresses())

    def new_reader(self, batch_size: int) -> StaticReader:
        """Buffers for B sequences of up to so many slots."""
        return StaticReader(
            self._hooks.reader.adapters,
            embeddings=self._hooks.lm.embedding_weight,
            batch_size=batch_size,
            num_slots=num_places(self._num_slots),
            is_observed=self._is_observed,
        )

    def load(self, reader: StaticReader) -> None:
        """Keys and values as the first pass projected them."""
        reader.load([self._binding.projected[i] for i in range(len(reader.adapters))])

    def steps(self, reader: StaticReader, latest: Tensor) -> AbstractContextManager[Binding]:
        """The buffers, bound."""
        return self._hooks.bind(Binding(static=reader, latest=latest))

    def first_look(self) -> Tensor:
        """[B, M] attention on each slot at the last token of each prompt, mean over adapters and heads."""
        return torch.stack(self._noted[-len(self._hooks.reader.adapters) :]).mean(0)

    @staticmethod
    def look(reader: StaticReader) -> Tensor:
        """[B, places for slots] the same in the last step."""
        return reader.log_attention.exp().mean((0, 2))

    def _addresses(self) -> tuple[int, ...]:
        return tuple(p.data_ptr() for adapter in self._hooks.reader.adapters for p in adapter.parameters())

    @property
    def _num_slots(self) -> int:
        return self._binding.projected[0].mask.shape[1] - 1


def generate_with(
    hooks: MemoryHooks,
    binding: Binding,
    input_ids: Tensor,
    *,
    decoder: GreedyDecoder,
    generation: Generation,
    options: Mapping[str, object],
) -> Tensor:
    """`generate` with memory: by captured steps where asked and possible, else by transformers.

    Args:
        hooks: on the LLM.
        binding: the memory of B prompts; the gate, if it is still to be asked, is asked in the first pass.
        input_ids: [B, T].
        decoder: keeps the captured steps.
        generation: "auto" captures on a GPU if the call is plain greedy decoding, "cuda_graph" demands it.
        options: arguments of `generate`.

    Raises:
        ValueError: "cuda_graph" is demanded and impossible, or no way of generation is called so.
    """
    check_generation(generation)
    reason = None
    if generation == "transformers" or (generation == "auto" and not decoder.is_captured):
        reason = "not asked for"
    elif (reason := why_not_plain(hooks, binding, options)) and generation == "cuda_graph":
        raise ValueError(f"generation='cuda_graph' cannot be used: {reason}")
    if reason is not None:
        with hooks.bind(binding):
            return hooks.lm.model.generate(input_ids=input_ids, **options)
    has_memory = binding.rows is not None
    return decoder.generate(
        input_ids,
        options["attention_mask"],
        ending=_ending(hooks, options),
        attachment=MemorySteps(hooks, binding) if has_memory else None,
    )


def check_generation(generation: str) -> None:
    """Raise a `ValueError` unless a way of generation is called so."""
    if generation not in get_args(Generation):
        raise ValueError(f"generation must be 'auto', 'transformers' or 'cuda_graph', not {generation!r}")


def why_not_plain(hooks: MemoryHooks, binding: Binding, options: Mapping[str, object]) -> str | None:
    """Why a call is not plain greedy decoding in fixed buffers; None: it is."""
    if other := sorted(name for name, value in options.items() if name not in PLAIN and value is not None):
        return f"it knows no {other[0]!r}"
    if missing := [name for name in ("attention_mask", "max_new_tokens") if options.get(name) is None]:
        return f"it needs {missing[0]!r}"
    config = hooks.lm.model.generation_config
    if options.get("do_sample", config.do_sample):
        return "it does not sample"
    if binding.use_deep and hooks.reader.has_deep:
        return "the deep memory is read"
    if binding.observe is not None:
        return "the attention is observed"
    return why_not(hooks.lm)


def _ending(hooks: MemoryHooks, options: Mapping[str, object]) -> Ending:
    config = hooks.lm.model.generation_config
    ends = options.get("eos_token_id", config.eos_token_id)
    ends = () if ends is None else tuple(ends) if isinstance(ends, list | tuple) else (ends,)
    pad = options.get("pad_token_id", config.pad_token_id)
    if pad is None:
        pad = ends[0] if ends else hooks.lm.tokenizer.pad_token_id
    least = options.get("min_new_tokens", config.min_new_tokens) or 0
    return Ending(ends, pad, max_new_tokens=options["max_new_tokens"], min_new_tokens=least)
