"""A `KnowledgeMemory` seen as a system: scored by the same code as every other way of adding knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from widedeep_kb.answering import AskOptions
from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.likelihood import row_loglikelihoods
from widedeep_kb.lm import left_pad
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.systems.protocol import Answer


class MemorySystem:
    """A memory that answers from the facts it holds.

    Args:
        memory: with or without facts.
        options: how it answers.
        **changes: fields of `options` by name.
    """

    def __init__(
        self,
        memory: KnowledgeMemory,
        options: AskOptions = AskOptions(),  # noqa: B008 - frozen
        **changes: object,
    ) -> None:
        self.memory, self.options = memory, replace(options, **changes)

    @property
    def max_new_tokens(self) -> int:
        """Longest answer."""
        return self.options.max_new_tokens

    @max_new_tokens.setter
    def max_new_tokens(self, most: int) -> None:
        self.options = replace(self.options, max_new_tokens=most)

    @property
    def batch_size(self) -> int:
        """Questions in one call of the LLM."""
        return self.options.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self.options = replace(self.options, batch_size=size)

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`; whatever the memory held before is erased."""
        self.memory.erase(self.memory.store.catalogue.alive())
        self.memory.write(facts)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        return [answer_of(answer) for answer in self.memory.ask_many(questions, self.options)]

    def prompts(self, questions: Sequence[str]) -> list[str]:
        """What the LLM reads for each question."""
        return [ask_prompt(question) for question in questions]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it.

        The relevance gate is asked at the end of each prompt, as for an answer.
        """
        lm, size = self.memory.lm, self.options.batch_size
        heads = lm.encode(self.prompts(questions))
        tails = lm.encode([f" {continuation}" for continuation in continuations])
        order = sorted(range(len(heads)), key=lambda i: len(heads[i]) + len(tails[i]))
        found: dict[int, float] = {}
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            binding, _ = self.memory.binding([questions[i] for i in chosen], as_of=self.options.as_of)
            prompts = left_pad([heads[i] for i in chosen], pad_id=lm.tokenizer.pad_token_id)
            binding = self.memory.relevant(binding, *(part.to(lm.device) for part in prompts))
            with self.memory.hooks.bind(binding):
                sums = row_loglikelihoods(lm, [heads[i] for i in chosen], [tails[i] for i in chosen])
            found.update(zip(chosen, sums, strict=True))
        return [found[i] for i in range(len(heads))]

    def size_bytes(self) -> int:
        """Bytes of the facts' text, the exact index, the rows in use and the reader."""
        store = self.memory.store
        rows = sum(tensor.nbytes for tensor in store.table.state_tensors().values())
        reader = sum(tensor.nbytes for tensor in self.memory.reader.state_dict().values())
        return store.catalogue.size_bytes + store.retriever.size_bytes + rows + reader


def answer_of(answer: MemoryAnswer) -> Answer:
    """A memory's answer as every system gives it."""
    return Answer(
        answer.text,
        confidence=answer.confidence,
        evidence=[fact.fact_id for fact in answer.evidence],
        prompt_tokens=answer.prompt_tokens,
        generated_tokens=answer.generated_tokens,
        latency_ms=answer.latency_ms,
        is_guessed=any(fact.is_guessed for fact in answer.evidence),
        is_abstained=answer.is_abstained,
    )
