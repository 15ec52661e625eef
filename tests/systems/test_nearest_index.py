"""Nearest vectors against a slow reference."""

import numpy as np
import pytest

from widedeep_kb.systems import nearest_index
from widedeep_kb.systems.nearest_index import NearestIndex

RNG = np.random.default_rng(0)


def reference(vectors: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """Scores [Q, N] in float64, larger is nearer."""
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "inner_product":
        return queries @ vectors.T
    return -((queries[:, None] - vectors[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_a_flat_index_finds_the_nearest(metric: str) -> None:
    vectors, queries = (RNG.normal(size=(n, 16)).astype(np.float32) for n in (200, 30))
    index = NearestIndex(vectors, metric=metric, device="cpu")
    found, scores = index.search(queries, top_k=5), reference(vectors, queries, metric)
    assert index.is_exact and len(index) == 200
    np.testing.assert_array_equal(found.indices, np.argsort(-scores, axis=1)[:, :5])
    sign = 1 if metric == "inner_product" else -1
    np.testing.assert_allclose(
        found.scores, sign * np.take_along_axis(scores, found.indices, axis=1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_queries_in_parts_find_the_same(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, queries = (RNG.normal(size=(n, 6)).astype(np.float32) for n in (50, 11))
    index = NearestIndex(vectors, metric=metric)
    whole = index.search(queries, top_k=4)
    monkeypatch.setattr(nearest_index, "_MAX_SCORES", 3 * 50)
    parts = index.search(queries, top_k=4)
    np.testing.assert_array_equal(whole.indices, parts.indices)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_an_index_of_cells_finds_most_of_the_nearest(metric: str) -> None:
    vectors, queries = (RNG.normal(size=(n, 8)).astype(np.float32) for n in (4000, 50))
    index = NearestIndex(vectors, metric=metric, device="cpu", flat_limit=1000)
    nearest = np.argsort(-reference(vectors, queries, metric), axis=1)[:, :5]
    found = index.search(queries, top_k=5).indices
    assert not index.is_exact
    assert np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found, nearest, strict=True)]) > 0.9
    assert index.size_bytes < NearestIndex(vectors, metric=metric, device="cpu").size_bytes


def test_too_few_vectors_and_no_queries() -> None:
    vectors = RNG.normal(size=(2, 4)).astype(np.float32)
    found = NearestIndex(vectors, metric="l2", device="cpu").search(vectors, top_k=3)
    np.testing.assert_array_equal(found.indices, [[0, 1, -1], [1, 0, -1]])
    assert np.isinf(found.scores[:, 2]).all() and np.abs(found.scores[:, 0]).max() < 1e-5
    empty = NearestIndex(vectors[:0], metric="inner_product").search(vectors, top_k=3)
    assert (empty.indices == -1).all() and (empty.scores == -np.inf).all()
    assert NearestIndex(vectors, metric="l2").search(vectors[:0], top_k=3).indices.shape == (0, 3)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'cosine'"):
        NearestIndex(np.zeros((1, 2), np.float32), metric="cosine")
