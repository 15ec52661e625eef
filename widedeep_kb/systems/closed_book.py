"""`closed_book`: the bare LLM, which is shown no fact at all."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import Context


class ClosedBook(PromptedSystem):
    """The bare LLM; what it learnt before is all it has."""

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take no notice of the facts."""

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """No facts for any question."""
        return [Context()] * len(questions)
