"""Semantic index: vectors of names, searched by similarity with faiss, on the CPU or on a GPU. It returns neighbours.

What it finds is a guess, never a hit: see `guessing` for what is asked of it and believed. The index on the CPU is the
only one that changes; a copy on the GPU is made for the next search and dropped at the next change, so that what was
removed is nowhere. faiss's graphs (HNSW) cannot forget a vector and are out.

Letters: N names, Q queries, D numbers of a vector, K neighbours of a query.
"""

from __future__ import annotations

import faiss
import numpy as np
import torch

FLAT_LIMIT = 100_000
"""Names up to which all of them are compared; beyond, those in the cells nearest to the query."""
_CELL = 512  # names in a cell on average, when the cells are made
_NUM_PROBES = 128
_GROWTH = 4  # cells are made anew when there are so many times more names
_LEAST_SAMPLES = 39  # a cell, faiss's own least


def has_gpu() -> bool:
    """Whether this faiss can search on a GPU, and there is one."""
    return hasattr(faiss, "StandardGpuResources") and torch.cuda.is_available() and faiss.get_num_gpus() > 0


def place(index: faiss.Index, *, device: str | torch.device | None = None) -> faiss.Index:
    """`index` itself, or a copy of it on a GPU, searched by the same call.

    Args:
        index: on the CPU.
        device: "cpu", "cuda" or "cuda:1"; None = the GPU where there is one and faiss was built for it.

    Raises:
        ValueError: a GPU is asked for, and there is none or faiss was built without GPUs.
    """
    if device is None:
        device = "cuda" if has_gpu() else "cpu"
    device = torch.device(device)
    if device.type == "cpu":
        return index
    if not has_gpu():
        raise ValueError(f"no search on {str(device)!r}: it takes a CUDA GPU and the package faiss-gpu")
    resources = faiss.StandardGpuResources()
    placed = faiss.index_cpu_to_gpu(resources, device.index or 0, index)
    faiss.add_to_referenced_objects(placed, resources)  # they must live as long as the copy
    return placed


class SemanticIndex:
    """Inner products of names' vectors with queries, the largest first: all of them, or in the nearest cells.

    Args:
        dim: D.
        device: where searches run, see `place`.
        num_planned: names to come; with more than `FLAT_LIMIT` the index has cells.
        sample: float32 [n, D], vectors to make the cells of: those of every `SAMPLE_STEP`-th name.
    """

    SAMPLE_STEP = 12

    def __init__(
        self,
        dim: int,
        *,
        device: str | torch.device | None = None,
        num_planned: int = 0,
        sample: np.ndarray | None = None,
    ) -> None:
        self.device, self.num_planned = device, num_planned
        self._placed: faiss.Index | None = None
        self._numbers = np.zeros(0, np.int64)  # of the flat index's vectors, in their order
        metric, kind = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer
        if num_planned <= FLAT_LIMIT:
            self._index = faiss.IndexScalarQuantizer(dim, kind.QT_fp16, metric)
            return
        if sample is None:
            raise ValueError(f"an index of {num_planned} names takes a sample of their vectors")
        num_cells = max(1, min(num_planned // _CELL, len(sample) // _LEAST_SAMPLES))
        self._index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, num_cells, kind.QT_fp16, metric)
        self._index.train(np.ascontiguousarray(sample))
        self._index.nprobe = min(num_cells, _NUM_PROBES)

    def __len__(self) -> int:
        """Names held."""
        return self._index.ntotal

    @property
    def dim(self) -> int:
        """D."""
        return self._index.d

    @property
    def is_flat(self) -> bool:
        """All names are compared with a query."""
        return not isinstance(self._index, faiss.IndexIVF)

    def has_room(self, num_names: int) -> bool:
        """Whether the index is made for so many more names; otherwise it gets slow."""
        limit = FLAT_LIMIT if self.is_flat else _GROWTH * self.num_planned
        return len(self) + num_names <= limit

    @property
    def size_bytes(self) -> int:
        """Bytes of vectors and numbers in memory."""
        cells = 0 if self.is_flat else 4 * self._index.nlist * self._index.d
        return len(self) * (self._index.code_size + self._numbers.itemsize) + cells

    def add(self, numbers: np.ndarray, vectors: np.ndarray) -> None:
        """Hold vectors, float32 [N, D], under new numbers, int64 [N]."""
        self._placed = None
        if self.is_flat:
            self._index.add(vectors)
            self._numbers = np.concatenate([self._numbers, numbers])
        else:
            self._index.add_with_ids(vectors, numbers)

    def remove(self, numbers: np.ndarray) -> None:
        """Forget the vectors of numbers, int64 [N].

        Raises:
            ValueError: a number that is not held.
        """
        self._placed = None
        numbers = np.unique(numbers)
        if self.is_flat:
            is_gone = np.isin(self._numbers, numbers)
            num_removed = self._index.remove_ids(np.flatnonzero(is_gone))
            self._numbers = self._numbers[~is_gone]
        else:
            num_removed = self._index.remove_ids(numbers)
        if num_removed != len(numbers):
            raise ValueError(f"{len(numbers) - num_removed} of {len(numbers)} numbers are not held")

    def search(self, queries: np.ndarray, *, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest names of each query.

        Args:
            queries: float32 [Q, D].
            top_k: K.

        Returns:
            inner products, float32 [Q, K], falling, and numbers, int64 [Q, K]; -inf and -1 where there is no further.
        """
        if not len(self) or not len(queries):
            shape = (len(queries), top_k)
            return np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int64)
        if self._placed is None:
            self._placed = place(self._index, device=self.device)
        scores, found = self._placed.search(np.ascontiguousarray(queries), top_k)
        is_none = found < 0
        numbers = np.where(is_none, -1, self._numbers[found] if self.is_flat else found)
        return np.where(is_none, -np.inf, scores).astype(np.float32), numbers

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        planned = np.array([self.num_planned], np.int64)
        return {"index": faiss.serialize_index(self._index), "numbers": self._numbers, "planned": planned}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, device: str | torch.device | None = None) -> SemanticIndex:
        """The index of `arrays()`.

        Raises:
            ValueError: the arrays are damaged or do not fit each other.
        """
        result = cls.__new__(cls)
        try:
            result._index = faiss.deserialize_index(np.array(arrays["index"]))
        except RuntimeError as error:
            raise ValueError(f"damaged semantic index: {str(error).splitlines()[0]}") from error
        result.device, result._placed = device, None
        result._numbers, result.num_planned = arrays["numbers"].copy(), int(arrays["planned"][0])
        if result.is_flat and len(result._numbers) != len(result):
            raise ValueError(f"semantic index of {len(result)} vectors with {len(result._numbers)} numbers")
        return result
