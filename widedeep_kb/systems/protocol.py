"""What every way of giving a model knowledge looks like from outside: facts in, then questions in and answers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import polars as pl


@dataclass(frozen=True)
class Answer:
    """One answer and what it cost.

    Attributes:
        text: as generated, not cleaned; empty where the system has nothing to say.
        confidence: from 0 to 1, or None for a system that has no opinion of itself.
        evidence: fact ids the answer rests on, the most important first.
        prompt_tokens: tokens read by the LLM; 0 without an LLM.
        generated_tokens: tokens written by the LLM.
        latency_ms: wall-clock milliseconds, the time of the whole call shared equally by its questions.
        is_guessed: the evidence is that of a name which the question does not hold.
        is_abstained: the system would not answer; the text says so.
    """

    text: str
    confidence: float | None
    evidence: list[str]
    prompt_tokens: int
    generated_tokens: int
    latency_ms: float
    is_guessed: bool = False
    is_abstained: bool = False


class System(Protocol):
    """A way of answering questions from facts. Of a question it sees nothing but the raw text."""

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order."""


@runtime_checkable
class ToldSystem(System, Protocol):
    """A ceiling rather than a system: beside the question it is told which fact answers it."""

    is_told: bool

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Answer questions, one answer each, in order, given the id of the right fact for each."""


def ask(system: System, questions: pl.DataFrame) -> list[Answer]:
    """Put the questions of a frame in `QUESTION_SCHEMA` to a system; only a `ToldSystem` is told the fact ids."""
    texts = questions["question"].to_list()
    if isinstance(system, ToldSystem):
        return system.generate(texts, fact_ids=questions["fact_id"].to_list())
    return system.generate(texts)
