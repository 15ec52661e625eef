"""`in_context`: the LLM with all facts of the subject, found by exact keys, in its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.facts_by_key import FactsByKey
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot, context_of
from widedeep_kb.systems.word_vectors import embedding_word_vectors

ALL = "all"
"""As many facts as the LLM has room for."""


class InContext(PromptedSystem):
    """Facts of the subjects that the question names, the best first, as many as fit.

    Args:
        lm: the frozen LLM; its input embeddings rank the facts of a subject that has too many.
        max_facts: most facts in a prompt; `ALL` = as many as the LLM has room for.
        prompt_format, shots, max_new_tokens, batch_size: as in `PromptedSystem`.

    Raises:
        ValueError: `max_facts` is below 1.
    """

    def __init__(
        self,
        lm: FrozenLM,
        *,
        max_facts: int | str = 30,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            lm, prompt_format=prompt_format, shots=shots, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        self.max_facts = max_facts
        self._facts: FactsByKey | None = None
        self._budget()  # refuses a number out of range

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._facts = FactsByKey(facts, budget=self._budget(), word_vectors=embedding_word_vectors(self.lm))

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`."""
        self._facts.update(facts)

    def size_bytes(self) -> int:
        """Bytes of the facts' text and of the exact index."""
        return self._facts.size_bytes

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The facts found for each question, the best first."""
        return [context_of(found) for found in self._facts.find(questions)]

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Most facts in the prompt."""
        return [{"max_facts": max_facts} for max_facts in (30, 8, ALL)]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; the facts need not be ingested again."""
        self.max_facts = setting["max_facts"]
        if self._facts is not None:
            self._facts.budget = self._budget()
        return False

    def _budget(self) -> int:
        """Most facts looked up: a fact's sentence takes two tokens at least, so that no more would fit."""
        if self.max_facts == ALL:
            return self.lm.model.config.get_text_config().max_position_embeddings // 2
        if not isinstance(self.max_facts, int) or self.max_facts < 1:
            raise ValueError(f"the number of facts must be at least 1, or {ALL!r}; got {self.max_facts!r}")
        return self.max_facts
