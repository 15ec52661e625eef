"""Rankings of sentences: by words, by vectors, and fused."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from widedeep_kb.systems import word_ranker
from widedeep_kb.systems.ranker import FusedRanker
from widedeep_kb.systems.sentence_vectors import SentenceEncoder
from widedeep_kb.systems.vector_ranker import VectorRanker
from widedeep_kb.systems.word_ranker import WordRanker, stems


def draw_texts(count: int, *, seed: int) -> list[str]:
    """Random texts of 1 to 9 of 40 words."""
    rng = random.Random(seed)
    return [" ".join(f"w{rng.randrange(40)}" for _ in range(rng.randint(1, 9))) for _ in range(count)]


def bm25(question: str, sentences: Sequence[str], *, k1: float, b: float) -> np.ndarray:
    """Lucene's BM25 by its formula."""
    bags = [Counter(stems(sentence)) for sentence in sentences]
    lengths = [sum(bag.values()) for bag in bags]
    mean = sum(lengths) / len(lengths)
    scores = np.zeros(len(sentences))
    for word in stems(question):
        frequency = sum(word in bag for bag in bags)
        idf = math.log(1 + (len(bags) - frequency + 0.5) / (frequency + 0.5))
        for i, bag in enumerate(bags):
            scores[i] += idf * bag[word] / (bag[word] + k1 * (1 - b + b * lengths[i] / mean))
    return scores


@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4)])
def test_words_rank_as_the_formula_says(
    k1: float, b: float, is_compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_ranker, "COMPILED_FROM", 0 if is_compiled else 1000)
    sentences, questions = draw_texts(60, seed=1), draw_texts(20, seed=2)
    ranker = WordRanker(k1=k1, b=b)
    ranker.index(sentences)
    for question, found in zip(questions, ranker.rank(questions, top_k=4), strict=True):
        scores = bm25(question, sentences, k1=k1, b=b)
        np.testing.assert_allclose(scores[found], np.sort(scores)[::-1][: len(found)], rtol=1e-4)
        assert len(found) == min(4, int((scores > 0).sum()))


def test_a_sentence_without_a_shared_word_is_not_found() -> None:
    ranker = WordRanker()
    ranker.index(["The populations of Oslo", "A height"])
    assert ranker.rank(["populated Oslo", "nothing of the kind", "", "?!"], top_k=5) == [[0], [0], [], []]
    ranker.index([])
    assert ranker.rank(["Oslo"], top_k=5) == [[]] and ranker.size_bytes == 0


def test_vectors_rank_by_cosine(tiny_encoder: SentenceEncoder) -> None:
    sentences, questions = draw_texts(30, seed=3), draw_texts(9, seed=4)
    sentences = list(dict.fromkeys(sentences))
    ranker = VectorRanker(tiny_encoder)
    ranker.index(sentences)
    scores = tiny_encoder.encode(questions).astype(np.float64) @ tiny_encoder.encode(sentences).astype(np.float64).T
    for own, found in zip(scores, ranker.rank(questions, top_k=3), strict=True):
        np.testing.assert_allclose(own[found], np.sort(own)[::-1][:3], atol=1e-5)
    assert [own[0] for own in ranker.rank(sentences, top_k=1)] == list(range(len(sentences)))
    assert ranker.is_exact and ranker.size_bytes > tiny_encoder.size_bytes


def test_only_new_sentences_are_encoded(tiny_encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker, encode, seen = VectorRanker(tiny_encoder), tiny_encoder.encode, []
    monkeypatch.setattr(tiny_encoder, "encode", lambda texts: seen.append(list(texts)) or encode(texts))
    ranker.index(["one", "two", "one"])
    ranker.index(["three", "two"])
    ranker.index(["one"])
    assert seen == [["one", "two"], ["three"], ["one"]]  # what is gone is forgotten
    assert ranker.rank(["two"], top_k=3) == [[0]]


class Told:
    """A ranker that says what it is told."""

    size_bytes = 7

    def __init__(self, ranking: list[int]) -> None:
        self.ranking = ranking

    def index(self, sentences: Sequence[str]) -> None:
        """Nothing to do."""

    def rank(self, questions: Sequence[str], *, top_k: int) -> list[list[int]]:
        """The same for each question."""
        return [self.ranking[:top_k] for _ in questions]


def test_fused_ranks_by_hand() -> None:
    # 5: 1/61 + 1/63, 2: 1/62 + 1/62, 9: 1/61, 4: 1/63
    fused = FusedRanker([Told([5, 2, 4]), Told([9, 2, 5])])
    assert fused.rank(["a", "b"], top_k=3) == [[5, 2, 9]] * 2
    assert fused.rank(["a"], top_k=10) == [[5, 2, 9, 4]]
    assert FusedRanker([Told([5, 2, 4]), Told([9, 2, 5])], depth=2).rank(["a"], top_k=1) == [[2]]
    assert fused.size_bytes == 14
    assert FusedRanker([Told([]), Told([])]).rank(["a"], top_k=1) == [[]]
