"""The semantic index against brute force in float64, on the CPU and on a GPU, through changes."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
import torch

from widedeep_kb.memory import semantic
from widedeep_kb.memory.semantic import SemanticIndex, has_gpu, place

DIM = 24
needs_gpu = pytest.mark.skipif(not has_gpu(), reason="needs a CUDA GPU and the package faiss-gpu")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random unit vectors, float32."""
    vectors = rng.normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force(held: dict[int, np.ndarray], queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of all held vectors in float64, falling, and their numbers."""
    numbers = np.array(list(held), np.int64)
    products = queries.astype(np.float64) @ np.array(list(held.values()), np.float64).T
    order = np.argsort(-products, axis=1)
    return np.take_along_axis(products, order, axis=1), numbers[order]


def make(device: str, *, is_flat: bool, vectors: np.ndarray) -> SemanticIndex:
    if is_flat:
        return SemanticIndex(DIM, device=device)
    return SemanticIndex(DIM, device=device, num_planned=len(vectors), sample=vectors)


@devices
@pytest.mark.parametrize("is_flat", [True, False])
def test_neighbours_are_those_of_brute_force_through_changes(
    device: str, is_flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(semantic, "FLAT_LIMIT", 1000)
    monkeypatch.setattr(semantic, "_NUM_PROBES", 1 << 20)  # all cells
    rng = np.random.default_rng(0)
    vectors, tolerance = unit(rng, 1500), 2e-3 if is_flat else 2e-2
    index, held = make(device, is_flat=is_flat, vectors=vectors), {}
    assert index.is_flat == is_flat
    numbers = rng.permutation(5000)[: len(vectors)]
    for step in range(4):
        part = slice(step * 375, (step + 1) * 375)
        index.add(numbers[part], vectors[part])
        held |= dict(zip(numbers[part].tolist(), vectors[part], strict=True))
        gone = rng.choice(np.array(list(held)), 100, replace=False)
        index.remove(gone)
        held = {number: vector for number, vector in held.items() if number not in gone.tolist()}
        assert len(index) == len(held)
        queries = unit(rng, 20)
        scores, found = index.search(queries, top_k=5)
        exact, best = brute_force(held, queries)
        np.testing.assert_allclose(scores, exact[:, :5], atol=tolerance)
        is_clear = exact[:, 0] - exact[:, 1] > 2 * tolerance
        assert is_clear.any() and (found[is_clear, 0] == best[is_clear, 0]).all()
        assert set(found.flat) <= set(held)
    loaded = SemanticIndex.from_arrays(index.arrays(), device=device)
    assert all(np.array_equal(*pair) for pair in zip(loaded.search(queries, top_k=5), (scores, found), strict=True))
    loaded.remove(found[0, :1])
    assert found[0, 0] not in loaded.search(queries, top_k=5)[1] and found[0, 0] in index.search(queries, top_k=5)[1]


@devices
def test_fewer_names_than_asked_for_and_none(device: str) -> None:
    index = SemanticIndex(DIM, device=device)
    vectors = unit(np.random.default_rng(1), 2)
    scores, found = index.search(vectors, top_k=3)
    assert (found == -1).all() and (scores == -np.inf).all()
    index.add(np.array([7, 9]), vectors)
    scores, found = index.search(vectors, top_k=3)
    assert found[:, 0].tolist() == [7, 9] and found[:, 2].tolist() == [-1, -1] and (scores[:, 2] == -np.inf).all()


def test_what_is_removed_is_in_no_file() -> None:
    vectors = unit(np.random.default_rng(2), 3)
    index = SemanticIndex(DIM, device="cpu")
    index.add(np.arange(3), vectors)
    code = vectors[1].astype(np.float16).tobytes()
    assert code in index.arrays()["index"].tobytes()
    index.remove(np.array([1]))
    assert code not in index.arrays()["index"].tobytes()
    with pytest.raises(ValueError, match="1 of 2 numbers are not held"):
        index.remove(np.array([0, 1]))


def test_bad_arrays_are_refused() -> None:
    index = SemanticIndex(DIM, device="cpu")
    index.add(np.arange(3), unit(np.random.default_rng(3), 3))
    arrays = index.arrays()
    with pytest.raises(ValueError, match="damaged semantic index"):
        SemanticIndex.from_arrays({**arrays, "index": arrays["index"][:40]})
    with pytest.raises(ValueError, match="3 vectors with 2 numbers"):
        SemanticIndex.from_arrays({**arrays, "numbers": arrays["numbers"][:2]})
    with pytest.raises(ValueError, match="takes a sample"):
        SemanticIndex(DIM, num_planned=semantic.FLAT_LIMIT + 1)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    index = SemanticIndex(DIM, device="cpu")._index
    assert place(index) is index and place(index, device="cpu") is index
    with pytest.raises(ValueError, match="'cuda:0': it takes a CUDA GPU and the package faiss-gpu"):
        place(index, device="cuda:0")


def test_a_copy_on_the_gpu_lives_until_the_next_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for faiss-gpu that copies to the CPU: when copies are made, and where to."""
    copies: list[int] = []

    def copy(resources: object, number: int, index: faiss.Index) -> faiss.Index:
        assert isinstance(resources, FakeResources)
        copies.append(number)
        return faiss.clone_index(index)

    class FakeResources:
        pass

    monkeypatch.setattr(faiss, "StandardGpuResources", FakeResources, raising=False)
    monkeypatch.setattr(faiss, "index_cpu_to_gpu", copy, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    vectors = unit(np.random.default_rng(4), 6)
    index = SemanticIndex(DIM, device="cuda:1")
    index.add(np.arange(4), vectors[:4])
    for _ in range(2):
        assert index.search(vectors, top_k=1)[1][:4, 0].tolist() == [0, 1, 2, 3]
    assert copies == [1] and isinstance(index._placed.referenced_objects[0], FakeResources)
    index.add(np.array([4, 5]), vectors[4:])
    assert index.search(vectors, top_k=1)[1][:, 0].tolist() == [0, 1, 2, 3, 4, 5] and copies == [1, 1]
    index.remove(np.array([2]))
    assert 2 not in index.search(vectors, top_k=5)[1] and copies == [1, 1, 1]
    assert place(index._index, device="cpu") is index._index and place(index._index) is not index._index
    assert copies == [1, 1, 1, 0], "no device named: the first GPU"
