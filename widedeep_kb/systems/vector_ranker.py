"""Sentences ranked by the cosine of their vectors with the question's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from widedeep_kb.systems.nearest_index import NearestIndex
from widedeep_kb.systems.sentence_vectors import SentenceEncoder


class VectorRanker:
    """Sentence vectors in a faiss index: all are compared up to 100,000 sentences, those of the nearest cells beyond.

    Args:
        encoder: of sentences and questions.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder
        self._places: dict[str, int] = {}
        self._vectors = np.zeros((0, encoder.dim), dtype=np.float32)
        self._index: NearestIndex | None = None

    def index(self, sentences: Sequence[str]) -> None:
        """Take in sentences; a second call replaces the first, and only sentences it did not have are encoded."""
        new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in self._places]
        fresh = dict(zip(new, self.encoder.encode(new), strict=True))
        vectors = np.empty((len(sentences), self.encoder.dim), dtype=np.float32)
        for i, sentence in enumerate(sentences):
            vectors[i] = fresh[sentence] if sentence in fresh else self._vectors[self._places[sentence]]
        self._vectors, self._places = vectors, {sentence: i for i, sentence in enumerate(sentences)}
        self._index = NearestIndex(vectors, metric="inner_product", device=self.encoder.model.device)

    def rank(self, questions: Sequence[str], *, top_k: int) -> list[list[int]]:
        """For each question the places of the best sentences, at most `top_k`, the best first."""
        if self._index is None or not questions:
            return [[] for _ in questions]
        found = self._index.search(torch.from_numpy(self.encoder.encode(questions)), top_k=top_k).indices
        return [own[own >= 0].tolist() for own in found]

    @property
    def is_exact(self) -> bool:
        """Whether a question is compared with all sentences."""
        return self._index is None or self._index.is_exact

    @property
    def size_bytes(self) -> int:
        """Bytes of the index and of the encoder."""
        return self.encoder.size_bytes + (0 if self._index is None else self._index.size_bytes)
