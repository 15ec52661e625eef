"""Text from the LLM for a batch of prompts, token by token: each sequence with its own facts, its own way of choosing
tokens, its own end, and a client that may go away.

Letters: B prompts, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from widedeep_kb.answering import evidence_of
from widedeep_kb.answers import Evidence
from widedeep_kb.lm import end_ids, left_pad
from widedeep_kb.memory.trace import GreedyTrace
from widedeep_kb.model import KnowledgeMemory


@dataclass(frozen=True)
class Prompt:
    """What one sequence starts from, and how it goes on.

    Attributes:
        ids: token ids, at least one.
        turns: the user's words, oldest first, which say what facts are read; none: the bare LLM.
        max_new_tokens: most tokens to write.
        temperature: 0 = the likeliest token each time.
        top_p: tokens are drawn from the likeliest ones that have this share of the probability together.
        seed: of the draws.
        stop: texts that end it, and are not part of it.
        as_of: facts of which day, see `memory.validity`.
    """

    ids: tuple[int, ...]
    turns: tuple[str, ...] = ()
    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    as_of: date | None = None


@dataclass(frozen=True)
class Written:
    """What one sequence became.

    Attributes:
        text: without the end token and the stop text.
        finish_reason: "stop", "length", or "cancelled".
        num_tokens: tokens written, an end token included.
        evidence: facts that were looked at, most first.
    """

    text: str
    finish_reason: str
    num_tokens: int
    evidence: tuple[Evidence, ...]


@torch.inference_mode()
def write_texts(
    memory: KnowledgeMemory,
    prompts: Sequence[Prompt],
    *,
    emit: Callable[[int, str], None],
    is_cancelled: Callable[[int], bool],
) -> list[Written]:
    """Write the texts of B prompts in one call of the LLM.

    Args:
        memory: whose facts are read.
        prompts: B, all of one `as_of`, and all with or all without turns where the memory has a deep part.
        emit: called with a prompt's index and its next piece of text.
        is_cancelled: asked at every token whether a prompt's text is not wanted any more.
    """
    lm, trace = memory.lm, GreedyTrace()
    reads = any(prompt.turns for prompt in prompts)
    turns = [list(prompt.turns) for prompt in prompts]
    binding, recall = memory.binding(turns, observe=trace.observe, use_memory=reads, as_of=prompts[0].as_of)
    padded = left_pad([prompt.ids for prompt in prompts], pad_id=lm.tokenizer.pad_token_id)
    input_ids, attention_mask = (tensor.to(lm.device) for tensor in padded)
    watcher = Watcher(memory, prompts, emit=emit, is_cancelled=is_cancelled, num_prompt_tokens=input_ids.shape[1])
    with memory.hooks.bind(memory.judged(binding, input_ids, attention_mask=attention_mask)):
        lm.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            max_new_tokens=max(prompt.max_new_tokens for prompt in prompts),
            do_sample=False,
            eos_token_id=end_ids(lm),
            pad_token_id=lm.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([trace, Chooser(prompts, lm.device)]),
            stopping_criteria=StoppingCriteriaList([watcher]),
        )
    steps = [max(1, min(len(tokens), trace.num_steps)) for tokens in watcher.tokens]
    evidence = evidence_of(recall, trace.mass(steps, num_adapters=len(memory.reader.adapters)))
    return watcher.written(evidence)


class Chooser(LogitsProcessor):
    """Leaves each sequence one token to choose: drawn where its prompt has a temperature, else the likeliest.

    Args:
        prompts: B.
        device: of the LLM.
    """

    def __init__(self, prompts: Sequence[Prompt], device: torch.device) -> None:
        self.prompts = prompts
        self.drawn = [i for i, prompt in enumerate(prompts) if prompt.temperature > 0]
        self.generators = {i: torch.Generator(device).manual_seed(prompts[i].seed) for i in self.drawn}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] with all but the drawn token shut out."""
        for i in self.drawn:
            token = self.draw(i, scores[i].float())
            scores[i] = -torch.inf
            scores[i, token] = 0.0
        return scores

    def draw(self, index: int, scores: Tensor) -> Tensor:
        """A token for one sequence, from its scores [V]."""
        prompt = self.prompts[index]
        probabilities, order = torch.softmax(scores / prompt.temperature, dim=-1).sort(descending=True)
        before = probabilities.cumsum(-1) - probabilities
        kept = torch.where(before < prompt.top_p, probabilities, torch.zeros_like(probabilities))
        return order[torch.multinomial(kept, 1, generator=self.generators[index])[0]]


class Watcher(StoppingCriteria):
    """Hands on each sequence's text as it grows, and says when it ends.

    A piece of text is held back while a stop text, or a character of several tokens, may have begun in it.

    Args:
        memory: whose LLM writes.
        prompts: B.
        emit, is_cancelled: see `write_texts`.
        num_prompt_tokens: width of the prompts.
    """

    def __init__(
        self,
        memory: KnowledgeMemory,
        prompts: Sequence[Prompt],
        *,
        emit: Callable[[int, str], None],
        is_cancelled: Callable[[int], bool],
        num_prompt_tokens: int,
    ) -> None:
        self.tokenizer, self.ends = memory.lm.tokenizer, set(end_ids(memory.lm))
        self.prompts, self.emit, self.is_cancelled = prompts, emit, is_cancelled
        self.num_prompt_tokens = num_prompt_tokens
        self.tokens: list[list[int]] = [[] for _ in prompts]
        self.texts = [""] * len(prompts)
        self.sent = [0] * len(prompts)
        self.reasons: list[str | None] = [None] * len(prompts)

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        """Whether each sequence [B] is done."""
        for i, token in enumerate(input_ids[:, -1].tolist()):
            if self.reasons[i] is None:
                self._take(i, token)
        return torch.tensor([reason is not None for reason in self.reasons], device=input_ids.device)

    def written(self, evidence: Sequence[tuple[Evidence, ...]]) -> list[Written]:
        """What became of the sequences, with the facts of each."""
        return [
            Written(text, reason or "length", len(tokens), facts)
            for text, reason, tokens, facts in zip(self.texts, self.reasons, self.tokens, evidence, strict=True)
        ]

    def _take(self, i: int, token: int) -> None:
        prompt = self.prompts[i]
        self.tokens[i].append(token)
        if self.is_cancelled(i):
            self.reasons[i] = "cancelled"
            return
        if token in self.ends:
            self.reasons[i] = "stop"
        text = self.tokenizer.decode(self.tokens[i], skip_special_tokens=True)
        found = [place for place in (text.find(stop) for stop in prompt.stop) if place >= 0]
        if found:
            text, self.reasons[i] = text[: min(found)], "stop"
        elif self.reasons[i] is None and len(self.tokens[i]) >= prompt.max_new_tokens:
            self.reasons[i] = "length"
        self.texts[i] = text
        ready = len(text) if self.reasons[i] else len(text) - _held_back(text, prompt.stop)
        if ready > self.sent[i]:
            self.emit(i, text[self.sent[i] : ready])
            self.sent[i] = ready


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of `text` that may still change or turn out to be a stop text."""
    partial = len(text) - len(text.rstrip("\ufffd"))
    begun = [n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])]
    return max([partial, *begun])
