"""What a store brings for texts, and where the rows of facts are.

Letters: B texts, C places for facts of a text, R rows of a text, D numbers in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.memory.guessing import GUESSED
from widedeep_kb.memory.hopping import Hop
from widedeep_kb.memory.retrieval import Hits
from widedeep_kb.memory.rows import expand_rows

if TYPE_CHECKING:  # the tables need fbgemm, the training of a reader does not
    from widedeep_kb.memory.cached_rows import Pending


@dataclass(frozen=True)
class Recall:
    """The rows of the facts that B texts are about.

    Attributes:
        rows: [B, R, D] float32, all zeros where a text has no further row.
        weights: [B, R] float32, weight of the hit that brought each row.
        row_ids: [B, R] int64 into the table, -1 = no row.
        row_facts: [B, R] int64 ordinal of each row's fact, -1 = none.
        hits: what the index returned, narrowed (see `narrowing`).
        catalogue: the facts as they were when they were recalled.
        pending: what to wait for before `rows` are used; None: nothing.
        hops: of each text, best first (see `hopping`); empty where no second hop was asked for.
    """

    rows: Tensor
    weights: Tensor
    row_ids: np.ndarray
    row_facts: np.ndarray
    hits: Hits
    catalogue: FactCatalogue
    pending: Pending | None = None
    hops: tuple[tuple[Hop, ...], ...] = ()

    @property
    def has_rows(self) -> np.ndarray:
        """[B] bool, texts with at least one row."""
        return (self.row_ids >= 0).any(axis=1)

    @property
    def is_guessed(self) -> np.ndarray:
        """[B] bool, texts whose facts are those of a name that was only guessed."""
        return (self.hits.stage == GUESSED).any(axis=1)


@dataclass(frozen=True)
class RowPlaces:
    """Where in the table the rows of each fact are.

    Attributes:
        first_rows, num_rows: int64, by ordinal; no rows where there is no fact.
    """

    first_rows: np.ndarray
    num_rows: np.ndarray

    def row_ids_of(self, ordinals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row ids [B, R] and the fact of each [B, R] for facts [B, C]; -1 fills what is empty."""
        counts = np.where(ordinals >= 0, self.num_rows[ordinals], 0) if len(self.num_rows) else np.zeros_like(ordinals)
        totals = counts.sum(axis=1)
        width = int(totals.max(initial=0))
        ids = np.full((len(ordinals), width), -1, dtype=np.int64)
        facts = np.full((len(ordinals), width), -1, dtype=np.int64)
        is_filled = np.arange(width)[None] < totals[:, None]
        live = ordinals[counts > 0]
        ids[is_filled] = expand_rows(self.first_rows[live], self.num_rows[live])
        facts[is_filled] = np.repeat(live, self.num_rows[live])
        return ids, facts
