"""The smallest rows: what a row was made of instead of its numbers, which are made again whenever it is read.

In: token ids of a value and what the LLM makes of its fact. Out: bytes, and from them the rows that the writer makes.
A row is a function of the value's tokens (those of the row and the three before them), the row's place in the value,
and one vector of the fact; that vector is all that is quantised. What is a function of single tokens is kept in tables
over the vocabulary, so that reading takes gathers and additions but no product with a matrix.

Letters: N rows asked for, R rows stored, S = 8 slots a row, W slot width, B bytes of a packed row, V tokens, H hidden
size of the LLM.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from widedeep_kb.memory.encoding import NUM_CUES, SLOTS_PER_ROW, EncodedFacts
from widedeep_kb.memory.gather import check_gather, found_rows
from widedeep_kb.memory.quantised import SCALE_BYTES, dequantise, quantise
from widedeep_kb.memory.writer import Writer, token_features

NAME = "compact"
NUM_TOKENS = NUM_CUES + SLOTS_PER_ROW  # of a row: three before it, and its own
SEMANTIC_BITS = 4
_TOKENS_PER_BATCH = 4096


class CompactCodec:
    """Rows of one writer, stored as token ids, place and quantised vector.

    A packed row: the vector's codes, scale and bias; 11 token ids plus one (0 = no token, so that a row of zero bytes
    is a row without slots), low byte first, in two bytes or, for a vocabulary of 65,535 and more, three; the row's
    place in the value; zeros up to a multiple of 4 bytes.

    Args:
        writer: made the rows; it must not change while this is used.
        embedding_weight: [V, H], the LLM's input embeddings.
        num_bits: of the vector's numbers, 4 or 8.
    """

    name = NAME

    def __init__(self, writer: Writer, embedding_weight: Tensor, *, num_bits: int = SEMANTIC_BITS) -> None:
        self.embedding_dim, self.num_bits = writer.row_width, num_bits
        self.token_bytes = 2 if embedding_weight.shape[0] < (1 << 16) - 1 else 3
        self.semantic_bytes = writer.slot_width * num_bits // 8 + SCALE_BYTES[num_bits]
        self.row_bytes = -(-(self.semantic_bytes + NUM_TOKENS * self.token_bytes + 1) // 4) * 4
        self._writer, self._embedding_weight = writer, embedding_weight
        self._tables: Tensor | None = None

    def encode(self, values: Tensor) -> Tensor:
        """Refuses: what a row was made of cannot be told from its numbers.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"compact rows are made from facts, not from {len(values)} rows of numbers")

    @torch.no_grad()
    def pack(self, facts: EncodedFacts, features: Tensor) -> Tensor:
        """Packed rows of facts, fact after fact.

        Args:
            facts: R rows' tokens.
            features: [facts, F], the LLM's states.

        Returns:
            uint8 [R, B] on the features' device.
        """
        device = features.device
        semantic = quantise(self._writer.semantic_part(features), num_bits=self.num_bits, num_groups=1)
        before = facts.chunk_cues[:, 0, ::-1]  # cues are nearest first
        tokens = np.concatenate([before, facts.chunk_tokens], axis=1).astype("<i4") + 1
        parts = np.zeros((len(tokens), self.row_bytes - self.semantic_bytes), dtype=np.uint8)
        token_bytes = tokens.view(np.uint8).reshape(*tokens.shape, 4)[..., : self.token_bytes]
        parts[:, : NUM_TOKENS * self.token_bytes] = token_bytes.reshape(len(tokens), -1)
        parts[:, NUM_TOKENS * self.token_bytes] = facts.chunk_starts // SLOTS_PER_ROW
        chunk_facts = torch.from_numpy(facts.chunk_facts).to(device)
        return torch.cat([semantic.index_select(0, chunk_facts), torch.from_numpy(parts).to(device)], dim=1)

    @torch.no_grad()
    def rows(self, packed: Tensor, row_ids: Tensor) -> Tensor:
        """Float32 [N, S x 2W] by number (int64 [N]) from packed rows [R, B]; zeros where there is no such row."""
        check_gather(packed, row_ids)
        return self.unpack(found_rows(packed, row_ids))

    def unpack(self, packed: Tensor) -> Tensor:
        """Float32 [N, S x 2W] of packed rows [N, B]."""
        tables, width = self.tables, self._writer.slot_width
        tokens = self._tokens(packed)
        own, starts = tokens[:, NUM_CUES:], self._starts(packed)
        places = starts[:, None] + torch.arange(SLOTS_PER_ROW, device=packed.device)
        keys = self.semantic(packed)[:, None] + F.embedding(places, self._writer.position)
        for back in range(1, NUM_CUES + 1):
            keys = keys + F.embedding(tokens[:, NUM_CUES - back : NUM_TOKENS - back], tables[back])
        keys = F.layer_norm(keys, (width,)) * (own > 0).unsqueeze(-1)
        return torch.cat([keys, F.embedding(own, tables[0])], dim=-1).flatten(1)

    def semantic(self, packed: Tensor) -> Tensor:
        """Float32 [N, W], the facts' vectors as stored in packed rows [N, B]."""
        return dequantise(packed[:, : self.semantic_bytes], num_bits=self.num_bits, num_groups=1)

    @property
    def tables(self) -> Tensor:
        """Float32 [4, V + 1, W] by token id plus one: layer-normed values, and what each cue adds to a key."""
        device = self._writer.position.device
        if self._tables is None or self._tables.device != device:
            with torch.inference_mode(False), torch.no_grad():
                self._tables = self._make_tables(device)
        return self._tables

    def _make_tables(self, device: torch.device) -> Tensor:
        writer, num_tokens = self._writer, self._embedding_weight.shape[0]
        tables = torch.zeros(1 + NUM_CUES, num_tokens + 1, writer.slot_width, device=device)
        cues = writer.cues.weight.unflatten(1, (NUM_CUES, writer.hidden_size))  # [W, 3, H]
        for ids in torch.arange(num_tokens, device=device).split(_TOKENS_PER_BATCH):
            features = token_features(ids, self._embedding_weight)
            tables[0, ids + 1] = F.layer_norm(writer.value(features), (writer.slot_width,))
            tables[1:, ids + 1] = torch.einsum("vh,wch->cvw", features, cues)
        return tables

    def _tokens(self, packed: Tensor) -> Tensor:
        """int64 [N, 11], token ids plus one."""
        size = self.token_bytes
        stored = (
            packed[:, self.semantic_bytes : self.semantic_bytes + NUM_TOKENS * size].unflatten(1, (-1, size)).long()
        )
        return sum(stored[..., i] << (8 * i) for i in range(size))

    def _starts(self, packed: Tensor) -> Tensor:
        """int64 [N], positions of the rows' first slots."""
        return packed[:, self.semantic_bytes + NUM_TOKENS * self.token_bytes].long() * SLOTS_PER_ROW
