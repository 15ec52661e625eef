"""`oracle`: the LLM with the one right fact in its prompt, a ceiling for every retriever."""

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
        self._contexts = {
            row["fact_id"]: Context((fact_sentence(row),), (row["fact_id"],))
            for row in facts.select("fact_id", "subject", "relation", "object", "statement").iter_rows(named=True)
        }

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The one right fact for each question.

        Raises:
            ValueError: a question has no fact id, or one that was not ingested.
        """
        fact_ids = [None] * len(questions) if fact_ids is None else fact_ids
        for question, fact_id in zip(questions, fact_ids, strict=True):
            if fact_id not in self._contexts:
                raise ValueError(f"the oracle has no fact {fact_id!r} for the question {question[:60]!r}")
        return [self._contexts[fact_id] for fact_id in fact_ids]
