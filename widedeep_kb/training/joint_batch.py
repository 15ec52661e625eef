"""Batches of joint training: cut in plain numpy where the questions are made, sent to the device as few large arrays.

All that depends on the data, such as which positions answer, is counted in numpy, so that a training step never waits
for the GPU to say how many there are.

Letters: B questions, T tokens, R rows of a sequence, P answer positions, W and E token positions of silent questions,
K rows that learn, N rows that are only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from widedeep_kb.training.batches import IGNORED, to_device


class Share(NamedTuple):
    """What part of a step's whole batch is in one device's part; means over the whole are made with it.

    Attributes:
        answers: share of the answer positions.
        evidence: share of the answer positions in questions whose asked fact has rows in the batch.
        silent_tokens, silent_ends: shares of `silent_places` and of `silent_ends`.
    """

    answers: float = 1.0
    evidence: float = 1.0
    silent_tokens: float = 1.0
    silent_ends: float = 1.0


WHOLE, NOTHING = Share(), Share(0.0, 0.0, 0.0, 0.0)


class JointBatch(NamedTuple):
    """B questions with the rows of the table that the index brings; integers are int64.

    Attributes:
        input_ids: [B, T].
        lengths: [B], tokens of each sequence.
        answer_places: [P] into the flattened [B, T]: positions whose next token is of the answer.
        silent_places: [W] into the flattened [B, T]: tokens of prompts that ask for no stored fact.
        silent_ends: [E] into the flattened [B, T]: the last token of each such prompt.
        learning_rows, learning_places: [K] rows of the table that may learn, and their places in the flattened [B, R].
        context_rows, context_places: [N] the other rows that are read, and their places.
        row_weights: [B, R] float32, weight of the hit that brought each row.
        is_target: [B, R] bool, rows of the asked fact.
        silent: [B] bool, prompts that ask for no stored fact.
        classes: [B], into `questions.CLASSES`.
        share: of this part in the step's whole batch; NOTHING = a question that only fills the place of none.
        num_answers: P of the step's whole batch.
    """

    input_ids: Tensor
    lengths: Tensor
    answer_places: Tensor
    silent_places: Tensor
    silent_ends: Tensor
    learning_rows: Tensor
    learning_places: Tensor
    context_rows: Tensor
    context_places: Tensor
    row_weights: Tensor
    is_target: Tensor
    silent: Tensor
    classes: Tensor
    share: Share = WHOLE
    num_answers: int = 0

    @property
    def answer_tokens(self) -> Tensor:
        """[P], the token to be said at each answer position."""
        return self.input_ids.flatten().index_select(0, self.answer_places + 1)

    @property
    def answer_sequences(self) -> Tensor:
        """[P], the sequence of each answer position."""
        return torch.div(self.answer_places, self.input_ids.shape[1], rounding_mode="floor")

    @property
    def labels(self) -> Tensor:
        """[B, T], the next token at answer positions, IGNORED elsewhere."""
        labels = torch.full_like(self.input_ids, IGNORED).flatten()
        return labels.index_copy(0, self.answer_places, self.answer_tokens).view_as(self.input_ids)


def host_batch(
    input_ids: np.ndarray,
    *,
    lengths: np.ndarray,
    answer_starts: np.ndarray,
    row_ids: np.ndarray,
    row_weights: np.ndarray,
    is_target: np.ndarray,
    silent: np.ndarray,
    classes: np.ndarray,
) -> dict[str, np.ndarray]:
    """The fields of a `JointBatch` in numpy.

    Args:
        input_ids: int [B, T], anything behind each sequence's length.
        lengths: int [B].
        answer_starts: int [B], place of the first answer token; the length where there is no answer.
        row_ids: int [B, R] into the table, -1 = no row.
        row_weights: float [B, R].
        is_target: bool [B, R].
        silent: bool [B].
        classes: int [B].
    """
    positions = np.arange(input_ids.shape[1])
    is_token = positions[None] < lengths[:, None]
    is_answer = np.zeros_like(is_token)
    is_answer[:, :-1] = (positions[None, 1:] >= answer_starts[:, None]) & is_token[:, 1:]
    is_row, learns = row_ids.ravel() >= 0, is_target.ravel()
    learning, context = np.flatnonzero(is_row & learns), np.flatnonzero(is_row & ~learns)
    return {
        "input_ids": np.where(is_token, input_ids, 0).astype(np.int32),
        "lengths": lengths.astype(np.int32),
        "answer_places": np.flatnonzero(is_answer).astype(np.int32),
        "silent_places": np.flatnonzero(is_token & silent[:, None]).astype(np.int32),
        "silent_ends": (np.flatnonzero(silent) * input_ids.shape[1] + lengths[silent] - 1).astype(np.int32),
        "learning_rows": row_ids.ravel()[learning],
        "learning_places": learning.astype(np.int32),
        "context_rows": row_ids.ravel()[context],
        "context_places": context.astype(np.int32),
        "row_weights": row_weights.astype(np.float32),
        "is_target": is_target,
        "silent": silent,
        "classes": classes.astype(np.int16),
    }


def share_of(part: dict[str, np.ndarray], whole: dict[str, np.ndarray]) -> Share:
    """What share of the batch `whole` is in `part`, both made by `host_batch`."""
    return Share(*(float(a) / max(float(b), 1.0) for a, b in zip(_counts(part), _counts(whole), strict=True)))


def _counts(batch: dict[str, np.ndarray]) -> tuple[int, int, int, int]:
    """What the means of the loss are over, in the order of `Share`."""
    places, has_target = batch["answer_places"], batch["is_target"].any(axis=1)
    num_evident = int(has_target[places // batch["input_ids"].shape[1]].sum())
    return len(places), num_evident, len(batch["silent_places"]), len(batch["silent_ends"])


@dataclass(frozen=True)
class PackedJoint:
    """Several batches as few large arrays: cheap to send between processes and to a device.

    Attributes:
        arrays: field of `JointBatch` -> the values of all batches, one behind the other.
        shapes: field of `JointBatch` -> the shape it has in each batch.
        shares: share and number of answer positions of each batch (see `JointBatch`).
    """

    arrays: dict[str, np.ndarray]
    shapes: dict[str, list[tuple[int, ...]]]
    shares: list[tuple[Share, int]]

    @classmethod
    def pack(
        cls, batches: Sequence[dict[str, np.ndarray]], shares: Sequence[tuple[Share, int]] | None = None
    ) -> PackedJoint:
        """Pack what `host_batch` made, at least one; without `shares` each is a whole batch."""
        names = [name for name in JointBatch._fields if name in batches[0]]
        parts = {name: [batch[name] for batch in batches] for name in names}
        return cls(
            arrays={name: np.concatenate([a.ravel() for a in arrays]) for name, arrays in parts.items()},
            shapes={name: [a.shape for a in arrays] for name, arrays in parts.items()},
            shares=list(shares or [(WHOLE, len(batch["answer_places"])) for batch in batches]),
        )

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.shapes["lengths"])

    def on_device(self, device: torch.device, *, first: int = 0) -> Iterator[JointBatch]:
        """The batches from `first` on; everything is sent at the beginning."""
        flat = {}
        for name, array in self.arrays.items():
            tensor = to_device(array, device)
            is_integer = not tensor.is_floating_point() and tensor.dtype != torch.bool
            flat[name] = (tensor.long() if is_integer else tensor).split(
                [int(np.prod(shape)) for shape in self.shapes[name]]
            )
        for i in range(first, len(self)):
            share, num_answers = self.shares[i]
            tensors = {name: parts[i].view(self.shapes[name][i]) for name, parts in flat.items()}
            yield JointBatch(**tensors, share=share, num_answers=num_answers)
