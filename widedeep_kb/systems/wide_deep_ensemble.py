"""`wide_deep_ensemble`: rows alone and a deep memory alone, trained apart on the same facts, predictions averaged.

What joint training has to beat: both halves of `wide_deep` within the same time, but neither knows of the other.

Letters: B questions, T tokens, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import polars as pl
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from widedeep_kb.answering import evidence_of
from widedeep_kb.likelihood import row_loglikelihoods
from widedeep_kb.lm import AnswerLineEnd, FrozenLM, answer_tokens, end_ids, left_pad
from widedeep_kb.memory.trace import GreedyTrace
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.wide_deep import Deep, WideDeep


class TrainedWide(WideDeep):
    """The rows alone: no deep memory is trained or read."""

    base = replace(WideDeep.base, deep=False)

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`, and train their rows."""
        super().ingest(facts)
        self.memory.use_deep = False


class WideDeepEnsemble:
    """Two memories trained apart; the next token is the likeliest by the mean of their probabilities.

    An answer's evidence is what the rows' adapters looked at; it has no confidence, for which the two would have to be
    calibrated together.

    Args:
        lm: the frozen LLM.
        seed: of both trainings.
        max_seconds: that both trainings may take, half each; None = all of their steps.
        max_new_tokens, batch_size: as in `Wide`.

    Attributes:
        parts: the two systems, the wide one first.
        history: what `fit` measured in each training.
    """

    def __init__(
        self,
        lm: FrozenLM,
        *,
        seed: int = 0,
        max_seconds: float | None = None,
        max_new_tokens: int = 32,
        batch_size: int = 32,
    ) -> None:
        self.lm, self.seed, self.max_seconds = lm, seed, max_seconds
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self.parts = (TrainedWide(lm), Deep(lm))
        self.history: dict[str, dict[str, float]] = {}

    @property
    def memories(self) -> tuple[KnowledgeMemory, KnowledgeMemory]:
        """The wide memory and the deep one."""
        return self.parts[0].memory, self.parts[1].memory

    def ingest(self, facts: pl.DataFrame) -> None:
        """Train both on facts, a frame in `FACT_SCHEMA`, each from the shipped reader."""
        for name, part in zip(("wide", "deep"), self.parts, strict=True):
            part.seed = self.seed
            part.max_seconds = None if self.max_seconds is None else self.max_seconds / 2
            part.ingest(facts)
            self.history[name] = part.history

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts` in the wide memory; nothing is trained."""
        self.parts[0].update(facts)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        rows = self.lm.encode([ask_prompt(question) for question in questions])
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found: dict[int, Answer] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            asked, prompts = [questions[i] for i in chosen], [rows[i] for i in chosen]
            found.update(zip(chosen, self._answers(asked, prompts), strict=True))
        return [found[i] for i in range(len(rows))]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it.

        The relevance gate is asked at the end of each prompt, as for an answer.
        """
        heads = self.lm.encode([ask_prompt(question) for question in questions])
        tails = self.lm.encode([f" {continuation}" for continuation in continuations])
        order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
        found: dict[int, float] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            own_heads, own_tails = [heads[i] for i in chosen], [tails[i] for i in chosen]
            logits = self._whole_texts([questions[i] for i in chosen], own_heads)
            found.update(zip(chosen, row_loglikelihoods(self.lm, own_heads, own_tails, logits=logits), strict=True))
        return [found[i] for i in range(len(heads))]

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Those of `wide_deep`, for both halves."""
        return self.parts[0].settings()

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take fields of `FitConfig` for both; the trainings are done anew."""
        for part in self.parts:
            part.use(setting)
        return True

    def size_bytes(self) -> int:
        """Bytes of both memories."""
        return sum(part.size_bytes() for part in self.parts)

    def close(self) -> None:
        """Take the hooks of both memories off the LLM."""
        for part in self.parts:
            part.close()

    @torch.inference_mode()
    def _answers(self, questions: Sequence[str], rows: Sequence[Sequence[int]]) -> list[Answer]:
        """Answers to B questions, whose prompts are token ids `rows`, in one batch."""
        started, lm, trace = time.perf_counter(), self.lm, GreedyTrace()
        readings = [
            _Reading(memory, questions, observe=observe)
            for memory, observe in zip(self.memories, (trace.observe, None), strict=True)
        ]
        new = _greedy(lm, rows, readings, trace=trace, max_new_tokens=self.max_new_tokens)
        steps = [max(1, min(len(row) + 1, trace.num_steps)) for row in new]
        mass = trace.mass(steps, num_adapters=len(self.memories[0].reader.adapters))
        evidence = evidence_of(readings[0].recall, mass)
        latency_ms = (time.perf_counter() - started) * 1000 / len(rows)
        return [
            Answer(
                lm.tokenizer.decode(new[i], skip_special_tokens=True).strip(),
                confidence=None,
                evidence=[fact.fact_id for fact in evidence[i]],
                prompt_tokens=len(rows[i]),
                generated_tokens=len(new[i]),
                latency_ms=latency_ms,
                is_guessed=any(fact.is_guessed for fact in evidence[i]),
            )
            for i in range(len(rows))
        ]

    def _whole_texts(
        self, questions: Sequence[str], heads: Sequence[Sequence[int]]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """What gives the mean log-probabilities [B, T, V] of whole texts behind B prompts."""
        prompts, mask = (part.to(self.lm.device) for part in left_pad(heads, pad_id=self.lm.tokenizer.pad_token_id))
        bindings = [
            memory.relevant(memory.binding(questions)[0], prompts, attention_mask=mask) for memory in self.memories
        ]

        def logits(ids: Tensor, attention_mask: Tensor) -> Tensor:
            found = []
            for memory, binding in zip(self.memories, bindings, strict=True):
                with memory.hooks.bind(binding):
                    found.append(self.lm.model(input_ids=ids, attention_mask=attention_mask, use_cache=False).logits)
            return mean_log_probabilities(*found)

        return logits


def mean_log_probabilities(*logits: Tensor) -> Tensor:
    """Natural logarithms, float32 [..., V], of the mean of the probabilities that several logits [..., V] stand for."""
    each = torch.stack([one.float().log_softmax(dim=-1) for one in logits])
    return each.logsumexp(dim=0) - torch.tensor(float(len(logits))).log().item()


class _Reading:
    """One memory's passes through the LLM over B prompts and what is written behind them, with a cache of its own.

    Args:
        memory: bound for the length of each pass, so that several memories of one LLM take turns.
        questions: B raw texts.
        observe: see `Binding`.
    """

    def __init__(self, memory: KnowledgeMemory, questions: Sequence[str], *, observe: Callable | None) -> None:
        self.memory = memory
        self.binding, self.recall = memory.binding(questions, observe=observe)
        self.cache = DynamicCache(config=memory.lm.model.config)

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [B, V] behind all tokens so far, of which those not read yet are read."""
        seen = self.cache.get_seq_length()
        if not seen:
            self.binding = self.memory.judged(self.binding, input_ids, attention_mask=attention_mask)
        with self.memory.hooks.bind(self.binding):
            output = self.memory.lm.model(
                input_ids=input_ids[:, seen:],
                attention_mask=attention_mask,
                position_ids=(attention_mask.cumsum(-1) - 1).clamp_(min=0)[:, seen:],
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
            self.binding = self.memory.hooks.binding  # the gate may have shut rows out
        return output.logits[:, -1]


def _greedy(
    lm: FrozenLM,
    rows: Sequence[Sequence[int]],
    readings: Sequence[_Reading],
    *,
    trace: GreedyTrace,
    max_new_tokens: int,
) -> list[list[int]]:
    """New tokens for each row of prompt tokens, the likeliest by the mean of the readings' probabilities."""
    ids, mask = (part.to(lm.device) for part in left_pad(rows, pad_id=lm.tokenizer.pad_token_id))
    num_prompt_tokens, ends = ids.shape[1], torch.tensor(end_ids(lm), device=lm.device)
    has_line = AnswerLineEnd(lm, num_prompt_tokens=num_prompt_tokens)
    is_done = torch.zeros(len(ids), dtype=torch.bool, device=lm.device)
    for _ in range(max_new_tokens):
        scores = trace(ids, mean_log_probabilities(*(reading.logits(ids, mask) for reading in readings)))
        latest = scores.argmax(dim=-1).masked_fill(is_done, lm.tokenizer.pad_token_id)
        ids = torch.cat([ids, latest[:, None]], dim=1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        is_done |= torch.isin(latest, ends) | has_line(ids, scores)
        if is_done.all():
            break
    return [answer_tokens(lm, row) for row in ids[:, num_prompt_tokens:].tolist()]
