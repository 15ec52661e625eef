"""A `KnowledgeMemory` seen as a system: scored by the same code as every other way of adding knowledge."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.systems.protocol import Answer


class MemorySystem:
    """A memory that answers from the facts it holds.

    Args:
        memory: with or without facts.
        max_new_tokens: longest answer.
        batch_size: questions in one call of the LLM.
        hops: most facts that an answer may take in a row.
    """

    def __init__(
        self, memory: KnowledgeMemory, *, max_new_tokens: int = 64, batch_size: int = 32, hops: int = 1
    ) -> None:
        self.memory = memory
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.hops = hops

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`; whatever the memory held before is erased."""
        self.memory.erase(self.memory.store.catalogue.alive())
        self.memory.write(facts)

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        answers = self.memory.ask_many(
            questions, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size, hops=self.hops
        )
        return [
            Answer(
                answer.text,
                confidence=answer.confidence,
                evidence=[fact.fact_id for fact in answer.evidence],
                prompt_tokens=answer.prompt_tokens,
                generated_tokens=answer.generated_tokens,
                latency_ms=answer.latency_ms,
                is_guessed=any(fact.is_guessed for fact in answer.evidence),
            )
            for answer in answers
        ]
