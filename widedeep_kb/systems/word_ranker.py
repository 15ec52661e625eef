"""Sentences ranked by BM25 over their stemmed words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from widedeep_kb.memory.relations import stem
from widedeep_kb.segment import words
from widedeep_kb.systems.bm25 import BM25

COMPILED_FROM = 20_000
"""Sentences from which scores are summed by compiled code: a seventh of numpy's time, after seconds of compiling."""


def stems(text: str) -> list[str]:
    """The folded words of a text, stemmed."""
    return [stem(word) for word in words(text)]


class WordRanker:
    """BM25 as in Lucene, by bm25s; a sentence that shares no word with a question is not among its best.

    Args:
        k1: how soon a word said again stops counting.
        b: how much longer sentences are held back, from 0 to 1.
    """

    def __init__(self, *, k1: float = 1.5, b: float = 0.75) -> None:
        self.k1, self.b = k1, b
        self._bm25: BM25 | None = None

    def index(self, sentences: Sequence[str]) -> None:
        """Take in sentences; a second call replaces the first."""
        self._bm25, self._num_sentences = None, len(sentences)
        if sentences:
            backend = "numba" if len(sentences) >= COMPILED_FROM else "numpy"
            self._bm25 = BM25(k1=self.k1, b=self.b, backend=backend)
            self._bm25.index([stems(sentence) for sentence in sentences], show_progress=False)
            self.rank(sentences[:1], top_k=1)  # what is to be compiled is, before the first question

    def rank(self, questions: Sequence[str], *, top_k: int) -> list[list[int]]:
        """For each question the places of the best sentences, at most `top_k`, the best first."""
        if self._bm25 is None or not questions:
            return [[] for _ in questions]
        tokens = [self._bm25.get_tokens_ids(stems(question)) for question in questions]
        found = [i for i, own in enumerate(tokens) if own]  # of the others no word is known
        rankings: list[list[int]] = [[] for _ in questions]
        if found:
            places, scores = self._bm25.retrieve(
                [tokens[i] for i in found],
                k=min(top_k, self._num_sentences),
                show_progress=False,
                backend_selection="auto" if self._bm25.backend == "numba" else "numpy",
            )
            for i, own_places, own_scores in zip(found, places, scores, strict=True):
                rankings[i] = own_places[own_scores > 0].tolist()
        return rankings

    @property
    def size_bytes(self) -> int:
        """Bytes of the scores' sparse matrix and of the vocabulary's words."""
        if self._bm25 is None:
            return 0
        arrays = sum(part.nbytes for part in self._bm25.scores.values() if isinstance(part, np.ndarray))
        return arrays + sum(len(word.encode()) for word in self._bm25.vocab_dict)
