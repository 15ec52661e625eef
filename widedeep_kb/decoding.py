"""Greedy decoding in buffers of fixed size, so that a step over one token can be a CUDA graph that is replayed.

In: prompts. Out: the tokens that `model.generate(do_sample=False)` writes. The keys and values of the first pass, over
the prompts (see `prompt_pass`), move into buffers that a step finds at the same addresses each time. Whatever reads
beside the LLM (a memory) takes part through an `Attachment`: the loop is the same with one and without.

Letters: B sequences, T prompt tokens, N new tokens, P places in the buffers, V vocabulary, H heads, D head width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

from widedeep_kb.decode_step import DecodeStep, Ending, Lookout
from widedeep_kb.lm import FrozenLM, end_ids
from widedeep_kb.prompt_pass import PromptPasses, prompt_logits

PLAIN = ("attention_mask", "max_new_tokens", "min_new_tokens", "do_sample", "eos_token_id", "pad_token_id")
# Of a generation config: what has no say in greedy decoding of a given number of tokens, or none at 1.
_HARMLESS = ("bos_token_id", "max_length", "temperature", "top_k", "top_p", "use_cache", "transformers_version")
_NEUTRAL_AT_1 = ("num_beams", "num_beam_groups", "num_return_sequences", "repetition_penalty", "length_penalty")
PLACES = 64  # buffers hold a multiple of so many tokens: prompts of similar length share a captured step
_MOST_STEPS = 8


class Attachment(Protocol):
    """What reads beside the LLM in one call."""

    def first_pass(self) -> AbstractContextManager[None]:
        """Lasts for a pass over the prompts that is run as it is."""

    def prompt_key(self) -> Hashable:
        """Before the first pass: what a captured one depends on besides B and T."""

    def new_prompt_reader(self, batch_size: int) -> object:
        """Buffers for first passes with this key."""

    def load_prompts(self, reader: object) -> None:
        """Fill them for this call."""

    def prompts(self, reader: object) -> AbstractContextManager[None]:
        """Lasts while a first pass from buffers is run or captured."""

    def is_settled(self, reader: object) -> bool:
        """Behind such a pass: whether it stands; if not, the buffers were changed and it is to be run again."""

    def key(self) -> Hashable | None:
        """After the first pass: what a captured step depends on besides B and P; None: nothing is read in a step."""

    def new_reader(self, batch_size: int) -> object:
        """Buffers for steps with this key."""

    def load(self, reader: object) -> None:
        """Fill them for this call."""

    def steps(self, reader: object, latest: Tensor) -> AbstractContextManager[None]:
        """Lasts while a step is run or captured; `latest` [B, 3] are the last tokens, -1 for none."""

    def first_look(self) -> Tensor:
        """[B, M] where it looked at the last token of each prompt, in the first pass."""

    @staticmethod
    def look(reader: object) -> Tensor:
        """[B, at least M] where it looked in the last step; a tensor of its own."""


class Traced(NamedTuple):
    """Greedy decoding and what it looked like.

    Attributes:
        output_ids: [B, T + N], as `model.generate` returns them.
        log_probabilities: [B, N] float32, natural, of the likeliest token at each step.
        looks: [N, B, M] float32, where the attachment looked at each step; None where none took part.
    """

    output_ids: Tensor
    log_probabilities: Tensor
    looks: Tensor | None


class GreedyDecoder:
    """Greedy decoding for an LLM with steps that are kept from call to call.

    Args:
        lm: the LLM.
        is_captured: make each step a CUDA graph; default: on a GPU.
        has_prompt_buffers: run first passes over prompts of a known size in buffers; default: where they are captured.

    Attributes:
        most_steps: captured steps that are kept, the latest used.
    """

    def __init__(
        self, lm: FrozenLM, *, is_captured: bool | None = None, has_prompt_buffers: bool | None = None
    ) -> None:
        self.lm = lm
        self.is_captured = lm.device.type == "cuda" if is_captured is None else is_captured
        self._steps: OrderedDict[Hashable, DecodeStep] = OrderedDict()
        has_buffers = self.is_captured if has_prompt_buffers is None else has_prompt_buffers
        self._passes = PromptPasses(lm, is_captured=self.is_captured) if has_buffers else None
        self.most_steps = _MOST_STEPS

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        ending: Ending,
        attachment: Attachment | None = None,
    ) -> Tensor:
        """Prompts [B, T] and what follows, [B, T + N], as `model.generate` returns them.

        Args:
            input_ids: [B, T], padded on the left.
            attention_mask: [B, T], 0 = padding.
            ending: when a sequence ends.
            attachment: what reads beside the LLM.

        Raises:
            ValueError: the LLM cannot be decoded in buffers.
        """
        with self.lm.decoding_lock:
            step, _ = self._decode(input_ids, attention_mask, ending=ending, attachment=attachment)
            return torch.cat([input_ids, step.out[:, : int(step.num_live)]], dim=1)

    @torch.no_grad()
    def generate_traced(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        ending: Ending,
        attachment: Attachment | None = None,
    ) -> Traced:
        """As `generate`, with the probability of each token and where the attachment looked.

        The prompts are read as they are, not in buffers. The attachment must note where it looks.

        Raises:
            ValueError: the LLM cannot be decoded in buffers.
        """
        with self.lm.decoding_lock:
            options = {"ending": ending, "attachment": attachment, "is_traced": True}
            step, num_looks = self._decode(input_ids, attention_mask, **options)
            count = int(step.num_live)
            return Traced(
                torch.cat([input_ids, step.out[:, :count]], dim=1),
                step.log_probabilities[:, :count].clone(),
                None if num_looks is None else step.looks[:count, :, :num_looks].clone(),
            )

    def _decode(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        *,
        ending: Ending,
        attachment: Attachment | None,
        is_traced: bool = False,
    ) -> tuple[DecodeStep, int | None]:
        """The buffers as they are at the end, and M of what was noted of an attachment's looks."""
        reason = why_not(self.lm)
        if reason is not None:
            raise ValueError(f"generation='cuda_graph' cannot be used: {reason}")
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        prompts, mask, cache, logits = self._first_pass(input_ids, mask, attachment, in_buffers=not is_traced)
        key = None if attachment is None else attachment.key()
        attachment = None if key is None else attachment
        num_tokens = prompts.shape[1] + ending.max_new_tokens
        step = self._step(cache, num_tokens=num_tokens, key=key, attachment=attachment, is_traced=is_traced)
        step.load(cache, prompts, mask, ending)
        num_looks = None
        if attachment is not None:
            attachment.load(step.reader)
            if is_traced:
                first = attachment.first_look()
                num_looks = first.shape[1]
                step.looks[0, :, :num_looks] = first
        step.take(logits)
        with nullcontext() if attachment is None else attachment.steps(step.reader, step.latest):
            lookout = Lookout(step.all_done)
            for _ in range(ending.max_new_tokens - 1):
                if lookout.is_over():
                    break
                step.run()
        return step, num_looks

    def _first_pass(
        self, input_ids: Tensor, mask: Tensor, attachment: Attachment | None, *, in_buffers: bool
    ) -> tuple[Tensor, Tensor, DynamicCache, Tensor]:
        """The prompts and their mask [B, T] as they were read, their keys and values, the logits [B, V] behind them."""
        found = None
        if self._passes is not None and in_buffers:
            key = None if attachment is None else attachment.prompt_key()
            new_reader = (lambda: None) if attachment is None else partial(attachment.new_prompt_reader, len(input_ids))
            found = self._passes.loaded(input_ids, mask, key=key, new_reader=new_reader)
        if found is None:
            cache = DynamicCache(config=self.lm.model.config)
            with nullcontext() if attachment is None else attachment.first_pass():
                return input_ids, mask, cache, prompt_logits(self.lm, input_ids, mask, cache=cache)
        if attachment is None:
            self._passes.run(found)
        else:
            attachment.load_prompts(found.reader)
            self._passes.run(found, partial(attachment.prompts, found.reader))
            while not attachment.is_settled(found.reader):
                self._passes.run(found, partial(attachment.prompts, found.reader))
        return found.input_ids, found.attention_mask, found.cache, found.logits

    def _step(
        self,
        cache: DynamicCache,
        *,
        num_tokens: int,
        key: Hashable | None,
        attachment: Attachment | None,
        is_traced: bool,
    ) -> DecodeStep:
        """A step of this size, made and captured on its first use."""
        batch, num_places = cache.layers[0].keys.shape[0], -(-num_tokens // PLACES) * PLACES
        full = (batch, num_places, key, is_traced)
        step = self._steps.pop(full, None)
        if step is None:
            while len(self._steps) >= self.most_steps:
                self._steps.popitem(last=False)
            reader = None if attachment is None else attachment.new_reader(batch)
            look = partial(attachment.look, reader) if is_traced and attachment is not None else None
            options = {"num_places": num_places, "is_traced": is_traced, "look": look}
            step = DecodeStep(self.lm, cache, reader=reader, **options)
            if self.is_captured:
                with nullcontext() if attachment is None else attachment.steps(reader, step.latest):
                    step.capture()
        self._steps[full] = step
        return step


def why_not(lm: FrozenLM) -> str | None:
    """Why this LLM cannot be decoded in fixed buffers; None: it can."""
    config = lm.model.config.get_text_config()
    attention = lm.model.config._attn_implementation
    if attention != "sdpa":
        return f"its attention is {attention!r}, not 'sdpa'"
    layers = DynamicCache(config=lm.model.config).layers
    if other := next((layer for layer in layers if type(layer) is not DynamicLayer), None):
        return f"its cache holds a {type(other).__name__}"
    if config.is_encoder_decoder:
        return "it has an encoder"
    entries = lm.model.generation_config.to_dict().items()
    if altered := next((name for name, value in entries if _alters(name, value)), None):
        return f"the LLM's generation config sets {altered!r}"
    return None


def ending_of(lm: FrozenLM, *, max_new_tokens: int, at_line_break: bool) -> Ending:
    """The end of an answer as the LLM's own ends and its generation config have it."""
    least = lm.model.generation_config.min_new_tokens or 0
    return Ending(tuple(end_ids(lm)), lm.tokenizer.pad_token_id, max_new_tokens, least, at_line_break=at_line_break)


def _alters(name: str, value: object) -> bool:
    """Whether an entry of a generation config may alter greedy decoding."""
    is_neutral = not value or (value == 1 and name in _NEUTRAL_AT_1) or value == getattr(GenerationConfig(), name, None)
    return not (is_neutral or name.startswith("_") or name in PLAIN or name in _HARMLESS)
