"""A relation named in full rules out the other facts of the same subject.

The exact index brings all facts of a subject. Where the question holds every word of one fact's relation, there is
nothing left to choose by meaning, and what its words point at less is only a distraction.

Letters: B questions, C places for facts of a question.
"""

from __future__ import annotations

import numpy as np

from widedeep_kb.memory.retrieval import Hits

NAMED = 0.6  # least weight of a fact whose relation the question names
GAP = 0.15  # facts of the same subject that are further behind it are dropped


def narrow(hits: Hits, namings: np.ndarray) -> Hits:
    """`hits` without the facts that a better one of the same subject rules out; the others move up.

    Args:
        hits: what the index returned.
        namings: [B, C] number of each fact's subject (see `Retriever.namings_of`), -1 = none.
    """
    is_same = (namings[:, :, None] == namings[:, None, :]) & (namings[:, None, :] >= 0)  # [B, C, C]
    best = np.where(is_same, hits.weights[:, None, :], 0.0).max(axis=2, initial=0.0)
    is_kept = (hits.ordinals >= 0) & ((best < NAMED) | (hits.weights >= best - GAP))
    order = np.argsort(~is_kept, axis=1, kind="stable")

    def moved(array: np.ndarray, fill: int) -> np.ndarray:
        return np.take_along_axis(np.where(is_kept, array, fill).astype(array.dtype), order, axis=1)

    return hits._replace(ordinals=moved(hits.ordinals, -1), weights=moved(hits.weights, 0), stage=moved(hits.stage, 0))
