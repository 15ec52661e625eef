"""Batches for reader training: an endless stream of chunks, and fixed chunks for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import IterableDataset

from widedeep_kb.lm import FrozenLM
from widedeep_kb.training.batches import Batch, Cutter, PackedBatches
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.recipe import Ingredients, Recipe, chunk_stream


@dataclass(frozen=True)
class Batching:
    """How a worker cuts a chunk into batches.

    Attributes:
        batch_size: questions in a batch.
        passes: how often the chunk is gone through, in another order each time.
        max_rows: most rows in memory for a question.
    """

    batch_size: int
    passes: int = 1
    max_rows: int = 64

    def __call__(self, chunk: Chunk, seed: int) -> PackedBatches:
        """The chunk's batches; the last one of a pass, which may be small, is left out if there are others."""
        cutter = Cutter(chunk, batch_size=self.batch_size, max_rows=self.max_rows)
        rng = np.random.default_rng(seed)
        found = [batch for _ in range(self.passes) for batch in cutter.shuffled(rng)]
        whole = [batch for batch in found if len(batch.lengths) == self.batch_size]
        return PackedBatches.pack(chunk.facts, whole or found)


class ChunkStream(IterableDataset):
    """An endless stream of ready batches on the LLM's device.

    Args:
        lm: gives the states of the facts.
        ingredients, recipe: of the chunks.
        batching: how they are cut.
        writer_layers: of the reader.
        seed: seed of the first chunk.
        num_workers: processes that make chunks.
    """

    def __init__(
        self,
        lm: FrozenLM,
        ingredients: Ingredients,
        recipe: Recipe,
        *,
        batching: Batching,
        writer_layers: Sequence[int],
        seed: int = 0,
        num_workers: int = 2,
    ) -> None:
        self.lm, self.ingredients, self.recipe, self.batching = lm, ingredients, recipe, batching
        self.writer_layers, self.seed, self.num_workers = tuple(writer_layers), seed, num_workers
        self.num_chunks, self.num_tokens, self.num_answers, self.num_fact_tokens = 0, 0, 0, 0

    def __iter__(self) -> Iterator[Batch]:
        """Batches, chunk after chunk; a resumed run goes on with the chunks it has not seen."""
        first = self.seed * 1_000_003 + self.num_chunks
        chunks = chunk_stream(
            self.ingredients, self.recipe, finish=self.batching, seed=first, num_workers=self.num_workers
        )
        for packed in chunks:
            self.num_chunks += 1
            self.num_fact_tokens += int(packed.facts.prefix_lengths.sum())
            batches = packed.on_device(self.lm, writer_layers=self.writer_layers)
            for batch, num_tokens in zip(batches, packed.num_tokens, strict=True):
                self.num_tokens += num_tokens
                self.num_answers += len(batch.answer_places)
                yield batch

    def floating_point_operations(self, first_adapter: int) -> float:
        """Of the LLM for all batches so far: 2 a weight and token forward, and again backward through the layers above
        the first adapter; attention, norms, adapters and padding are not counted.

        Args:
            first_adapter: decoder layer of the first adapter.
        """
        lm, depth = self.lm, len(self.lm.layers)
        per_layer = sum(p.numel() for p in lm.layers[0].parameters())
        head = 4 * sum(p.numel() for p in lm.output_head.parameters()) * self.num_answers
        facts = 2 * per_layer * (max(self.writer_layers) + 1) * self.num_fact_tokens
        return 2 * per_layer * (2 * depth - first_adapter - 1) * self.num_tokens + head + facts


class FixedBatches:
    """One pass over a chunk, the same batches every time (a sized iterable, as Lightning wants for validation).

    The LLM reads the facts at the first pass.
    """

    def __init__(self, chunk: Chunk, lm: FrozenLM, *, writer_layers: Sequence[int], batch_size: int) -> None:
        self.cutter = Cutter(chunk, batch_size=batch_size)
        self.lm, self.writer_layers = lm, tuple(writer_layers)
        self.batches: list[Batch] = []

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.cutter)

    def __iter__(self) -> Iterator[Batch]:
        """The batches, shortest questions first."""
        if not self.batches:
            packed = PackedBatches.pack(self.cutter.chunk.facts, self.cutter.in_order())
            self.batches = list(packed.on_device(self.lm, writer_layers=self.writer_layers))
        return iter(self.batches)


class ReaderData(pl.LightningDataModule):
    """Training stream and validation chunks.

    Args:
        stream: training batches.
        validation: chunks, each reported under its own class names.
    """

    def __init__(self, stream: ChunkStream, validation: Sequence[Chunk]) -> None:
        super().__init__()
        self.stream, self.validation = stream, list(validation)
        self._fixed: list[FixedBatches] | None = None

    def train_dataloader(self) -> ChunkStream:
        """The stream itself: it yields whole batches."""
        return self.stream

    def val_dataloader(self) -> list[FixedBatches]:
        """One sized iterable a chunk."""
        if self._fixed is None:
            self._fixed = [
                FixedBatches(c, self.stream.lm, writer_layers=self.stream.writer_layers, batch_size=256)
                for c in self.validation
            ]
        return self._fixed

    def transfer_batch_to_device(self, batch: Batch, device: object, dataloader_idx: int) -> Batch:
        """Batches are made on the LLM's device."""
        return batch

    def class_name(self, dataloader_idx: int, class_id: int) -> str:
        """Name of a class of a validation chunk."""
        return self.validation[dataloader_idx].class_names[class_id]

    def state_dict(self) -> dict:
        """Number of chunks used, so that a resumed run sees fresh ones."""
        return {"num_chunks": self.stream.num_chunks}

    def load_state_dict(self, state_dict: dict) -> None:
        """See `state_dict`."""
        self.stream.num_chunks = state_dict["num_chunks"]
