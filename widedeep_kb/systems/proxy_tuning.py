"""`proxy_tuning`: the frozen LLM's logits, shifted by what tuning changed in a small model (arXiv 2401.08565).

    logits = base + alpha x (tuned small - untuned small)

The black-box mode knows the base LLM's `top_k` most likely tokens only, and never chooses another.

Letters: B sequences, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import polars as pl
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList
from transformers.cache_utils import DynamicCache

from widedeep_kb.likelihood import row_loglikelihoods
from widedeep_kb.lm import AnswerLineEnd, FrozenLM, answer_tokens, end_ids, left_pad
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.small_copy import heal, pruned, tuned_copy
from widedeep_kb.systems.training_texts import training_texts
from widedeep_kb.systems.tuned import LEAST_STEPS, batch_size_for, in_dtype_of, train

_LEAST = 0.01  # seconds of training, which are one step
_TEXTS_AT_ONCE = 8  # whole texts, each of whose tokens has three models' logits over the vocabulary


class Shift(LogitsProcessor):
    """Adds what tuning changed in a small pair, which reads the same tokens beside the base LLM, each with its cache.

    Args:
        tuned, untuned: the pair.
        alpha: weight of the difference.
        attention_mask: [B, T] of the prompts, padded on the left.
        top_k: see `shifted`.
    """

    def __init__(
        self,
        tuned: PreTrainedModel,
        untuned: PreTrainedModel,
        *,
        alpha: float,
        attention_mask: Tensor,
        top_k: int | None = None,
    ) -> None:
        self.pair, self.alpha, self.top_k = (tuned, untuned), alpha, top_k
        self._mask = attention_mask
        self._caches = tuple(DynamicCache(config=model.config) for model in self.pair)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] for the token behind `input_ids`."""
        seen = self._caches[0].get_seq_length()
        if seen:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
        positions = (self._mask.cumsum(-1) - 1).clamp_(min=0)[:, seen:]
        difference = [
            model(
                input_ids=input_ids[:, seen:],
                attention_mask=self._mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            for model, cache in zip(self.pair, self._caches, strict=True)
        ]
        return shifted(scores, *difference, alpha=self.alpha, top_k=self.top_k)


def shifted(base: Tensor, tuned: Tensor, untuned: Tensor, *, alpha: float, top_k: int | None = None) -> Tensor:
    """Logits [..., V] of proxy-tuning; with `top_k`, -inf for all but the base's most likely tokens."""
    found = base.float() + alpha * (tuned.float() - untuned.float())
    if top_k is None:
        return found
    least = base.topk(min(top_k, base.shape[-1]), dim=-1).values[..., -1:]
    return found.masked_fill(base < least, -math.inf)


class ProxyTuning:
    """The frozen LLM steered by a small pair: some of its own layers, healed once, then tuned on the facts.

    Args:
        lm: the frozen LLM.
        seed: of healing and training.
        max_seconds: that healing (once, half of it at most) and training may take; None = all of their steps.
        max_new_tokens: most tokens of an answer.
        batch_size: prompts in one call of the LLM.

    Attributes:
        alpha, lr, top_k: `use` sets them.
        every: each `every`-th layer is in the small models.
        epochs, least_steps, train_batch_size: of the training, as in `TunedLM`.
        healing_steps: most steps of healing.
        history: of healing and of training.
    """

    alpha: float = 1.0
    lr: float = 3e-4
    top_k: int | None = None
    every: int = 3
    epochs: int = 20
    least_steps: int = LEAST_STEPS
    train_batch_size: int = 32
    healing_steps: int = 300

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
        self.untuned: PreTrainedModel | None = None
        self.tuned: PreTrainedModel | None = None
        self.history: dict[str, dict[str, float]] = {}

    def ingest(self, facts: pl.DataFrame) -> None:
        """Heal the small model, if that is still to be done, and tune a copy of it on facts."""
        started, self.tuned = time.perf_counter(), None  # makes room for the new one
        if self.untuned is None:
            small = pruned(self.lm, every=self.every)
            half = None if self.max_seconds is None else self.max_seconds / 2
            self.history["healing"] = heal(
                small, self.lm, seed=self.seed, num_steps=self.healing_steps, max_seconds=half
            )
            self.untuned = in_dtype_of(self.lm, small.requires_grad_(False))
        torch.manual_seed(self.seed)
        model = tuned_copy(self.untuned)
        left = None if self.max_seconds is None else max(_LEAST, self.max_seconds - (time.perf_counter() - started))
        batch_size = batch_size_for(facts.height, least=self.train_batch_size)
        self.history["training"] = train(
            model,
            self.lm,
            training_texts(facts, seed=self.seed),
            lr=self.lr,
            num_steps=max(self.least_steps, math.ceil(self.epochs * facts.height / batch_size)),
            batch_size=batch_size,
            max_seconds=left,
        )
        self.tuned = in_dtype_of(self.lm, model.requires_grad_(False))

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        rows = self.lm.encode([ask_prompt(question) for question in questions])
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        started, found = time.perf_counter(), {}
        for first in range(0, len(order), self.batch_size):
            chosen = order[first : first + self.batch_size]
            found.update(zip(chosen, self._written([rows[i] for i in chosen]), strict=True))
        latency_ms = (time.perf_counter() - started) * 1000 / max(1, len(rows))
        decode = self.lm.tokenizer.decode
        return [
            Answer(decode(found[i], skip_special_tokens=True), None, [], len(rows[i]), len(found[i]), latency_ms)
            for i in range(len(rows))
        ]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it."""
        heads = self.lm.encode([ask_prompt(question) for question in questions])
        tails = self.lm.encode([f" {text}" for text in continuations])
        return self._scored(heads, tails, batch_size=self.batch_size)

    def text_loglikelihood(self, texts: Sequence[str]) -> list[float]:
        """Natural log-probability of each text behind its first token."""
        rows = self.lm.encode(texts)
        return self._scored([row[:1] for row in rows], [row[1:] for row in rows], batch_size=_TEXTS_AT_ONCE)

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Learning rates of the small model, weights of its difference, and the black-box mode."""
        return (
            {"lr": 3e-4, "alpha": 1.0, "top_k": None},
            {"lr": 3e-4, "alpha": 1.5, "top_k": None},
            {"lr": 3e-4, "alpha": 1.0, "top_k": 100},
            {"lr": 1e-4, "alpha": 1.0, "top_k": None},
            {"lr": 1e-3, "alpha": 1.0, "top_k": None},
        )

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take attributes; only another learning rate asks for another training."""
        retrain = self.tuned is None or setting.get("lr", self.lr) != self.lr
        for name, value in setting.items():
            setattr(self, name, value)
        return retrain

    def size_bytes(self) -> int:
        """Bytes of the small pair."""
        models = [model for model in (self.tuned, self.untuned) if model is not None]
        return sum(p.numel() * p.element_size() for model in models for p in model.parameters())

    @torch.inference_mode()
    def _written(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        lm = self.lm
        ids, mask = (part.to(lm.device) for part in left_pad(rows, pad_id=lm.tokenizer.pad_token_id))
        shift = Shift(self.tuned, self.untuned, alpha=self.alpha, attention_mask=mask, top_k=self.top_k)
        output = lm.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            eos_token_id=end_ids(lm),
            pad_token_id=lm.tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([shift]),
            stopping_criteria=StoppingCriteriaList([AnswerLineEnd(lm, num_prompt_tokens=ids.shape[1])]),
        )
        return [answer_tokens(lm, row) for row in output[:, ids.shape[1] :].tolist()]

    def _scored(
        self, heads: Sequence[Sequence[int]], tails: Sequence[Sequence[int]], *, batch_size: int
    ) -> list[float]:
        def logits(ids: Tensor, mask: Tensor) -> Tensor:
            models = (self.lm.model, self.tuned, self.untuned)
            found = [model(input_ids=ids, attention_mask=mask, use_cache=False).logits for model in models]
            return shifted(*found, alpha=self.alpha, top_k=self.top_k)

        order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
        found: dict[int, float] = {}
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            sums = row_loglikelihoods(self.lm, [heads[i] for i in chosen], [tails[i] for i in chosen], logits=logits)
            found.update(zip(chosen, sums, strict=True))
        return [found[i] for i in range(len(heads))]
