"""What ranks sentences for a question, and the fusion of several rankings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Ranker(Protocol):
    """Sentences, and the best of them for each question."""

    def index(self, sentences: Sequence[str]) -> None:
        """Take in sentences; a second call replaces the first."""

    def rank(self, questions: Sequence[str], *, top_k: int) -> list[list[int]]:
        """For each question the places of the best sentences, at most `top_k`, the best first."""

    @property
    def size_bytes(self) -> int:
        """Bytes kept to rank, the sentences' text aside."""


class FusedRanker:
    """Reciprocal-rank fusion (Cormack et al. 2009): a sentence's score is the sum of 1 / (constant + its rank from 1).

    Args:
        rankers: whose ranks are summed; of equal scores the first ranker's sentence comes first.
        constant: 60 in the paper.
        depth: sentences taken from each ranker; the others have no rank there.
    """

    def __init__(self, rankers: Sequence[Ranker], *, constant: float = 60.0, depth: int = 100) -> None:
        self.rankers, self.constant, self.depth = tuple(rankers), constant, depth

    def index(self, sentences: Sequence[str]) -> None:
        """Take in sentences; a second call replaces the first."""
        for ranker in self.rankers:
            ranker.index(sentences)

    def rank(self, questions: Sequence[str], *, top_k: int) -> list[list[int]]:
        """For each question the places of the best sentences, at most `top_k`, the best first."""
        depth = max(self.depth, top_k)
        rankings = [ranker.rank(questions, top_k=depth) for ranker in self.rankers]
        return [self._fuse(own)[:top_k] for own in zip(*rankings, strict=True)]

    @property
    def size_bytes(self) -> int:
        """Bytes of all rankers."""
        return sum(ranker.size_bytes for ranker in self.rankers)

    def _fuse(self, rankings: Sequence[Sequence[int]]) -> list[int]:
        scores: dict[int, float] = {}
        for ranking in rankings:
            for rank, sentence in enumerate(ranking, start=1):
                scores[sentence] = scores.get(sentence, 0.0) + 1.0 / (self.constant + rank)
        return sorted(scores, key=lambda sentence: -scores[sentence])
