"""Nearest vectors: exact by a product of matrices up to a size, faiss's cells beyond it.

On the CPU torch's product took 1.5 ms a query for 100,000 vectors of 384 numbers and faiss's flat index 5 (one core,
batches of 64); on a GPU it needs no faiss that is built for one, and nothing leaves the device.

Letters: N vectors, Q queries, D numbers of a vector, K neighbours of a query.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import faiss
import numpy as np
import torch
from torch import Tensor

from widedeep_kb.memory.semantic import place

METRICS = {"inner_product": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
FLAT_LIMIT = 100_000
"""Vectors up to which a query is compared with all of them on a CPU; beyond, with those of the nearest cells."""
_GPU_SHARE = 0.2  # of a GPU's memory that vectors may fill before they are put into cells
_MAX_SCORES = 1 << 26  # in memory at once
_NUM_PROBES = 64  # cells a query looks into
_SAMPLES = 64  # vectors a cell is made of, at most


class Neighbours(NamedTuple):
    """The nearest vectors of each query, the nearest first, on the queries' device.

    Attributes:
        scores: float32 [Q, K], inner products, or squared distances; -inf or inf where there is no further vector.
        indices: int64 [Q, K], places of the vectors in the order given; -1 where there is no further one.
    """

    scores: Tensor
    indices: Tensor


class NearestIndex:
    """Vectors to be searched by inner product or by Euclidean distance.

    Up to a limit they stand on the device as float32. Beyond, they are kept by faiss as float16 in about 4 sqrt(N)
    cells of which the nearest 64 are searched (`IndexIVFScalarQuantizer`): what it finds is then not always the very
    nearest, and faiss for the CPU searches on the CPU whatever the device.

    Args:
        vectors: float32 [N, D].
        metric: "inner_product" or "l2".
        device: of the search.
        flat_limit: most vectors that are all compared; None = `FLAT_LIMIT`, or what fills a fifth of a GPU.

    Raises:
        ValueError: another metric.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        *,
        metric: str,
        device: str | torch.device = "cpu",
        flat_limit: int | None = None,
    ) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
        self.metric, self.device = metric, torch.device(device)
        self.num_places, self.dim = vectors.shape
        self._num_removed = 0
        limit = default_flat_limit(self.device, dim=self.dim) if flat_limit is None else flat_limit
        self.is_exact = self.num_places <= limit
        if self.is_exact:
            self._vectors = self._on_device(vectors)
            self._biases = self._biases_of(self._vectors)
        else:
            self._cells = _cells(_float32(vectors), METRICS[metric])
            self._place()

    def __len__(self) -> int:
        """Vectors that can be found."""
        return self.num_places - self._num_removed

    @property
    def size_bytes(self) -> int:
        """Bytes of the vectors, those removed included, and of their norms or their cells and numbers."""
        if self.is_exact:
            return self.num_places * (self.dim + 1) * 4
        return len(self) * (self._cells.code_size + 8) + self._cells.nlist * self.dim * 4

    def add(self, vectors: np.ndarray) -> None:
        """Take in further vectors, float32 [n, D]; their places follow those of all vectors so far."""
        if self.is_exact:
            new = self._on_device(vectors)
            self._vectors = torch.cat([self._vectors, new])
            self._biases = torch.cat([self._biases, self._biases_of(new)])
        else:
            places = np.arange(self.num_places, self.num_places + len(vectors), dtype=np.int64)
            self._cells.add_with_ids(_float32(vectors), places)
            self._place()
        self.num_places += len(vectors)

    def remove(self, places: np.ndarray) -> None:
        """Make vectors that can be found impossible to find, by their int64 places; the others keep theirs."""
        if self.is_exact:
            self._biases[torch.from_numpy(places).to(self.device)] = -math.inf
        else:
            removed = self._cells.remove_ids(faiss.IDSelectorBatch(places))
            assert removed == len(places), "only what is there can be removed"
            self._place()
        self._num_removed += len(places)

    def search(self, queries: Tensor, *, top_k: int) -> Neighbours:
        """The nearest vectors of each query [Q, D]."""
        nothing = -math.inf if self.metric == "inner_product" else math.inf
        scores = torch.full((len(queries), top_k), nothing, device=queries.device)
        indices = torch.full((len(queries), top_k), -1, device=queries.device)
        if not len(self) or not len(queries):
            return Neighbours(scores, indices)
        if not self.is_exact:
            found, places = self._placed.search(_float32(queries.float().cpu().numpy()), top_k)
            found, places = (torch.from_numpy(part).to(queries.device) for part in (found, places))
            return Neighbours(found.masked_fill(places < 0, nothing), places)
        num_found, step = min(top_k, len(self)), max(1, _MAX_SCORES // self.num_places)
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            scores[rows, :num_found], indices[rows, :num_found] = self._compare(queries[rows], num_found)
        return Neighbours(scores, indices)

    @torch.inference_mode()
    def _compare(self, queries: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
        """Scores and places of the `top_k` nearest, no more than there are, after a comparison with all vectors."""
        given = queries.to(self.device, torch.float32)
        is_product = self.metric == "inner_product"
        best = torch.addmm(self._biases, given, self._vectors.T, alpha=1 if is_product else 2).topk(top_k, dim=1)
        if is_product:
            return best.values, best.indices
        return (given.square().sum(dim=1, keepdim=True) - best.values).clamp_(min=0), best.indices

    def _on_device(self, vectors: np.ndarray) -> Tensor:
        return torch.from_numpy(_float32(vectors)).to(self.device)

    def _biases_of(self, vectors: Tensor) -> Tensor:
        """[n] what is added to a query's products with vectors [n, D], so that the largest sum is the nearest."""
        return torch.zeros_like(vectors[:, 0]) if self.metric == "inner_product" else -vectors.square().sum(dim=1)

    def _place(self) -> None:
        self._placed = place(self._cells, device="cpu" if self.device.type == "cpu" else None)


def default_flat_limit(device: torch.device, *, dim: int) -> int:
    """Most vectors of `dim` numbers that are all compared with a query: `FLAT_LIMIT`, or a fifth of a GPU's memory."""
    if device.type != "cuda":
        return FLAT_LIMIT
    return max(FLAT_LIMIT, int(_GPU_SHARE * torch.cuda.get_device_properties(device).total_memory / (4 * dim)))


def _float32(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _cells(vectors: np.ndarray, metric: int) -> faiss.IndexIVFScalarQuantizer:
    """An index of cells that holds the vectors."""
    num_vectors, dim = vectors.shape
    num_cells = max(1, min(round(4 * math.sqrt(num_vectors)), num_vectors // 39))  # faiss's least for a cell
    coarse = faiss.IndexFlat(dim, metric)
    made = faiss.IndexIVFScalarQuantizer(coarse, dim, num_cells, faiss.ScalarQuantizer.QT_fp16, metric)
    made.train(np.ascontiguousarray(vectors[:: max(1, num_vectors // (_SAMPLES * num_cells))]))
    made.add_with_ids(vectors, np.arange(num_vectors, dtype=np.int64))
    made.nprobe = min(num_cells, _NUM_PROBES)
    return made
