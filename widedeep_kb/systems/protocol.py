"""What every way of giving a model knowledge looks like from outside: facts in, then questions in and answers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Natural log-probability of answering each question by the continuation given for it.

        A system without an LLM says what it says for certain: 0.0 for its own answer, -inf for any other.
        """

    def size_bytes(self) -> int:
        """Bytes that must be kept to answer, the frozen LLM's own aside."""


@runtime_checkable
class Tunable(System, Protocol):
    """A system with settings that its authors would try; `compare` takes the best on development questions."""

    def settings(self) -> Sequence[Mapping[str, object]]:
        """The settings tried, the default first. Keys and values are shown in the report."""

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting. Returns whether the facts have to be ingested again for it."""


@runtime_checkable
class Altering(System, Protocol):
    """A system that answers by a model other than the frozen LLM, so that it may also change unrelated text."""

    def text_loglikelihood(self, texts: Sequence[str]) -> list[float]:
        """Natural log-probability of each text behind its first token."""


@runtime_checkable
class Updatable(System, Protocol):
    """A system that can take a change without taking in all facts again."""

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`."""


@runtime_checkable
class Practising(System, Protocol):
    """A system that learns from practice: it tries questions and is told right or wrong, nothing else."""

    def practise(self, questions: Sequence[str], is_right: Callable[[int, str], bool]) -> None:
        """Try questions, behind `ingest`.

        Args:
            questions: raw texts, none of them in the test.
            is_right: whether a text answers the question at a place of `questions`.
        """


@runtime_checkable
class Closable(System, Protocol):
    """A system that holds on to the LLM, or to other things, until it is closed."""

    def close(self) -> None:
        """Let go; the system is not used again."""


@runtime_checkable
class Trained(System, Protocol):
    """A system whose `ingest` trains, from a seed, for at most so many seconds; None = as long as its recipe says."""

    seed: int
    max_seconds: float | None


@runtime_checkable
class ToldSystem(Protocol):
    """A ceiling rather than a system: beside the question it is told which fact answers it."""

    is_told: bool

    def ingest(self, facts: pl.DataFrame) -> None:
        """See `System`."""

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Answer questions, one answer each, in order, given the id of the right fact for each."""


def ask(system: System, questions: pl.DataFrame) -> list[Answer]:
    """Put the questions of a frame in `QUESTION_SCHEMA` to a system; only a `ToldSystem` is told the fact ids."""
    texts = questions["question"].to_list()
    if isinstance(system, ToldSystem):
        return system.generate(texts, fact_ids=questions["fact_id"].to_list())
    return system.generate(texts)
