"""Journal entries of a store's changes, and the same changes made again in a store that is opened.

Letters: n added facts, R rows of them, D row width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load, save
from torch import Tensor

from widedeep_kb.facts import CATALOGUE_SCHEMA, Changes
from widedeep_kb.memory.journal import Entry, entries
from widedeep_kb.memory.store import FactStore


def entry_of(changes: Changes, rows: Tensor, *, num_rows: np.ndarray) -> Entry:
    """The entry of a change (see `FactStore.change`); `rows` are as the table stores them."""
    return Entry(changes.removed, changes.added_rows, row_bytes(rows, num_rows))


def entry_of_erasing(ordinals: np.ndarray) -> Entry:
    """The entry of facts that go with none that come."""
    return Entry(np.unique(ordinals), pl.DataFrame(schema=CATALOGUE_SCHEMA), b"")


def row_bytes(rows: Tensor, num_rows: np.ndarray) -> bytes:
    """Rows [R, D] and their number by fact, int64 [n], as the bytes of a safetensors file."""
    counts = torch.from_numpy(np.array(num_rows, dtype=np.int64))
    return save({"rows": rows.cpu().contiguous(), "num_rows": counts})


def replay(snapshot: Path, store: FactStore) -> int:
    """Make the changes of a snapshot's journal in the store that was loaded from it; returns their number.

    Raises:
        ValueError: the journal is damaged, or belongs to another snapshot.
    """
    number = 0
    for number, entry in enumerate(entries(snapshot), start=1):  # noqa: B007 - the last number is returned
        if not entry.added_rows.height:
            store.erase(entry.removed)
            continue
        tensors = load(entry.rows)
        store.change(entry.changes(store.catalogue), tensors["rows"], num_rows=tensors["num_rows"].numpy())
    return number
