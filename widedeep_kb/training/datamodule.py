"""Batches for reader training: an endless stream of chunks, and fixed chunks for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import IterableDataset

from widedeep_kb.lm import FrozenLM
from widedeep_kb.training.chunk import Batch, Chunk, ChunkBatches
from widedeep_kb.training.recipe import Ingredients, Recipe, chunk_stream


class ChunkStream(IterableDataset):
    """An endless stream of ready batches on the LLM's device.

    Args:
        lm: gives the states of the facts.
        ingredients, recipe: of the chunks.
        writer_layers: of the reader.
        batch_size: questions in a batch.
        seed: seed of the first chunk.
        num_workers: processes that make chunks.
        passes: how often a chunk is gone through before the next.
        max_rows: most rows in memory for a question.
    """

    def __init__(
        self,
        lm: FrozenLM,
        ingredients: Ingredients,
        recipe: Recipe,
        *,
        writer_layers: Sequence[int],
        batch_size: int,
        seed: int = 0,
        num_workers: int = 2,
        passes: int = 1,
        max_rows: int = 64,
    ) -> None:
        self.lm, self.ingredients, self.recipe = lm, ingredients, recipe
        self.writer_layers, self.batch_size, self.max_rows = tuple(writer_layers), batch_size, max_rows
        self.seed, self.num_workers, self.passes = seed, num_workers, passes
        self.num_chunks = 0

    def __iter__(self) -> Iterator[Batch]:
        """Batches, chunk after chunk; a resumed run goes on with the chunks it has not seen."""
        first = self.seed * 1_000_003 + self.num_chunks
        for chunk in chunk_stream(self.ingredients, self.recipe, seed=first, num_workers=self.num_workers):
            self.num_chunks += 1
            batches = ChunkBatches(
                chunk, self.lm, writer_layers=self.writer_layers, batch_size=self.batch_size, max_rows=self.max_rows
            )
            rng = np.random.default_rng(first + self.num_chunks)
            for _ in range(self.passes):
                yield from batches.shuffled(rng)


class FixedBatches:
    """One pass over a chunk, the same batches every time (a sized iterable, as Lightning wants for validation)."""

    def __init__(self, chunk: Chunk, lm: FrozenLM, *, writer_layers: Sequence[int], batch_size: int) -> None:
        self.batches = ChunkBatches(chunk, lm, writer_layers=tuple(writer_layers), batch_size=batch_size)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        """The batches, shortest questions first."""
        return self.batches.in_order()


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
