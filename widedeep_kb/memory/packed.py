"""A wide table of packed rows: quantised, or stored as what they were made of. It is served from, not trained.

In: row numbers. Out: float rows, decoded as they are looked up. How rows are packed is a codec's business (`quantised`,
`compact`); which row has which number, and what is live, is as in `WideTable`.
Letters: N rows asked for, R rows of capacity, D numbers in a row, B bytes of a packed row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from widedeep_kb.memory.compact import NAME as COMPACT
from widedeep_kb.memory.compact import CompactCodec
from widedeep_kb.memory.config import ROW_FORMATS
from widedeep_kb.memory.encoding import EncodedFacts
from widedeep_kb.memory.quantised import QuantisedCodec
from widedeep_kb.memory.rows import RowAllocator
from widedeep_kb.memory.wide import FLOAT_FORMATS, WideTable, jagged_rows, stored_allocator
from widedeep_kb.memory.writer import Writer

if TYPE_CHECKING:
    from torchrec import JaggedTensor


class RowCodec(Protocol):
    """Packs rows and reads them.

    Attributes:
        name: of the row format.
        embedding_dim: D.
        row_bytes: B.
    """

    name: str
    embedding_dim: int
    row_bytes: int

    def encode(self, values: Tensor) -> Tensor:
        """Uint8 [N, B] of float rows [N, D]; ValueError where rows cannot be packed from their numbers."""

    def rows(self, packed: Tensor, row_ids: Tensor) -> Tensor:
        """Float32 [N, D] by number (int64 [N]) from packed rows [R, B]; zeros where there is no such row."""


class PackedTable(WideTable):
    """A `WideTable` whose `weight` is uint8 [R, B]; no optimizer state, no gradients.

    Args:
        codec: packs and reads the rows.
        capacity: rows to begin with.
        device: where they are kept.
    """

    def __init__(self, codec: RowCodec, capacity: int = 1024, *, device: torch.device | str = "cpu") -> None:
        nn.Module.__init__(self)
        self.codec = codec
        self.allocator = RowAllocator(capacity)
        rows, device = self.allocator.capacity, torch.device(device)
        packed = torch.zeros(rows, codec.row_bytes, dtype=torch.uint8, device=device)
        self._hold(packed, momentum=torch.zeros(0, device=device), is_live=packed.new_zeros(rows, dtype=torch.bool))

    @property
    def weight(self) -> Tensor:
        """uint8 [R, B] the packed rows themselves."""
        return self.packed

    @property
    def embedding_dim(self) -> int:
        """D, numbers in a row as it is read."""
        return self.codec.embedding_dim

    @property
    def row_format(self) -> str:
        """The codec's name."""
        return self.codec.name

    @property
    def pack(self) -> Callable[[EncodedFacts, Tensor], Tensor] | None:
        """See `WideTable.pack`."""
        return self.codec.pack if isinstance(self.codec, CompactCodec) else None

    def storable(self, values: Tensor, *, num_rows: int) -> Tensor:
        """Uint8 [num_rows, B] of float rows [num_rows, D], or of packed rows as they are.

        Raises:
            ValueError: another shape, numbers that are not finite, or float rows where they cannot be packed.
        """
        shape = (num_rows, self.codec.row_bytes if values.dtype == torch.uint8 else self.embedding_dim)
        if values.shape != shape:
            raise ValueError(f"values must be {shape}, got {tuple(values.shape)}")
        if values.dtype == torch.uint8:
            return values.detach().to(self.weight.device)
        is_bad = ~torch.isfinite(values).all(dim=1)
        if is_bad.any():
            raise ValueError(f"row {int(is_bad.int().argmax())} of the values is not finite")
        return self.codec.encode(values.detach().to(self.weight.device))

    def lookup_rows(self, row_ids: Tensor) -> Tensor:
        """See `WideTable.lookup_rows`."""
        self.check_live(row_ids)
        return self.known_rows(row_ids)

    def known_rows(self, row_ids: Tensor) -> Tensor:
        """See `WideTable.known_rows`."""
        return self.codec.rows(self.weight, row_ids)

    def check_trainable(self) -> None:
        """Raises ValueError: packed rows cannot be trained."""
        raise ValueError(
            f"rows stored as {self.row_format} cannot be trained: convert them first, for instance with "
            "`widedeep-kb rewrite --memory DIR --row-format fp16`"
        )

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], codec: RowCodec, *, device: torch.device | str = "cpu"
    ) -> PackedTable:
        """A table from `state_tensors()`; rows on the CPU are taken over without a copy, as in `WideTable`.

        Raises:
            ValueError: a missing tensor, or tensors that contradict each other or the codec.
        """
        allocator = stored_allocator(tensors, {"rows": torch.uint8, "is_live": torch.bool})
        rows = tensors["rows"]
        if rows.ndim != 2 or rows.shape[1] != codec.row_bytes:
            raise ValueError(f"rows of shape {tuple(rows.shape)} are not {codec.row_bytes} bytes of {codec.name} each")
        table = cls(codec, 1, device=device)
        table.allocator = allocator
        is_live = tensors["is_live"].to(device).contiguous()
        table._hold(rows.to(device).contiguous(), momentum=table.momentum, is_live=is_live)
        return table

    def _collect(self, values: Tensor, lengths: Tensor) -> JaggedTensor:
        return jagged_rows(self.known_rows(values), lengths)

    def _forget_training(self, row_ids: Tensor) -> None:
        """There is no optimizer state."""

    def _hold(self, weight: Tensor, *, momentum: Tensor, is_live: Tensor) -> None:
        """Makes these tensors the storage: packed rows uint8 [R, B], is_live bool [R]."""
        self.register_buffer("packed", weight)
        self.register_buffer("momentum", momentum[:0])
        self.register_buffer("is_live", is_live)


def codec_for(
    row_format: str, embedding_dim: int, *, writer: Writer | None = None, embedding_weight: Tensor | None = None
) -> RowCodec | None:
    """The codec of a row format; None for rows of floats.

    Args:
        row_format: a name in `memory.config.ROW_FORMATS`.
        embedding_dim: D.
        writer, embedding_weight: of the reader and the LLM; "compact" needs them.

    Raises:
        ValueError: no such format, or what it needs is missing.
    """
    if row_format in FLOAT_FORMATS:
        return None
    if row_format in ("int8", "int4"):
        return QuantisedCodec(embedding_dim, num_bits=int(row_format[3:]))
    if row_format != COMPACT:
        raise ValueError(f"row format must be one of {', '.join(ROW_FORMATS)}, got {row_format!r}")
    if writer is None or embedding_weight is None:
        raise ValueError("compact rows can only be read with the writer that made them")
    return CompactCodec(writer, embedding_weight)


def make_table(
    row_format: str, embedding_dim: int, *, codec: RowCodec | None = None, device: torch.device | str = "cpu"
) -> WideTable:
    """An empty table of a row format; `codec` is that of `codec_for`."""
    if codec is None:
        return WideTable(embedding_dim=embedding_dim, device=device, dtype=FLOAT_FORMATS[row_format])
    return PackedTable(codec, device=device)
