"""Memory in the forward pass of an untouched LLM: persistent hooks on its decoder and on some of its layers.

The hooks do nothing until a `Binding` is bound (`MemoryHooks.bind`), which lasts for one call: one `forward`, or one
whole `generate`. It holds for the thread that bound it; other threads use the LLM meanwhile without it. The cue tokens
travel with the KV cache as one extra cache layer, so that reordering, cropping and repeating the cache carry them.
Without gradients, single new tokens are read by `OneTokenReader`.

Where the binding asks for it, the first pass over the prompts also asks the reader's relevance gate; where the gate
shuts a question out, that pass is run again without its rows.

Letters: B sequences, T new tokens, M memory slots, H hidden size.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.adapter import (
    AdapterOutput,
    ProjectedMemory,
    hit_features,
    layer_norm_like,
    repeat_to,
    split_rows,
)
from widedeep_kb.memory.encoding import NO_TOKEN, NUM_CUES, SLOTS_PER_ROW
from widedeep_kb.memory.gate import mass_at, prompt_ends
from widedeep_kb.memory.one_token import OneTokenReader
from widedeep_kb.memory.reader import Reader
from widedeep_kb.memory.static_reader import StaticReader
from widedeep_kb.memory.writer import token_features

if TYPE_CHECKING:
    from widedeep_kb.memory.cached_rows import Pending


@dataclass
class Binding:
    """The memory of one call.

    Attributes:
        rows: [B, R, S x 2W] rows of each sequence's facts (all zeros = no row), or None for no wide memory.
        weights: [B, R] weight of the hit that brought each row (see `Hits.weights`); None = all equal.
        wording: [B, 3] what the names leave unexplained (see `Hits.wording`); needed where the gate is asked.
        marks: [B, R] rows whose attention is to be reported, or None.
        use_deep: whether the deep memory is read.
        naming: [B] bool, prompts that name a relation of some fact: the deep memory is read in these, and in those
            whose rows are read; None = in all.
        observe: called as observe(adapter index, the wide adapter's output or None, deep mass [B, T, Q] or None).
        needs_weights: whether `observe` needs the attention on each slot.
        prompt_mask: [B, T], 0 = padding, of prompts whose relevance is still to be judged: the next pass holds them
            whole, in a new cache or none. None: every row is read.
        projected: adapter index -> this call's projected keys and values; filled on first use.
        one_token: for passes over single tokens; made on first use.
        cues: [B, T, 3H] features of the current tokens and the two before each; set by the decoder's pre-hook.
        cue_queries: what they add to each adapter's query, [B, A x D]; takes the place of `cues` for single tokens.
        seen: arguments of `observe` in a pass that may have to be run again.
        pending: what to wait for before `rows` are read; None: nothing.
    """

    rows: Tensor | None = None
    weights: Tensor | None = None
    wording: Tensor | None = None
    marks: Tensor | None = None
    use_deep: bool = False
    naming: Tensor | None = None
    observe: Callable[[int, AdapterOutput | None, Tensor | None], None] | None = None
    needs_weights: bool = False
    prompt_mask: Tensor | None = None
    projected: dict[int, ProjectedMemory] = field(default_factory=dict)
    one_token: OneTokenReader | None = None
    cues: Tensor | None = None
    cue_queries: tuple[Tensor, ...] = ()
    seen: list[tuple[int, AdapterOutput, Tensor | None]] = field(default_factory=list)
    static: StaticReader | None = None
    latest: Tensor | None = None
    pending: Pending | None = None
    _deep: Tensor | None = None

    def settle(self) -> None:
        """Make the current stream wait for `rows`, once."""
        if self.pending is not None:
            self.pending.wait(self.rows)
            self.pending = None

    def deep_prompts(self) -> Tensor | None:
        """[B] bool, prompts that the deep memory is read in; None = all."""
        if self.naming is None or self.rows is None:
            return self.naming
        if self._deep is None:
            has_rows = self.rows.ne(0).flatten(1).any(1) if self.weights is None else self.weights.gt(0).any(1)
            self._deep = self.naming | has_rows.to(self.naming.device)
        return self._deep

    def only(self, is_open: Tensor) -> Binding:
        """This binding with the rows of the prompts [B] that `is_open` names, and every prompt judged."""
        rows = self.rows * is_open[:, None, None] if is_open.any() else None
        return replace(
            self,
            rows=rows,
            use_deep=self.use_deep and (rows is not None or self.naming is None or bool(self.naming.any())),
            weights=self.weights * is_open[:, None],
            _deep=None,
            prompt_mask=None,
            projected={},
            one_token=None,
            seen=[],
        )


class TokenLayer(DynamicLayer):
    """A cache layer of token ids [B, 1, T, 1]: its keys and its values are one tensor."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append `key_states`; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys = self.values = torch.cat([self.keys, key_states], dim=-2)
        return self.keys, self.values


class MemoryHooks:
    """Attaches a reader to a frozen LLM for as long as both live; `remove` detaches it.

    Args:
        lm: the frozen LLM; neither its code nor its weights change.
        reader: the trained part, moved to the LLM's device by the caller.
    """

    def __init__(self, lm: FrozenLM, reader: Reader) -> None:
        self.lm, self.reader = lm, reader
        self._bound = threading.local()
        self._parameters = tuple(inspect.signature(type(lm.decoder).forward).parameters)[1:]  # without `self`
        self._num_layers, self._embeddings = len(lm.layers), lm.model.get_input_embeddings()
        self._handles = [
            lm.decoder.register_forward_pre_hook(self._before_decoder, with_kwargs=True),
            lm.decoder.register_forward_hook(self._after_decoder, with_kwargs=True),
        ]
        for i, layer_idx in enumerate(reader.config.adapter_layers):
            self._handles.append(lm.layers[layer_idx].register_forward_hook(self._make_layer_hook(i)))

    @property
    def binding(self) -> Binding | None:
        """The memory of this thread's calls of the LLM."""
        return getattr(self._bound, "binding", None)

    @binding.setter
    def binding(self, binding: Binding | None) -> None:
        self._bound.binding = binding

    def remove(self) -> None:
        """Detach from the LLM."""
        for handle in self._handles:
            handle.remove()

    @contextmanager
    def bind(self, binding: Binding) -> Iterator[Binding]:
        """Make `binding` the memory of every LLM call inside the `with` block."""
        assert self.binding is None, "a memory is already bound to this LLM"
        self.binding = binding
        try:
            with self.lm.bound():
                yield binding
        finally:
            self.binding = None

    def _before_decoder(self, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        if self.binding is not None and self.binding.static is not None:
            self.binding.cue_queries = self.binding.static.cue_queries(self.binding.latest)
            return None
        if self.binding is None or self.binding.rows is None:
            return None
        values = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        input_ids, cache = values.get("input_ids"), values.get("past_key_values")
        if input_ids is None:
            raise ValueError("memory needs input_ids: the LLM was called with inputs_embeds")
        tokens = _without_padding(input_ids, values.get("attention_mask"))
        use_cache = values.get("use_cache")  # None where the caller left it to the config
        needs_cache = cache is None and (module.config.use_cache if use_cache is None else use_cache)
        if needs_cache:
            cache = values["past_key_values"] = DynamicCache(config=module.config)
        self._set_cues(_with_history(tokens, cache, num_layers=self._num_layers), num_new=tokens.shape[1])
        return ((), values) if needs_cache else None

    def _after_decoder(self, module: nn.Module, args: tuple, kwargs: dict, output: object) -> object | None:
        """Ask the gate after a pass over whole prompts; run the pass again if it shuts any of them out."""
        binding = self.binding
        if binding is None or binding.rows is None or binding.prompt_mask is None:
            return None
        ends, times = prompt_ends(binding.prompt_mask), binding.seen[0][1].mass.shape[0] // len(binding.rows)
        mass = torch.stack([mass_at(wide.mass[::times], ends) for _, wide, _ in binding.seen], dim=1)
        is_open = self.reader.gate(mass, binding.weights, binding.wording)
        if is_open.all():
            binding.prompt_mask = None
            seen, binding.seen = binding.seen, []
            for found in seen if binding.observe is not None else ():
                binding.observe(*found)
            return None
        self.binding = binding.only(is_open)
        values = {**dict(zip(self._parameters, args, strict=False)), **kwargs}
        if (cache := values.get("past_key_values")) is not None:
            cache.layers = DynamicCache(config=module.config).layers
        return module(**values)

    def _set_cues(self, history: Tensor, *, num_new: int) -> None:
        """Make ready what the adapters take from all tokens seen so far, [B, past + T]."""
        binding = self.binding
        if num_new > 1 or torch.is_grad_enabled():
            binding.cues, binding.cue_queries = self._cue_features(history, num_new=num_new), ()
            return
        if binding.one_token is None or binding.one_token.batch_size != len(history):
            memories = [self._project(i, len(history)) for i in range(len(self.reader.adapters))]
            binding.one_token = OneTokenReader(self.reader.adapters, memories, dtype=self._embeddings.weight.dtype)
        latest = history[:, -NUM_CUES:]
        if latest.shape[1] < NUM_CUES:
            latest = F.pad(latest, (NUM_CUES - latest.shape[1], 0), value=NO_TOKEN)
        binding.cue_queries = binding.one_token.cue_queries(token_features(latest, self._embeddings.weight))

    def _cue_features(self, history: Tensor, *, num_new: int) -> Tensor:
        """[B, T, 3H]: features of each new token and the two before it."""
        width = history.shape[1]
        padded = F.pad(history, (NUM_CUES, 0), value=NO_TOKEN)
        stacked = [padded[:, NUM_CUES - back : NUM_CUES - back + width][:, -num_new:] for back in range(NUM_CUES)]
        return token_features(torch.stack(stacked, dim=-1), self._embeddings.weight).flatten(-2)

    def _make_layer_hook(self, index: int):  # noqa: ANN202 - a hook's signature is torch's
        def hook(_module: nn.Module, _args: tuple, output: Tensor | tuple) -> Tensor | tuple | None:
            if self.binding is None:
                return None
            hidden = output[0] if isinstance(output, tuple) else output
            changed = self._read(index, hidden)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

    def _read(self, index: int, hidden: Tensor) -> Tensor:
        binding, adapter = self.binding, self.reader.adapters[index]
        if binding.static is not None:
            if index == 0:
                binding.static.join()
            return binding.static.read(index, hidden, cue_query=binding.cue_queries[index])
        reads_deep = binding.use_deep and self.reader.has_deep
        if binding.rows is None and not reads_deep:
            return hidden
        wide = deep_mass = normed = None
        additions = []
        if binding.rows is not None and binding.cue_queries:
            is_observed = binding.observe is not None or binding.prompt_mask is not None
            cue_query = binding.cue_queries[index]
            addition, wide = binding.one_token.read(index, hidden, cue_query=cue_query, is_observed=is_observed)
            additions.append(addition)
        elif binding.rows is not None:
            normed, memory = layer_norm_like(adapter.norm, hidden), self._project(index, hidden.shape[0])
            wide = adapter(normed, memory, cues=binding.cues, needs_weights=binding.needs_weights)
            additions.append(wide.addition)
        if reads_deep:
            normed = layer_norm_like(adapter.norm, hidden) if normed is None else normed
            threshold = self.reader.config.null_threshold
            deep, deep_mass = self.reader.deep_readers[index](normed, self.reader.deep_pool, null_threshold=threshold)
            if (is_read := binding.deep_prompts()) is not None:
                is_read = repeat_to(is_read, hidden.shape[0])[:, None, None]
                deep, deep_mass = deep * is_read, deep_mass * is_read
            additions.append(deep)
        if binding.prompt_mask is not None and wide is not None:
            binding.seen.append((index, wide, deep_mass))
        elif binding.observe is not None:
            binding.observe(index, wide, deep_mass)
        return hidden + sum(additions[1:], additions[0]).to(hidden.dtype)

    def _project(self, index: int, batch_size: int) -> ProjectedMemory:
        binding = self.binding
        memory = binding.projected.get(index)
        if memory is None:
            binding.settle()
            keys, values, mask = split_rows(binding.rows, slot_width=self.reader.config.slot_width)
            weights = (
                torch.ones(binding.rows.shape[:2], device=keys.device) if binding.weights is None else binding.weights
            )
            hits = hit_features(weights).repeat_interleave(SLOTS_PER_ROW, dim=1)
            marks = None if binding.marks is None else binding.marks.repeat_interleave(SLOTS_PER_ROW, dim=1)
            memory = self.reader.adapters[index].project(keys, values, hits=hits, mask=mask, marks=marks)
        if memory.mask.shape[0] != batch_size:
            memory = ProjectedMemory(*(repeat_to(part, batch_size) for part in memory))
        binding.projected[index] = memory
        return memory


def _without_padding(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """`input_ids` [B, T] with padded positions as NO_TOKEN."""
    if attention_mask is None or attention_mask.dim() != 2:
        return input_ids
    return input_ids.masked_fill(attention_mask[:, -input_ids.shape[1] :] == 0, NO_TOKEN)


def _with_history(tokens: Tensor, cache: Cache | None, *, num_layers: int) -> Tensor:
    """All tokens seen so far [B, past + T]; where there is a cache they are kept in it as one more layer."""
    if cache is None:
        return tokens
    if not isinstance(cache, DynamicCache):
        raise ValueError(f"memory needs a DynamicCache, the LLM was given a {type(cache).__name__}")
    while len(cache.layers) < num_layers:
        cache.layers.append(DynamicLayer())
    if len(cache.layers) == num_layers:
        past = cache.get_seq_length()
        cache.layers.append(TokenLayer())
        if past:
            cache.layers[-1].update(*[tokens.new_full((tokens.shape[0], 1, past, 1), NO_TOKEN)] * 2)
    states = tokens.view(len(tokens), 1, -1, 1)
    kept, _ = cache.layers[num_layers].update(states, states)
    return kept.view(len(tokens), -1)
