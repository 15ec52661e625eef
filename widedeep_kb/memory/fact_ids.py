"""The fact_id of each fact as a number, by ordinal: eight bytes a fact, so that a look-up of thousands needs no table.

Kept in step with the catalogue. Letters: N facts asked for.
"""

from __future__ import annotations

import numpy as np
import polars as pl


class FactIds:
    """fact_ids of live facts.

    Args:
        facts: a frame with `ordinal` and `fact_id`.
    """

    def __init__(self, facts: pl.DataFrame) -> None:
        self._ids = np.zeros(0, dtype=np.uint64)  # by ordinal, 0 where there is no fact
        self.add(facts)

    def add(self, facts: pl.DataFrame) -> None:
        """Take note of new facts."""
        if not facts.height:
            return
        ordinals = facts["ordinal"].to_numpy()
        size = int(ordinals.max()) + 1
        if size > len(self._ids):
            room = max(size, len(self._ids) + len(self._ids) // 2)
            self._ids = np.concatenate([self._ids, np.zeros(room - len(self._ids), dtype=np.uint64)])
        self._ids[ordinals] = number_of(facts["fact_id"])

    def remove(self, facts: pl.DataFrame) -> None:
        """Forget facts that are gone."""
        self._ids[facts["ordinal"].to_numpy()] = 0

    def of(self, ordinals: np.ndarray) -> list[str]:
        """fact_ids, 16 hex digits each, of live facts (int64 [N])."""
        text = self._ids[ordinals].astype(">u8").tobytes().hex()
        return [text[place : place + 16] for place in range(0, len(text), 16)]


def number_of(fact_ids: pl.Series) -> np.ndarray:
    """uint64 [N] of fact_ids."""
    return np.frombuffer(bytes.fromhex("".join(fact_ids.to_list())), dtype=">u8").astype(np.uint64)
