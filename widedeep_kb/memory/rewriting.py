"""Changes how the rows of a store are kept: facts, keys and row numbers stay, only the bytes of the rows change.

In: a store, and a row format. Out: the same store with another table. Rows of floats and packed rows are converted from
their numbers; compact rows are made from the facts again, since numbers do not tell what they were made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from torch import Tensor

from widedeep_kb.memory.compact import CompactCodec
from widedeep_kb.memory.encoding import encode_frame
from widedeep_kb.memory.packed import PackedTable, RowCodec, codec_for
from widedeep_kb.memory.rows import expand_rows
from widedeep_kb.memory.store import FactStore
from widedeep_kb.memory.wide import FLOAT_FORMATS, WideTable
from widedeep_kb.memory.writer import fact_features

FACTS_PER_BATCH = 8192
ROWS_PER_BATCH = 1 << 15
_PRECISION = {"compact": 0, "int4": 1, "int8": 2, "bf16": 3, "fp16": 3, "fp32": 4}

if TYPE_CHECKING:
    from widedeep_kb.model import KnowledgeMemory

RowsOf = Callable[[pl.DataFrame], tuple[Tensor, np.ndarray]]


def rewrite(memory: KnowledgeMemory, row_format: str) -> list[str]:
    """Store the rows of a memory in another format; see `rewrite_rows`.

    Raises:
        ValueError: no such format, or numbers that are not finite in it.
    """
    lm, writer = memory.lm, memory.reader.writer
    codec = codec_for(row_format, writer.row_width, writer=writer, embedding_weight=lm.embedding_weight)

    def compact_rows(facts: pl.DataFrame) -> tuple[Tensor, np.ndarray]:
        encoded = encode_frame(lm.tokenizer, facts, end_id=lm.newline_id)
        features = fact_features(lm, encoded, layers=memory.reader.config.writer_layers)
        return codec.pack(encoded, features), encoded.num_rows

    return rewrite_rows(memory.store, row_format, codec=codec, compact_rows=compact_rows)


@torch.no_grad()
def rewrite_rows(store: FactStore, row_format: str, *, codec: RowCodec | None, compact_rows: RowsOf) -> list[str]:
    """Give a store a table of another row format.

    Args:
        store: all of it or nothing is changed.
        row_format: a name in `config.ROW_FORMATS`.
        codec: of that format (see `packed.codec_for`).
        compact_rows: packed rows uint8 [R, B] and their number by fact, of facts; called for "compact" only.

    Returns:
        what the caller should know: precision that does not come back, training that is lost. Often nothing.

    Raises:
        ValueError: numbers that are not finite in the new format.
    """
    old = store.table
    if old.row_format == row_format:
        return []
    new = _like(old, row_format, codec)
    notices = []
    if isinstance(codec, CompactCodec):
        if old.momentum.any():
            count = int((old.momentum > 0).sum())
            notices.append(f"{count} trained rows were made from their facts again: compact rows hold no training")
        _make_again(store, new, compact_rows)
    else:
        for rows in old.is_live.nonzero().squeeze(1).split(ROWS_PER_BATCH):
            new.write(rows, old.known_rows(rows))
        if isinstance(new, PackedTable):
            if old.momentum.any():
                notices.append(f"{row_format} rows have no optimizer state: it is dropped")
        else:
            new.momentum[: len(old.momentum)] = old.momentum
    if _PRECISION[row_format] > _PRECISION[old.row_format]:
        notices.append(f"rows were stored as {old.row_format}: {row_format} does not bring back what that left out")
    store.table = new
    return notices


def _like(old: WideTable, row_format: str, codec: RowCodec | None) -> WideTable:
    """An empty table of another format with the same rows allocated."""
    device, rows = old.weight.device, old.capacity
    if codec is None:
        new = WideTable(rows, old.embedding_dim, device=device, dtype=FLOAT_FORMATS[row_format])
    else:
        new = PackedTable(codec, rows, device=device)
    new.allocator = old.allocator.copy()
    return new


def _make_again(store: FactStore, table: WideTable, compact_rows: RowsOf) -> None:
    """Writes the rows of all facts into `table`, at the places they have."""
    alive = store.catalogue.alive()
    for start in range(0, len(alive), FACTS_PER_BATCH):
        ordinals = alive[start : start + FACTS_PER_BATCH]
        packed, num_rows = compact_rows(store.catalogue.rows(ordinals))
        if not np.array_equal(num_rows, store.num_rows[ordinals]):
            raise ValueError("the facts' values are now cut into other tokens: export the facts and write them anew")
        ids = expand_rows(store.first_rows[ordinals], num_rows)
        table.write(torch.from_numpy(ids).to(table.weight.device), packed)
