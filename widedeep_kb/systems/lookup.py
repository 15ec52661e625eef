"""`lookup`: no LLM at all; the facts behind the question's keys, the relation chosen by words or vectors, printed.

The honest floor for a memory: where this wins, no LLM is needed.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from widedeep_kb.memory.relations import WordVectors, hashed_word_vectors, relation_words, stem
from widedeep_kb.segment import words
from widedeep_kb.systems.bm25 import BM25
from widedeep_kb.systems.facts_by_key import FactsByKey
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.word_vectors import embedding_word_vectors, text_vectors

if TYPE_CHECKING:
    from widedeep_kb.lm import FrozenLM


class KeyLookup(ABC):
    """Exact keys find the facts, a score for relations picks one, and its object is the answer.

    Args:
        budget: most facts considered for a question.
        word_vectors: for the retriever's third stage.
    """

    def __init__(self, *, budget: int = 32, word_vectors: WordVectors = hashed_word_vectors) -> None:
        self.budget = budget
        self.word_vectors = word_vectors

    def ingest(self, facts: pl.DataFrame) -> None:
        """Take in facts, a frame in `FACT_SCHEMA`; a second call replaces the first."""
        self._facts = FactsByKey(facts, budget=self.budget, word_vectors=self.word_vectors)
        self._index(self._facts.relations())

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`, a frame in `FACT_SCHEMA`."""
        self._facts.update(facts)
        self._index(self._facts.relations())

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order; a question without a hit gets the empty answer.

        The confidence is the retriever's weight of the chosen fact.
        """
        if not questions:
            return []
        start = time.perf_counter()
        chosen = [self._choose(q, found) for q, found in zip(questions, self._facts.find(questions), strict=True)]
        latency_ms = (time.perf_counter() - start) * 1000 / len(questions)
        return [_answer(row, latency_ms=latency_ms) for row in chosen]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """0.0 where the continuation is what `generate` prints, -inf elsewhere."""
        printed = [answer.text for answer in self.generate(questions)]
        return [0.0 if text == given else -math.inf for text, given in zip(printed, continuations, strict=True)]

    def size_bytes(self) -> int:
        """Bytes of the facts' text and of the exact index."""
        return self._facts.size_bytes

    @abstractmethod
    def _index(self, relations: list[str]) -> None:
        """Prepare for scoring the distinct relations."""

    @abstractmethod
    def _score(self, question_words: list[str], relations: list[str]) -> np.ndarray:
        """Scores of some relations for the words of a question that do not name its subject: float [len(relations)]."""

    def _choose(self, question: str, found: pl.DataFrame) -> dict[str, object] | None:
        """The found fact with the highest sum of its relation's score and the keys' own weight."""
        if found.is_empty():
            return None
        subject_words = set(words(found["subject"][0]))
        rest = [word for word in words(question) if word not in subject_words]
        scores = self._score(rest, found["relation"].to_list()) + found["weight"].to_numpy()
        return found.row(int(np.argmax(scores)), named=True)


class Lookup(KeyLookup):
    """The relation with the highest BM25 over its stemmed words."""

    def _index(self, relations: list[str]) -> None:
        self._numbers = {relation: number for number, relation in enumerate(relations)}
        self._bm25 = BM25()
        self._bm25.index([[stem(word) for word in relation_words(r)] for r in relations], show_progress=False)

    def _score(self, question_words: list[str], relations: list[str]) -> np.ndarray:
        tokens = [stem(word) for word in question_words]
        if not tokens:
            return np.zeros(len(relations), dtype=np.float32)
        return self._bm25.get_scores(tokens)[[self._numbers[relation] for relation in relations]]


class LookupVectors(KeyLookup):
    """The relation closest to the question by the cosine of mean input embeddings of an LLM's tokens.

    Args:
        lm: gives its input embeddings only.
        budget: most facts considered for a question.
    """

    def __init__(self, lm: FrozenLM, *, budget: int = 32) -> None:
        super().__init__(budget=budget, word_vectors=embedding_word_vectors(lm))

    def _index(self, relations: list[str]) -> None:
        self._numbers = {relation: number for number, relation in enumerate(relations)}
        self._vectors = text_vectors([relation_words(r) for r in relations], word_vectors=self.word_vectors)

    def _score(self, question_words: list[str], relations: list[str]) -> np.ndarray:
        (question,) = text_vectors([question_words], word_vectors=self.word_vectors)
        return self._vectors[[self._numbers[relation] for relation in relations]] @ question


def _answer(row: dict[str, object] | None, *, latency_ms: float) -> Answer:
    if row is None:
        return Answer("", confidence=0.0, evidence=[], prompt_tokens=0, generated_tokens=0, latency_ms=latency_ms)
    return Answer(
        str(row["object"]),
        confidence=float(row["weight"]),
        evidence=[str(row["fact_id"])],
        prompt_tokens=0,
        generated_tokens=0,
        latency_ms=latency_ms,
    )
