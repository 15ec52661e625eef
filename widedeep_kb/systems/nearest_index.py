"""Nearest vectors, made once from all of them: exact by a product of matrices up to a size, faiss's cells beyond it.

On the CPU torch's product took 1.5 ms a query for 100,000 vectors of 384 numbers and faiss's flat index 5 (one core,
batches of 64); on a GPU it needs no faiss that is built for one.

Letters: N vectors, Q queries, D numbers of a vector, K neighbours of a query.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import faiss
import numpy as np
import torch

from widedeep_kb.memory.semantic import place

METRICS = {"inner_product": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
FLAT_LIMIT = 100_000
"""Vectors up to which a query is compared with all of them; beyond, with those of the nearest cells."""
_MAX_SCORES = 1 << 26  # in memory at once
_NUM_PROBES = 64  # cells a query looks into
_SAMPLES = 64  # vectors a cell is made of, at most


class Neighbours(NamedTuple):
    """The nearest vectors of each query, the nearest first.

    Attributes:
        scores: float32 [Q, K], inner products, or squared distances; -inf or inf where there is no further vector.
        indices: int64 [Q, K], places of the vectors in the order given; -1 where there is no further one.
    """

    scores: np.ndarray
    indices: np.ndarray


class NearestIndex:
    """Vectors to be searched by inner product or by Euclidean distance.

    Up to `FLAT_LIMIT` vectors stand on the device as float32. Beyond, they are kept by faiss as float16 in about
    4 sqrt(N) cells of which the nearest 64 are searched (`IndexIVFScalarQuantizer`): what it finds is then not always
    the very nearest, and faiss for the CPU searches on the CPU whatever the device.

    Args:
        vectors: float32 [N, D].
        metric: "inner_product" or "l2".
        device: of the search.
        flat_limit: see `FLAT_LIMIT`.

    Raises:
        ValueError: another metric.
    """

    def __init__(
        self, vectors: np.ndarray, *, metric: str, device: str | torch.device = "cpu", flat_limit: int = FLAT_LIMIT
    ) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self.metric, self.device, self.is_exact = metric, torch.device(device), len(vectors) <= flat_limit
        self._shape = vectors.shape
        if self.is_exact:
            self._vectors = torch.from_numpy(vectors).to(self.device)
            self._norms = self._vectors.square().sum(dim=1)
        else:
            self._cells = _cells(vectors, METRICS[metric])
            self._placed = place(self._cells, device="cpu" if self.device.type == "cpu" else None)

    def __len__(self) -> int:
        """Vectors held."""
        return self._shape[0]

    @property
    def size_bytes(self) -> int:
        """Bytes of the vectors, and of their norms or their cells and numbers."""
        num_vectors, dim = self._shape
        if self.is_exact:
            return num_vectors * (dim + 1) * 4
        return num_vectors * (self._cells.code_size + 8) + self._cells.nlist * dim * 4

    def search(self, queries: np.ndarray, *, top_k: int) -> Neighbours:
        """The nearest vectors of each query, float32 [Q, D]."""
        nothing = -np.inf if self.metric == "inner_product" else np.inf
        scores = np.full((len(queries), top_k), nothing, np.float32)
        indices = np.full((len(queries), top_k), -1, np.int64)
        if not len(self) or not len(queries):
            return Neighbours(scores, indices)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if not self.is_exact:
            found, indices = self._placed.search(queries, top_k)
            return Neighbours(np.where(indices < 0, nothing, found).astype(np.float32), indices)
        num_found, step = min(top_k, len(self)), max(1, _MAX_SCORES // len(self))
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            scores[rows, :num_found], indices[rows, :num_found] = self._compare(queries[rows], num_found)
        return Neighbours(scores, indices)

    @torch.inference_mode()
    def _compare(self, queries: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and places of the `top_k` nearest, no more than there are, after a comparison with all vectors."""
        given = torch.from_numpy(queries).to(self.device)
        products = given @ self._vectors.T  # [Q, N]
        if self.metric == "inner_product":
            best = products.topk(top_k, dim=1)
            return best.values.cpu().numpy(), best.indices.cpu().numpy()
        best = products.mul_(2).sub_(self._norms).topk(top_k, dim=1)
        distances = (given.square().sum(dim=1, keepdim=True) - best.values).clamp_(min=0)
        return distances.cpu().numpy(), best.indices.cpu().numpy()


def _cells(vectors: np.ndarray, metric: int) -> faiss.IndexIVFScalarQuantizer:
    """An index of cells that holds the vectors."""
    num_vectors, dim = vectors.shape
    num_cells = max(1, min(round(4 * math.sqrt(num_vectors)), num_vectors // 39))  # faiss's least for a cell
    coarse = faiss.IndexFlat(dim, metric)
    made = faiss.IndexIVFScalarQuantizer(coarse, dim, num_cells, faiss.ScalarQuantizer.QT_fp16, metric)
    made.train(np.ascontiguousarray(vectors[:: max(1, num_vectors // (_SAMPLES * num_cells))]))
    made.add(vectors)
    made.nprobe = min(num_cells, _NUM_PROBES)
    return made
