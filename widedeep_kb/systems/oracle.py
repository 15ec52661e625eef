"""`oracle`: the LLM with the right fact, or the right facts, in its prompt: a ceiling for every retriever."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import Context, fact_sentence


class Oracle(PromptedSystem):
    """Perfect retrieval: beside the question it is told which fact answers it."""

    is_told = True

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._sentences = {
            row["fact_id"]: fact_sentence(row)
            for row in facts.select("fact_id", "subject", "relation", "object", "statement").iter_rows(named=True)
        }

    def size_bytes(self) -> int:
        """Bytes of the facts' sentences."""
        return sum(len(text.encode()) for text in self._sentences.values())

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The right fact for each question, or several: their ids in one text, separated by spaces, in order.

        Raises:
            ValueError: a question has no fact id, or one that was not ingested.
        """
        fact_ids = [None] * len(questions) if fact_ids is None else fact_ids
        return [
            self._context(question, (one or "").split(" ")) for question, one in zip(questions, fact_ids, strict=True)
        ]

    def _context(self, question: str, fact_ids: Sequence[str]) -> Context:
        for fact_id in fact_ids:
            if fact_id not in self._sentences:
                raise ValueError(f"the oracle has no fact {fact_id or None!r} for the question {question[:60]!r}")
        return Context(tuple(self._sentences[fact_id] for fact_id in fact_ids), tuple(fact_ids))
