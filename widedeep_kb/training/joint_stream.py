"""Batches for joint training: an endless stream made ahead by a thread or by processes, and passes for validation.

In: `Questions`. Out: `JointBatch`es on the LLM's device.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from torch.utils.data import IterableDataset

from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_batch import NOTHING, JointBatch, PackedJoint, Share, share_of
from widedeep_kb.training.questions import Asked, Questions
from widedeep_kb.training.workers import in_order, start_server

MIN_VALIDATION_BATCH = 32
STEPS_PER_CHUNK = 16
_CHUNKS_AHEAD = 3

Made = TypeVar("Made")


class Rank(NamedTuple):
    """Which of `world_size` devices a batch is for: each gets its part of the same batch."""

    rank: int = 0
    world_size: int = 1


def part_of(
    asked: Asked, questions: Questions, chosen: np.ndarray, *, hidden: np.ndarray | None = None, rank: Rank
) -> tuple[dict[str, np.ndarray], tuple[Share, int]]:
    """The part for one device of the batch of the given questions [B], its share, and answer positions of the whole.

    A device for which there is no question gets the first one with its rows hidden, which counts for nothing.
    """
    whole = asked.batch(questions.places, chosen, hidden=hidden)
    num_answers = len(whole["answer_places"])
    own = slice(rank.rank, None, rank.world_size)
    if rank.world_size == 1:
        return whole, (share_of(whole, whole), num_answers)
    if not len(chosen[own]):
        return asked.batch(questions.places, chosen[:1], hidden=np.ones(1, dtype=bool)), (NOTHING, num_answers)
    part = asked.batch(questions.places, chosen[own], hidden=None if hidden is None else hidden[own])
    return part, (share_of(part, whole), num_answers)


@dataclass(frozen=True)
class JointChunks:
    """Makes the batches of several steps at a time, in the process that calls it; picklable.

    Attributes:
        questions: what is asked.
        config: batch size, seed, shares of unrelated prompts and of hidden rows.
        rank: which part of each batch.
    """

    questions: Questions
    config: FitConfig
    rank: Rank = Rank()

    def __call__(self, number: int, share: float = 1.0) -> PackedJoint:
        """The batches of steps `number * STEPS_PER_CHUNK` and following.

        Raises:
            ValueError: a share other than 1: what a step gets never depends on who makes it.
        """
        if share != 1.0:
            raise ValueError(f"a chunk is made whole, got share={share}")
        config, size = self.config, self.config.batch_size
        unrelated = config.unrelated_share if config.trains_dense else 0.0
        num_questions = size * STEPS_PER_CHUNK
        asked = self.questions.training(number * num_questions, num_questions, unrelated_share=unrelated)
        rng = np.random.default_rng([config.seed, number])
        parts = asked.buckets(size, rng=rng)
        while len(parts) < STEPS_PER_CHUNK:  # questions that were too long were dropped
            parts += asked.buckets(size, rng=rng)
        dropout = config.wide_dropout if config.wide and config.deep else 0.0
        made = [
            part_of(asked, self.questions, chosen, hidden=rng.random(len(chosen)) < dropout, rank=self.rank)
            for chosen in parts[:STEPS_PER_CHUNK]
        ]
        return PackedJoint.pack([batch for batch, _ in made], [share for _, share in made])


class JointStream(IterableDataset):
    """An endless stream of training batches; what step it starts at does not change what a step gets.

    Args:
        questions: what is asked.
        config: batch size, seed, shares and number of processes.
        first_step: step of the first batch.
        rank: which part of each batch.
    """

    def __init__(
        self,
        questions: Questions,
        config: FitConfig,
        *,
        first_step: int = 0,
        rank: Rank = Rank(),  # noqa: B008
    ) -> None:
        self.questions, self.config, self.first_step, self.rank = questions, config, first_step, rank

    def __iter__(self) -> Iterator[JointBatch]:
        """Batches, each on the LLM's device."""
        first, skipped = divmod(self.first_step, STEPS_PER_CHUNK)
        make, workers = JointChunks(self.questions, self.config, self.rank), self.config.num_workers
        if workers:
            start_server([__name__])
            chunks = in_order(make, itertools.count(first), num_workers=workers, first_share=1.0)
        else:
            chunks = made_ahead(make, first=first, num_ahead=_CHUNKS_AHEAD)
        for packed in chunks:
            yield from packed.on_device(self.questions.device, first=skipped)
            skipped = 0


class AskedBatches:
    """One pass over questions, the same batches every time (sized, as Lightning wants for validation).

    Args:
        asked: the questions.
        questions: where they come from.
        batch_size: questions in a batch.
        rank: which part of each batch.
    """

    def __init__(
        self,
        asked: Asked,
        questions: Questions,
        *,
        batch_size: int = MIN_VALIDATION_BATCH,
        rank: Rank = Rank(),  # noqa: B008
    ) -> None:
        self.asked, self.questions, self.rank = asked, questions, rank
        self.parts = asked.buckets(batch_size)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.parts)

    def __iter__(self) -> Iterator[JointBatch]:
        """The batches, shortest questions first."""
        for chosen in self.parts:
            batch, share = part_of(self.asked, self.questions, chosen, rank=self.rank)
            yield from PackedJoint.pack([batch], [share]).on_device(self.questions.device)


def made_ahead(make: Callable[[int], Made], *, first: int, num_ahead: int) -> Iterator[Made]:
    """`make(first)`, `make(first + 1)`, ... without end, `num_ahead` of them made in advance by one thread.

    What `make` raises is raised here.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="joint-stream") as pool:
        waiting = deque(pool.submit(make, number) for number in range(first, first + num_ahead))
        try:
            for number in itertools.count(first + num_ahead):
                made = waiting.popleft().result()
                waiting.append(pool.submit(make, number))
                yield made
        finally:
            pool.shutdown(cancel_futures=True)
