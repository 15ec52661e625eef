"""Batches of a chunk: cut in plain numpy where the chunk is made, packed, sent to the device once, sliced there.

So a training step neither tokenises, nor sorts, nor copies, nor waits for the device to say how many answers there are.

Letters: N facts, Q questions, T tokens, C candidate facts of a question, B batch, R rows of a sequence, U distinct rows
of a batch, P answer positions, W and E token positions of silent questions, S slots a row, F features of a fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import NO_TOKEN, EncodedFacts
from widedeep_kb.memory.writer import fact_features
from widedeep_kb.training.chunk import Chunk

IGNORED = -100


class HostBatch(NamedTuple):
    """B questions in numpy; the rows of facts are places in the chunk's rows.

    Attributes:
        input_ids: [B, T] int32, 0 behind the end.
        lengths: [B] int32, tokens of each sequence.
        answer_places: [P] int32 into the flattened [B, T]: positions whose next token is of the answer.
        silent_places: [W] int32 into the flattened [B, T]: tokens of questions that no fact in memory answers.
        silent_ends: [E] int32 into the flattened [B, T]: of those, the places where an answer begins or goes on.
        used_rows: [U] int32, distinct rows.
        row_index: [B, R] int32 into `used_rows`; U = no row.
        row_weights: [B, R] float16, weight of the hit that brought each row.
        is_target: [B, R] bool, rows of the fact that answers, or of both that do.
        silent: [B] bool.
        classes: [B] int16.
        question_ids: [B] int32, places in the chunk.
    """

    input_ids: np.ndarray
    lengths: np.ndarray
    answer_places: np.ndarray
    silent_places: np.ndarray
    silent_ends: np.ndarray
    used_rows: np.ndarray
    row_index: np.ndarray
    row_weights: np.ndarray
    is_target: np.ndarray
    silent: np.ndarray
    classes: np.ndarray
    question_ids: np.ndarray


class Batch(NamedTuple):
    """B questions with the rows of the facts in memory for each, on the LLM's device.

    Attributes:
        input_ids: [B, T] int64.
        lengths: [B] int64, tokens of each sequence.
        answer_places, silent_places, silent_ends: [P], [W], [E] int64, see `HostBatch`.
        features: [U, F] states of the fact of each distinct row.
        chunk_tokens, chunk_cues, chunk_starts: [U, S], [U, S, 3], [U] int64, see `EncodedFacts`.
        row_index: [B, R] int64 into the U rows; U = no row.
        row_weights: [B, R] float32, weight of the hit that brought each row.
        is_target: [B, R] bool, rows of the fact that answers, or of both that do.
        silent: [B] bool.
        classes: [B] int64.
        question_ids: [B] int64, places in the chunk.
    """

    input_ids: Tensor
    lengths: Tensor
    answer_places: Tensor
    silent_places: Tensor
    silent_ends: Tensor
    features: Tensor
    chunk_tokens: Tensor
    chunk_cues: Tensor
    chunk_starts: Tensor
    row_index: Tensor
    row_weights: Tensor
    is_target: Tensor
    silent: Tensor
    classes: Tensor
    question_ids: Tensor

    @property
    def answer_tokens(self) -> Tensor:
        """[P] int64, the token to be said at each answer position."""
        return self.input_ids.flatten().index_select(0, self.answer_places + 1)

    @property
    def answer_sequences(self) -> Tensor:
        """[P] int64, the sequence of each answer position."""
        return torch.div(self.answer_places, self.input_ids.shape[1], rounding_mode="floor")

    @property
    def labels(self) -> Tensor:
        """[B, T] int64, the next token at answer positions, IGNORED elsewhere."""
        labels = torch.full_like(self.input_ids, IGNORED).flatten()
        return labels.index_copy(0, self.answer_places, self.answer_tokens).view_as(self.input_ids)


class Cutter:
    """Cuts a chunk into length-bucketed batches, in numpy.

    Args:
        chunk: the examples.
        batch_size: B.
        max_rows: most rows of a sequence; the last candidates are dropped where there are more, never the target.
    """

    def __init__(self, chunk: Chunk, *, batch_size: int, max_rows: int = 64) -> None:
        self.chunk, self.batch_size, self.max_rows = chunk, batch_size, max_rows
        self.lengths = (chunk.input_ids != NO_TOKEN).sum(axis=1)
        self.row_starts = np.concatenate([[0], np.cumsum(chunk.facts.num_rows)])

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-len(self.chunk) // self.batch_size)

    def shuffled(self, rng: np.random.Generator, *, buckets: int = 32) -> Iterator[HostBatch]:
        """One pass in random order; questions of similar length and memory size share a batch."""
        order = rng.permutation(len(self.chunk))
        num_facts = (self.chunk.candidates != NO_TOKEN).sum(axis=1)
        batches = []
        for window in _parts(order, self.batch_size * buckets):
            by_length = window[np.argsort(self.lengths[window], kind="stable")]
            for group in _parts(by_length, self.batch_size * 4):
                batches += _parts(group[np.argsort(num_facts[group], kind="stable")], self.batch_size)
        for i in rng.permutation(len(batches)):
            yield self.batch(batches[i])

    def in_order(self) -> Iterator[HostBatch]:
        """One pass sorted by length, every question once."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), self.batch_size):
            yield self.batch(order[start : start + self.batch_size])

    def batch(self, questions: np.ndarray) -> HostBatch:
        """The batch of the given question ids [B]."""
        chunk, lengths = self.chunk, self.lengths[questions]
        width = int(lengths.max())
        ids, positions = chunk.input_ids[questions, :width], np.arange(width)
        is_token = positions[None] < lengths[:, None]
        silent, starts = chunk.silent[questions], chunk.answer_starts[questions, None]
        is_answer = np.zeros_like(is_token)
        is_answer[:, :-1] = (positions[None, 1:] >= starts) & is_token[:, 1:] & ~silent[:, None]
        is_silent = is_token & silent[:, None]
        rows, facts, weights = self._rows(questions)
        used, local = np.unique(rows, return_inverse=True)
        local = local.reshape(rows.shape)
        if used[0] == NO_TOKEN:
            used, local = used[1:], np.where(rows == NO_TOKEN, len(used) - 1, local - 1)
        return HostBatch(
            input_ids=np.maximum(ids, 0).astype(np.int32),
            lengths=lengths.astype(np.int32),
            answer_places=np.flatnonzero(is_answer).astype(np.int32),
            silent_places=np.flatnonzero(is_silent).astype(np.int32),
            silent_ends=np.flatnonzero(is_silent & (positions[None] >= starts - 1)).astype(np.int32),
            used_rows=used.astype(np.int32),
            row_index=local.astype(np.int32),
            row_weights=weights.astype(np.float16),
            is_target=self._is_target(facts, questions),
            silent=silent,
            classes=chunk.classes[questions].astype(np.int16),
            question_ids=questions.astype(np.int32),
        )

    def _is_target(self, facts: np.ndarray, questions: np.ndarray) -> np.ndarray:
        """Which of the facts [B, C] in the memory of questions [B] answer them."""
        targets, second_targets = self.chunk.targets[questions, None], self.chunk.second_targets[questions, None]
        return ((facts == targets) | (facts == second_targets)) & (facts != NO_TOKEN)

    def _rows(self, questions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, their facts and hit weights [B, R] of each question's candidates, NO_TOKEN padded, targets first."""
        candidates = self.chunk.candidates[questions]
        is_target = self._is_target(candidates, questions)
        order = np.argsort(~is_target, axis=1, kind="stable")
        candidates = np.take_along_axis(candidates, order, axis=1)
        hit_weights = np.take_along_axis(self.chunk.weights[questions].astype(np.float32), order, axis=1)
        counts = np.where(candidates == NO_TOKEN, 0, self.chunk.facts.num_rows[candidates])
        totals = counts.cumsum(axis=1)
        num_target_rows = np.where(np.take_along_axis(is_target, order, axis=1), counts, 0).sum(axis=1)
        limits = np.maximum(self.max_rows, num_target_rows)
        counts = np.where(totals <= limits[:, None], counts, 0)
        totals = counts.cumsum(axis=1)
        width = max(1, int(totals[:, -1].max(initial=1)))
        flat = np.repeat(candidates.ravel(), counts.ravel())
        ends = counts.ravel().cumsum()
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts.ravel(), counts.ravel())
        facts = np.full((len(questions), width), NO_TOKEN, dtype=np.int64)
        rows = np.full((len(questions), width), NO_TOKEN, dtype=np.int64)
        is_filled = np.arange(width)[None] < totals[:, -1:]
        facts[is_filled] = flat
        rows[is_filled] = self.row_starts[flat] + inside
        weights = np.zeros(rows.shape, dtype=np.float32)
        weights[is_filled] = np.repeat(hit_weights.ravel(), counts.ravel())
        return rows, facts, weights


@dataclass(frozen=True)
class PackedBatches:
    """Many batches with the facts they need, as few large arrays: cheap to send between processes and to a device.

    Attributes:
        facts: N encoded facts.
        arrays: field of `HostBatch` -> the values of all batches, one behind the other.
        shapes: field of `HostBatch` -> the shape it has in each batch.
        num_tokens: tokens in each batch, padding not counted.
    """

    facts: EncodedFacts
    arrays: dict[str, np.ndarray]
    shapes: dict[str, list[tuple[int, ...]]]
    num_tokens: list[int]

    @classmethod
    def pack(cls, facts: EncodedFacts, batches: Iterable[HostBatch]) -> PackedBatches:
        """Pack at least one batch."""
        found = list(batches)
        parts = {name: [getattr(batch, name) for batch in found] for name in HostBatch._fields}
        return cls(
            facts=facts,
            arrays={name: np.concatenate([a.ravel() for a in arrays]) for name, arrays in parts.items()},
            shapes={name: [a.shape for a in arrays] for name, arrays in parts.items()},
            num_tokens=[int(batch.lengths.sum()) for batch in found],
        )

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.num_tokens)

    def on_device(self, lm: FrozenLM, *, writer_layers: tuple[int, ...]) -> Iterator[Batch]:
        """The batches on the LLM's device, whose lower layers run once over the facts first."""
        rows = FactRows(self.facts, lm, writer_layers=writer_layers)
        flat = {name: to_device(array, lm.device) for name, array in self.arrays.items()}
        places = dict.fromkeys(flat, 0)
        for i in range(len(self)):
            fields = {}
            for name, tensor in flat.items():
                shape = self.shapes[name][i]
                size = int(np.prod(shape))
                fields[name] = tensor[places[name] : places[name] + size].view(shape)
                places[name] += size
            yield rows.batch(fields)


class FactRows:
    """The facts of a chunk on the LLM's device, with the LLM's states of each.

    Args:
        facts: N encoded facts.
        lm: its lower layers run once over them.
        writer_layers: decoder layers whose states are taken.
    """

    def __init__(self, facts: EncodedFacts, lm: FrozenLM, *, writer_layers: tuple[int, ...]) -> None:
        self.features = fact_features(lm, facts, layers=writer_layers)
        names = ("chunk_tokens", "chunk_cues", "chunk_starts", "chunk_facts")
        self.tokens, self.cues, self.starts, self.facts = (to_device(getattr(facts, n), lm.device) for n in names)

    def batch(self, fields: dict[str, Tensor]) -> Batch:
        """A batch from the tensors of a `HostBatch`."""
        used = fields.pop("used_rows").long()
        longs = {n: t.long() for n, t in fields.items() if not t.is_floating_point() and t.dtype != torch.bool}
        return Batch(
            **{**fields, **longs, "row_weights": fields["row_weights"].float()},
            features=self.features.index_select(0, self.facts.index_select(0, used)),
            chunk_tokens=self.tokens.index_select(0, used).long(),
            chunk_cues=self.cues.index_select(0, used).long(),
            chunk_starts=self.starts.index_select(0, used).long(),
        )


class ChunkBatches:
    """Batches of one chunk on the LLM's device.

    Args:
        chunk: the examples.
        lm: gives the states of the facts (its lower layers run once over the chunk).
        writer_layers: decoder layers whose states are taken.
        batch_size: B.
        max_rows: most rows of a sequence.
    """

    def __init__(
        self, chunk: Chunk, lm: FrozenLM, *, writer_layers: tuple[int, ...], batch_size: int, max_rows: int = 64
    ) -> None:
        self.chunk, self.lm = chunk, lm
        self.cutter = Cutter(chunk, batch_size=batch_size, max_rows=max_rows)
        self.rows = FactRows(chunk.facts, lm, writer_layers=writer_layers)

    def __len__(self) -> int:
        """Batches in one pass."""
        return len(self.cutter)

    def shuffled(self, rng: np.random.Generator, *, buckets: int = 32) -> Iterator[Batch]:
        """See `Cutter.shuffled`."""
        yield from map(self._batch, self.cutter.shuffled(rng, buckets=buckets))

    def in_order(self) -> Iterator[Batch]:
        """See `Cutter.in_order`."""
        yield from map(self._batch, self.cutter.in_order())

    def batch(self, questions: np.ndarray) -> Batch:
        """The batch of the given question ids [B]."""
        return self._batch(self.cutter.batch(questions))

    def _batch(self, host: HostBatch) -> Batch:
        return self.rows.batch({name: to_device(array, self.lm.device) for name, array in host._asdict().items()})


def to_device(array: np.ndarray, device: torch.device) -> Tensor:
    """`array` as a tensor on `device`; the copy to a GPU is from pinned memory."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _parts(items: np.ndarray, size: int) -> list[np.ndarray]:
    """Consecutive pieces of at most `size` items."""
    return [items[i : i + size] for i in range(0, len(items), size)]
