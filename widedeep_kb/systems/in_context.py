"""`in_context`: the LLM with all facts of the subject, found by exact keys, in its prompt."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.facts_by_key import FactsByKey
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot, context_of
from widedeep_kb.systems.word_vectors import embedding_word_vectors


class InContext(PromptedSystem):
    """Facts of the subjects that the question names, the best first, as many as fit.

    Args:
        lm: the frozen LLM; its input embeddings rank the facts of a subject that has too many.
        max_facts: most facts in a prompt.
        prompt_format, shots, max_new_tokens, batch_size: as in `PromptedSystem`.
    """

    def __init__(
        self,
        lm: FrozenLM,
        *,
        max_facts: int = 30,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            lm, prompt_format=prompt_format, shots=shots, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        self.max_facts = max_facts

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._facts = FactsByKey(facts, budget=self.max_facts, word_vectors=embedding_word_vectors(self.lm))

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The facts found for each question, the best first."""
        return [context_of(found) for found in self._facts.find(questions)]
