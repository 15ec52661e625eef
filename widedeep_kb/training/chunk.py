"""Pre-tokenised training examples: a chunk of facts with questions about them, and the batches cut from it.

A chunk is made in a worker process (plain numpy), gets the LLM's states of its facts once, and then serves batches
without any tokenising or Python per example.

Letters: N facts, Q questions, T tokens, C candidate facts of a question, B batch, R rows of a sequence, U distinct rows
of a batch, S slots a row, F features of a fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import NO_TOKEN, EncodedFacts
from widedeep_kb.memory.writer import fact_features

IGNORED = -100


@dataclass(frozen=True)
class Chunk:
    """Facts and questions.

    Attributes:
        facts: N encoded facts.
        input_ids: [Q, T] int32, prompt and answer, left aligned, NO_TOKEN behind.
        answer_starts: [Q] int32, index of the first answer token; the answer is everything from there on.
        candidates: [Q, C] int64, facts in memory when the question is asked, NO_TOKEN = none.
        weights: [Q, C] float16, weight of the hit that brought each candidate; 0 where the index did not return it.
        targets: [Q] int64, the fact that answers; NO_TOKEN where no single fact does.
        silent: [Q] bool, questions that no candidate answers: memory must add nothing.
        classes: [Q] int16, the class a question is reported under (index into `class_names`).
        class_names: names of the classes.
    """

    facts: EncodedFacts
    input_ids: np.ndarray
    answer_starts: np.ndarray
    candidates: np.ndarray
    weights: np.ndarray
    targets: np.ndarray
    silent: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of questions Q."""
        return len(self.targets)

    def save(self, path: Path) -> None:
        """Write the chunk as one compressed .npz file."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("facts", "class_names")}
        facts = {f"facts.{f.name}": getattr(self.facts, f.name) for f in fields(self.facts)}
        np.savez_compressed(path, class_names=np.array(self.class_names), **own, **facts)

    @classmethod
    def load(cls, path: Path) -> Chunk:
        """Read a chunk written by `save`."""
        with np.load(path) as arrays:
            facts = EncodedFacts(**{f.name: arrays[f"facts.{f.name}"] for f in fields(EncodedFacts)})
            names = tuple(arrays["class_names"].tolist())
            own = {f.name: arrays[f.name] for f in fields(cls) if f.name not in ("facts", "class_names")}
        return cls(facts=facts, class_names=names, **own)


class Batch(NamedTuple):
    """B questions with the rows of the facts in memory for each.

    Attributes:
        input_ids: [B, T] int64.
        labels: [B, T] int64, the next token at answer positions, IGNORED elsewhere.
        lengths: [B] int64, tokens of each sequence.
        features: [U, F] states of the fact of each distinct row.
        chunk_tokens, chunk_cues, chunk_starts: [U, S], [U, S, 3], [U] int64, see `EncodedFacts`.
        row_index: [B, R] int64 into the U rows; U = no row.
        row_weights: [B, R] float32, weight of the hit that brought each row.
        is_target: [B, R] bool, rows of the fact that answers.
        silent: [B] bool.
        classes: [B] int64.
        question_ids: [B] int64, places in the chunk.
    """

    input_ids: Tensor
    labels: Tensor
    lengths: Tensor
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


class ChunkBatches:
    """Batches of one chunk on the LLM's device, length-bucketed.

    Args:
        chunk: the examples.
        lm: gives the states of the facts (its lower layers run once over the chunk).
        writer_layers: decoder layers whose states are taken.
        batch_size: B.
        max_rows: most rows of a sequence; the last candidates are dropped where there are more, never the target.
    """

    def __init__(
        self, chunk: Chunk, lm: FrozenLM, *, writer_layers: tuple[int, ...], batch_size: int, max_rows: int = 64
    ) -> None:
        self.chunk, self.batch_size, self.max_rows = chunk, batch_size, max_rows
        self.device = lm.device
        self.features = fact_features(lm, chunk.facts, layers=writer_layers)
        self.lengths = (chunk.input_ids != NO_TOKEN).sum(axis=1)
        self.row_starts = np.concatenate([[0], np.cumsum(chunk.facts.num_rows)])

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-len(self.chunk) // self.batch_size)

    def shuffled(self, rng: np.random.Generator, *, buckets: int = 32) -> Iterator[Batch]:
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

    def in_order(self) -> Iterator[Batch]:
        """One pass sorted by length, every question once."""
        order = np.argsort(self.lengths, kind="stable")
        for start in range(0, len(order), self.batch_size):
            yield self.batch(order[start : start + self.batch_size])

    def batch(self, questions: np.ndarray) -> Batch:
        """The batch of the given question ids [B]."""
        chunk = self.chunk
        width = int(self.lengths[questions].max())
        ids = chunk.input_ids[questions, :width].astype(np.int64)
        positions = np.arange(width)
        labels = np.full_like(ids, IGNORED)
        next_ids = ids[:, 1:]
        is_answer = (positions[None, 1:] >= chunk.answer_starts[questions, None]) & (next_ids != NO_TOKEN)
        labels[:, :-1] = np.where(is_answer, next_ids, IGNORED)
        rows, facts, weights = self._rows(questions)
        used, local = np.unique(rows, return_inverse=True)
        local = local.reshape(rows.shape)
        if used[0] == NO_TOKEN:
            used, local = used[1:], np.where(rows == NO_TOKEN, len(used) - 1, local - 1)
        encoded = chunk.facts
        arrays = {
            "input_ids": np.maximum(ids, 0),
            "labels": labels,
            "lengths": self.lengths[questions],
            "chunk_tokens": encoded.chunk_tokens[used].astype(np.int64),
            "chunk_cues": encoded.chunk_cues[used].astype(np.int64),
            "chunk_starts": encoded.chunk_starts[used].astype(np.int64),
            "row_index": local,
            "row_weights": weights,
            "is_target": (facts == chunk.targets[questions, None]) & (facts != NO_TOKEN),
            "silent": chunk.silent[questions],
            "classes": chunk.classes[questions].astype(np.int64),
            "question_ids": questions.astype(np.int64),
        }
        tensors = {name: self._to_device(array) for name, array in arrays.items()}
        features = self.features[self._to_device(encoded.chunk_facts[used])]
        return Batch(features=features, **tensors)

    def _to_device(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def _rows(self, questions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, their facts and hit weights [B, R] of each question's candidates, NO_TOKEN padded, the target first."""
        candidates = self.chunk.candidates[questions]
        targets = self.chunk.targets[questions]
        is_target = (candidates == targets[:, None]) & (candidates != NO_TOKEN)
        order = np.argsort(~is_target, axis=1, kind="stable")
        candidates = np.take_along_axis(candidates, order, axis=1)
        hit_weights = np.take_along_axis(self.chunk.weights[questions].astype(np.float32), order, axis=1)
        counts = np.where(candidates == NO_TOKEN, 0, self.chunk.facts.num_rows[candidates])
        totals = counts.cumsum(axis=1)
        limits = np.maximum(self.max_rows, np.where(is_target.any(axis=1), counts[:, 0], 0))
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


def _parts(items: np.ndarray, size: int) -> list[np.ndarray]:
    """Consecutive pieces of at most `size` items."""
    return [items[i : i + size] for i in range(0, len(items), size)]
