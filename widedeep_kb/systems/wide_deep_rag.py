"""`wide_deep_rag`: the jointly trained memory, and the fact that keys find first as text in the prompt as well."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from widedeep_kb.answering import answer_batch
from widedeep_kb.systems.facts_by_key import FactsByKey
from widedeep_kb.systems.memory import answer_of
from widedeep_kb.systems.prompts import fact_sentence
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.wide_deep import WideDeep
from widedeep_kb.systems.word_vectors import embedding_word_vectors

_PLACES = 32  # facts found for a question, of which the best is shown


class WideDeepRAG(WideDeep):
    """`WideDeep` with a retrieved statement before the question."""

    def ingest(self, facts: pl.DataFrame) -> None:
        """Train on facts, a frame in `FACT_SCHEMA`, and index their statements."""
        super().ingest(facts)
        self._index(facts)

    def update(self, facts: pl.DataFrame) -> None:
        """Write the facts; nothing is trained."""
        super().update(facts)
        catalogue = self.memory.store.catalogue
        self._index(catalogue.rows(catalogue.alive()).drop("ordinal"))

    def prompts(self, questions: Sequence[str]) -> list[str]:
        """The statement of the best fact, if keys find one, and the question."""
        return [
            "\n".join([*map(fact_sentence, found.head(1).iter_rows(named=True)), plain])
            for plain, found in zip(super().prompts(questions), self._facts.find(questions), strict=True)
        ]

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""
        rows = self.lm.encode(self.prompts(questions))
        order, size = sorted(range(len(rows)), key=lambda i: len(rows[i])), self.options.batch_size
        found: dict[int, Answer] = {}
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            asked, prompts = [questions[i] for i in chosen], [rows[i] for i in chosen]
            answers = answer_batch(self.memory, asked, prompts, options=self.options)
            found.update(zip(chosen, map(answer_of, answers), strict=True))
        return [found[i] for i in range(len(rows))]

    def size_bytes(self) -> int:
        """Bytes of the memory and of the statements' index."""
        return super().size_bytes() + self._facts.size_bytes

    def _index(self, facts: pl.DataFrame) -> None:
        self._facts = FactsByKey(facts, budget=_PLACES, word_vectors=embedding_word_vectors(self.lm))
