"""Nearest vectors against a slow reference."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from widedeep_kb.systems import nearest_index
from widedeep_kb.systems.nearest_index import NearestIndex, Neighbours, default_flat_limit

RNG = np.random.default_rng(0)


def reference(vectors: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """Scores [Q, N] in float64, larger is nearer."""
    vectors, queries = vectors.astype(np.float64), queries.astype(np.float64)
    if metric == "inner_product":
        return queries @ vectors.T
    return -((queries[:, None] - vectors[None]) ** 2).sum(axis=2)


def search(index: NearestIndex, queries: np.ndarray, *, top_k: int) -> Neighbours:
    """What is found, as arrays."""
    found = index.search(torch.from_numpy(queries), top_k=top_k)
    return Neighbours(found.scores.numpy(), found.indices.numpy())


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_a_flat_index_finds_the_nearest(metric: str) -> None:
    vectors, queries = (RNG.normal(size=(n, 16)).astype(np.float32) for n in (200, 30))
    index = NearestIndex(vectors, metric=metric, device="cpu")
    found, scores = search(index, queries, top_k=5), reference(vectors, queries, metric)
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
    whole = search(index, queries, top_k=4)
    monkeypatch.setattr(nearest_index, "_MAX_SCORES", 3 * 50)
    parts = search(index, queries, top_k=4)
    np.testing.assert_array_equal(whole.indices, parts.indices)
    np.testing.assert_allclose(whole.scores, parts.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_an_index_of_cells_finds_most_of_the_nearest(metric: str) -> None:
    vectors, queries = (RNG.normal(size=(n, 8)).astype(np.float32) for n in (4000, 50))
    index = NearestIndex(vectors, metric=metric, device="cpu", flat_limit=1000)
    nearest = np.argsort(-reference(vectors, queries, metric), axis=1)[:, :5]
    found = search(index, queries, top_k=5).indices
    assert not index.is_exact
    assert np.mean([len(set(a) & set(b)) / 5 for a, b in zip(found, nearest, strict=True)]) > 0.9
    assert index.size_bytes < NearestIndex(vectors, metric=metric, device="cpu").size_bytes


def test_too_few_vectors_and_no_queries() -> None:
    vectors = RNG.normal(size=(2, 4)).astype(np.float32)
    found = search(NearestIndex(vectors, metric="l2", device="cpu"), vectors, top_k=3)
    np.testing.assert_array_equal(found.indices, [[0, 1, -1], [1, 0, -1]])
    assert np.isinf(found.scores[:, 2]).all() and np.abs(found.scores[:, 0]).max() < 1e-5
    empty = search(NearestIndex(vectors[:0], metric="inner_product"), vectors, top_k=3)
    assert (empty.indices == -1).all() and (empty.scores == -np.inf).all()
    assert search(NearestIndex(vectors, metric="l2"), vectors[:0], top_k=3).indices.shape == (0, 3)


@pytest.mark.parametrize("flat_limit", [1000, 0])
@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_changes_are_as_if_they_were_so_from_the_start(metric: str, flat_limit: int) -> None:
    vectors, queries = (RNG.normal(size=(n, 8)).astype(np.float32) for n in (200, 20))
    index = NearestIndex(vectors[:120], metric=metric, flat_limit=flat_limit)
    removed = np.array([3, 0, 77, 119])
    index.remove(removed)
    index.add(vectors[120:])
    index.remove(np.array([150]))
    index.add(vectors[:0])
    kept = np.setdiff1d(np.arange(200), [*removed, 150])
    assert len(index) == len(kept) and index.num_places == 200 and index.is_exact == (flat_limit > 0)
    scores = reference(vectors, queries, metric)
    scores[:, [*removed, 150]] = -np.inf
    found = search(index, queries, top_k=5)
    np.testing.assert_array_equal(found.indices[:, 0], scores.argmax(axis=1))
    assert set(search(index, queries, top_k=200).indices.ravel().tolist()) == {-1, *kept.tolist()}
    sign = 1 if metric == "inner_product" else -1
    expected = sign * np.take_along_axis(scores, found.indices, axis=1)
    np.testing.assert_allclose(
        found.scores, expected, rtol=1e-4 if flat_limit else 1e-2, atol=1e-5 if flat_limit else 2e-2
    )


def test_a_gpu_compares_with_as_many_as_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: SimpleNamespace(total_memory=140e9))
    assert default_flat_limit(torch.device("cuda"), dim=576) > 10_000_000
    assert default_flat_limit(torch.device("cuda"), dim=10**7) == nearest_index.FLAT_LIMIT
    assert default_flat_limit(torch.device("cpu"), dim=576) == nearest_index.FLAT_LIMIT


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'cosine'"):
        NearestIndex(np.zeros((1, 2), np.float32), metric="cosine")
