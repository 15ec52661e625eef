"""Facts behind exact keys: what `in_context` and `lookup` know of a question before any LLM or ranking of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.memory.hopping import Hop, find_hops
from widedeep_kb.memory.relations import WordVectors, hashed_word_vectors
from widedeep_kb.memory.retrieval import Retriever


class FactsByKey:
    """A catalogue and a retriever over the same facts.

    Args:
        facts: a frame in `FACT_SCHEMA`.
        budget: most facts found for a question.
        word_vectors: for the retriever's third stage.
    """

    def __init__(self, facts: pl.DataFrame, *, budget: int, word_vectors: WordVectors = hashed_word_vectors) -> None:
        self._catalogue = FactCatalogue()
        self._retriever = Retriever(budget, word_vectors=word_vectors)
        self.update(facts)

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`."""
        changes = self._catalogue.add(facts)
        self._retriever.remove(changes.removed)
        rows = self._catalogue.rows(changes.added)
        self._retriever.add(
            changes.added,
            subjects=rows["subject"].to_list(),
            aliases=rows["subject_aliases"].to_list(),
            subject_ids=rows["subject_id"].to_list(),
            relations=rows["relation"].to_list(),
        )

    def relations(self) -> list[str]:
        """The distinct relations of all facts."""
        rows = self._catalogue.columns_for(self._catalogue.alive(), ["relation"])
        return rows["relation"].unique(maintain_order=True).to_list()

    @property
    def size_bytes(self) -> int:
        """Bytes of the facts' text and of the index."""
        return self._catalogue.size_bytes + self._retriever.size_bytes

    @property
    def budget(self) -> int:
        """Most facts found for a question; may be set."""
        return self._retriever.budget

    @budget.setter
    def budget(self, most: int) -> None:
        self._retriever.budget = most

    def find(self, questions: Sequence[str]) -> list[pl.DataFrame]:
        """Facts that each question's words name.

        Returns:
            For each question the rows of its facts, best first, in `FACT_SCHEMA` with `ordinal` and `weight` (Float64,
            in (0, 1]); no rows where it names none.
        """
        hits = self._retriever.lookup(list(questions))
        lengths = (hits.ordinals >= 0).sum(axis=1)  # hits come first, then -1
        is_hit = np.arange(hits.ordinals.shape[1]) < lengths[:, None]
        assert (hits.ordinals[is_hit] >= 0).all(), "a retriever's hits must stand before its misses"
        rows = self._catalogue.rows(hits.ordinals[is_hit]).with_columns(
            weight=pl.Series(hits.weights[is_hit].astype(np.float64))
        )
        starts = np.cumsum(lengths) - lengths
        return [rows.slice(start, length) for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)]

    def hops(self, questions: Sequence[str]) -> list[list[Hop]]:
        """The two-fact chains that each question names, best first (see `memory.hopping`)."""
        texts = list(questions)
        hits = self._retriever.lookup(texts)
        return find_hops(texts, hits, retriever=self._retriever, catalogue=self._catalogue)

    def fact_id(self, ordinal: int) -> str:
        """The id of one fact."""
        return self._catalogue.columns_for(np.array([ordinal]), ["fact_id"])["fact_id"][0]
