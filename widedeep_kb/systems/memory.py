"""A `KnowledgeMemory` seen as a system: scored by the same code as every other way of adding knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from widedeep_kb.answering import AskOptions
from widedeep_kb.model import KnowledgeMemory
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

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`; whatever the memory held before is erased."""
        self.memory.erase(self.memory.store.catalogue.alive())
        self.memory.write(facts)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        answers = self.memory.ask_many(questions, self.options)
        return [
            Answer(
                answer.text,
                confidence=answer.confidence,
                evidence=[fact.fact_id for fact in answer.evidence],
                prompt_tokens=answer.prompt_tokens,
                generated_tokens=answer.generated_tokens,
                latency_ms=answer.latency_ms,
                is_guessed=any(fact.is_guessed for fact in answer.evidence),
                is_abstained=answer.is_abstained,
            )
            for answer in answers
        ]
