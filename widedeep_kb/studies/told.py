"""Ceilings for questions that one fact in a question-and-answer prompt does not fit: told all facts that matter."""

from __future__ import annotations

import time
from collections.abc import Sequence

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.oracle import Oracle
from widedeep_kb.systems.prompts import Context
from widedeep_kb.systems.protocol import Answer

SEPARATOR = " "  # between the fact ids of a question that rests on several facts


class OracleOfSeveral(Oracle):
    """As `Oracle`, for questions whose `fact_id` names several facts, separated by blanks."""

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """All the right facts for each question.

        Raises:
            ValueError: a question has no fact id, or one that was not ingested.
        """
        found = []
        for question, ids in zip(questions, fact_ids or [None] * len(questions), strict=True):
            names = [None] if ids is None else ids.split(SEPARATOR)
            parts = super().contexts([question] * len(names), fact_ids=names)
            found.append(Context(sum((p.statements for p in parts), ()), sum((p.fact_ids for p in parts), ())))
        return found


class ContinuedOracle:
    """The right fact as a sentence, and below it the statement to complete: the LLM goes on from there.

    Args:
        lm: the frozen LLM.
        max_new_tokens: most tokens of an answer.
        batch_size: prompts in one call of the LLM.
    """

    is_told = True

    def __init__(self, lm: FrozenLM, *, max_new_tokens: int = 32, batch_size: int = 16) -> None:
        self.lm, self.max_new_tokens, self.batch_size = lm, max_new_tokens, batch_size
        self._oracle = OracleOfSeveral(lm)

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._oracle.ingest(facts)

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Continue statements, one answer each, in order.

        Raises:
            ValueError: a statement has no fact id, or one that was not ingested.
        """
        started = time.perf_counter()
        contexts = self._oracle.contexts(questions, fact_ids=fact_ids)
        prompts = ["\n".join([*c.statements, q]) for q, c in zip(questions, contexts, strict=True)]
        texts = self.lm.generate_texts(prompts, max_new_tokens=self.max_new_tokens, batch_size=self.batch_size)
        latency_ms = 1000 * (time.perf_counter() - started) / max(1, len(prompts))
        return [
            Answer(g.text, None, list(c.fact_ids), g.num_prompt_tokens, g.num_generated_tokens, latency_ms)
            for g, c in zip(texts, contexts, strict=True)
        ]
