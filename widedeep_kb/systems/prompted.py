"""Base of the systems that put facts into the LLM's prompt: they differ only in which facts they show."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from widedeep_kb.likelihood import loglikelihoods
from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot, build_prompt
from widedeep_kb.systems.protocol import Answer

MAX_SHOT_FACTS = 4  # a shot shows the layout; all facts of its subject would only fill the prompt


class PromptedSystem(ABC):
    """An LLM with facts, or none, in its prompt.

    Args:
        lm: the frozen LLM.
        prompt_format: the layout; `tune_format` finds the best.
        shots: worked examples, at least as many as the format uses; their contexts are set by the system.
        max_new_tokens: most tokens of an answer.
        batch_size: prompts in one call of the LLM.

    Attributes:
        shots_first: formats with worked examples are the more promising ones, and tried first.
    """

    shots_first = True

    def __init__(
        self,
        lm: FrozenLM,
        *,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        self.lm = lm
        self.prompt_format = prompt_format
        self.shots = tuple(shots)
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size

    @abstractmethod
    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""

    @abstractmethod
    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The facts shown with each question, the most important first.

        Args:
            questions: raw texts.
            fact_ids: the right fact of each question, for a system that is told it.
        """

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Answer questions, one answer each, in order.

        Args:
            questions: raw texts.
            fact_ids: the right fact of each question, for a system that is told it.

        Raises:
            ValueError: a prompt is too long for the LLM even without facts, the format needs more shots, or a question
                is itself one of the shots.
        """
        if not questions:
            return []
        self._refuse_shots(questions, fact_ids=fact_ids)
        start = time.perf_counter()
        contexts = self.contexts(questions, fact_ids=fact_ids)
        fitted = self._fit_all(questions, contexts)
        generations = self._write([prompt for prompt, _ in fitted])
        latency_ms = (time.perf_counter() - start) * 1000 / len(questions)
        return [
            Answer(
                text=generation.text,
                confidence=None,
                evidence=list(context.fact_ids),
                prompt_tokens=generation.num_prompt_tokens,
                generated_tokens=generation.num_generated_tokens,
                latency_ms=latency_ms,
            )
            for generation, (_, context) in zip(generations, fitted, strict=True)
        ]

    def loglikelihood(
        self,
        questions: Sequence[str],
        continuations: Sequence[str],
        *,
        fact_ids: Sequence[str | None] | None = None,
    ) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it."""
        if not questions:
            return []
        self._refuse_shots(questions, fact_ids=fact_ids)
        contexts = self.contexts(questions, fact_ids=fact_ids)
        prompts = [prompt for prompt, _ in self._fit_all(questions, contexts)]
        space = "" if self.prompt_format.is_chat else " "
        return self._score(prompts, [f"{space}{continuation}" for continuation in continuations])

    def size_bytes(self) -> int:
        """Nothing is kept unless a system says so."""
        return 0

    def with_contexts(self, shots: Sequence[Shot]) -> tuple[Shot, ...]:
        """The same shots with the facts this system would show, at most `MAX_SHOT_FACTS`, the right one among them."""
        contexts = self.contexts([shot.question for shot in shots], fact_ids=[shot.fact_id for shot in shots])
        return tuple(
            replace(shot, context=_keep(context, fact_id=shot.fact_id))
            for shot, context in zip(shots, contexts, strict=True)
        )

    def _refuse_shots(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> None:
        """A prompt must not hold the answer to its own question as a worked example."""
        used = self.shots[: self.prompt_format.num_shots]
        shown = {shot.question for shot in used} | {shot.fact_id for shot in used if shot.fact_id is not None}
        for asked in (*questions, *(fact_ids or ())):
            if asked in shown:
                raise ValueError(f"a worked example in the prompt answers what is asked: {asked[:60]!r}")

    def _write(self, prompts: Sequence[str]) -> list[Generation]:
        """What the LLM writes behind each prompt."""
        return self.lm.generate_texts(prompts, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size)

    def _score(self, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
        """Natural log-probability of each text behind its prompt."""
        return loglikelihoods(self.lm, prompts, texts, batch_size=self.batch_size)

    def _fit_all(self, questions: Sequence[str], contexts: Sequence[Context]) -> list[tuple[str, Context]]:
        """`_fit` of each question; prompts that fit with all their facts are tokenised together."""
        prompts = [self._prompt(question, context) for question, context in zip(questions, contexts, strict=True)]
        lengths = [len(ids) for ids in self.lm.encode(prompts)]
        return [
            (prompt, context) if length <= self._max_prompt_tokens() else self._fit(question, context)
            for prompt, length, question, context in zip(prompts, lengths, questions, contexts, strict=True)
        ]

    def _fit(self, question: str, context: Context) -> tuple[str, Context]:
        """The prompt with as many facts as the LLM has positions for, and those facts.

        Raises:
            ValueError: the prompt is too long even without facts.
        """
        most = self._max_prompt_tokens()
        fitting, too_many = -1, len(context.statements) + 1  # between them lie the numbers of facts not tried
        while too_many - fitting > 1:
            num_facts = (fitting + too_many) // 2
            num_tokens = len(self.lm.encode([self._prompt(question, context.first(num_facts))])[0])
            fitting, too_many = (num_facts, too_many) if num_tokens <= most else (fitting, num_facts)
        if fitting < 0:
            raise ValueError(f"a prompt of {num_tokens} tokens exceeds the LLM's {most}: {question[:60]!r}")
        kept = context.first(fitting)
        return self._prompt(question, kept), kept

    def _prompt(self, question: str, context: Context) -> str:
        return build_prompt(self.lm, question, context=context, shots=self.shots, prompt_format=self.prompt_format)

    def _max_prompt_tokens(self) -> int:
        return self.lm.model.config.get_text_config().max_position_embeddings - self.max_new_tokens


def _keep(context: Context, *, fact_id: str | None) -> Context:
    """The first facts of a shot's context; the answering one takes the last place where it would be cut off."""
    if len(context.fact_ids) <= MAX_SHOT_FACTS or fact_id not in context.fact_ids[MAX_SHOT_FACTS:]:
        return context.first(MAX_SHOT_FACTS)
    head, i = context.first(MAX_SHOT_FACTS - 1), context.fact_ids.index(fact_id)
    return Context((*head.statements, context.statements[i]), (*head.fact_ids, fact_id))
