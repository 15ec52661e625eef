"""Base of the systems that show the LLM the facts whose sentences rank best for a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot, build_prompt, fact_sentence
from widedeep_kb.systems.ranker import Ranker

TOP_KS = (3, 1, 8)
"""Numbers of facts tried, the default first."""


class RetrievedText(PromptedSystem):
    """The best `top_k` facts by a ranker of sentences.

    Args:
        lm: the frozen LLM.
        ranker: of the facts' sentences, without any yet.
        top_k: facts in a prompt.
        is_best_last: the best fact stands next to the question, not first; evidence is given best first all the same.
        prompt_format, shots, max_new_tokens, batch_size: as in `PromptedSystem`.

    Raises:
        ValueError: `top_k` is below 1.
    """

    def __init__(
        self,
        lm: FrozenLM,
        ranker: Ranker,
        *,
        top_k: int = TOP_KS[0],
        is_best_last: bool = False,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            lm, prompt_format=prompt_format, shots=shots, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        self.ranker, self.top_k, self.is_best_last = ranker, top_k, is_best_last

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._take(_with_sentences(facts))

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`."""
        kept = self._facts.join(facts, on=["subject_id", "relation"], how="anti", maintain_order="left")
        self._take(pl.concat([kept, _with_sentences(facts)]))

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """The best facts for each question."""
        rankings = self.ranker.rank(questions, top_k=self.top_k)
        return [
            Context(tuple(self._sentences[i] for i in own), tuple(self._fact_ids[i] for i in own)) for own in rankings
        ]

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Numbers of facts in the prompt, and for several the other order too."""
        first = [{"top_k": top_k, "best": "first"} for top_k in TOP_KS]
        return [*first, *({**setting, "best": "last"} for setting in first if setting["top_k"] > 1)]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; the facts need not be ingested again."""
        self.top_k, self.is_best_last = int(setting["top_k"]), setting["best"] == "last"
        return False

    def size_bytes(self) -> int:
        """Bytes of the facts' sentences and of what ranks them."""
        return sum(len(sentence.encode()) for sentence in self._sentences) + self.ranker.size_bytes

    def _prompt(self, question: str, context: Context) -> str:
        if not self.is_best_last:
            return super()._prompt(question, context)
        shots = [replace(shot, context=_reversed(shot.context)) for shot in self.shots]
        return build_prompt(
            self.lm, question, context=_reversed(context), shots=shots, prompt_format=self.prompt_format
        )

    def _take(self, facts: pl.DataFrame) -> None:
        self._facts = facts
        self._sentences, self._fact_ids = facts["sentence"].to_list(), facts["fact_id"].to_list()
        self.ranker.index(self._sentences)


def _reversed(context: Context) -> Context:
    """The same facts in the other order."""
    return Context(context.statements[::-1], context.fact_ids[::-1])


def _with_sentences(facts: pl.DataFrame) -> pl.DataFrame:
    """Of each fact its property, id and sentence."""
    rows = facts.select("subject", "relation", "object", "statement").iter_rows(named=True)
    sentences = pl.Series("sentence", [fact_sentence(row) for row in rows], dtype=pl.String)
    return facts.select("subject_id", "relation", "fact_id", sentences)
