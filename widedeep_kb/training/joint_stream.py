"""Batches for joint training: an endless stream made ahead by a thread, and fixed passes for validation.

In: `Questions`. Out: `JointBatch`es on the LLM's device.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from torch.utils.data import IterableDataset

from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.questions import Asked, JointBatch, Questions

MIN_VALIDATION_BATCH = 32
_STEPS_PER_CHUNK = 16
_CHUNKS_AHEAD = 3

Made = TypeVar("Made")


class JointStream(IterableDataset):
    """An endless stream of training batches; what step it starts at does not change what a step gets.

    Args:
        questions: what is asked.
        config: batch size, seed and share of unrelated prompts.
        first_step: step of the first batch.
    """

    def __init__(self, questions: Questions, config: FitConfig, *, first_step: int = 0) -> None:
        self.questions, self.config, self.first_step = questions, config, first_step

    def __iter__(self) -> Iterator[JointBatch]:
        """Batches, each at the LLM's device."""
        first, skipped = divmod(self.first_step, _STEPS_PER_CHUNK)
        device = self.questions.lm.device
        for batches in made_ahead(self.chunk, first=first, num_ahead=_CHUNKS_AHEAD):
            for batch in batches[skipped:]:
                yield batch.to(device)
            skipped = 0

    def chunk(self, number: int) -> list[JointBatch]:
        """The batches of steps `number * _STEPS_PER_CHUNK` and following, on the CPU."""
        size = self.config.batch_size
        unrelated = self.config.unrelated_share if self.config.trains_dense else 0.0
        num_questions = size * _STEPS_PER_CHUNK
        asked = self.questions.training(number * num_questions, num_questions, unrelated_share=unrelated)
        rng = np.random.default_rng([self.config.seed, number])
        parts = asked.buckets(size, rng=rng)
        while len(parts) < _STEPS_PER_CHUNK:  # questions that were too long were dropped
            parts += asked.buckets(size, rng=rng)
        return [asked.batch(self.questions.store, chosen) for chosen in parts[:_STEPS_PER_CHUNK]]


class AskedBatches:
    """One pass over questions, the same batches every time (sized, as Lightning wants for validation).

    Args:
        asked: the questions.
        questions: where they come from.
        batch_size: questions in a batch.
    """

    def __init__(self, asked: Asked, questions: Questions, *, batch_size: int = MIN_VALIDATION_BATCH) -> None:
        self.asked, self.questions = asked, questions
        self.parts = asked.buckets(batch_size)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.parts)

    def __iter__(self) -> Iterator[JointBatch]:
        """The batches, shortest questions first."""
        for chosen in self.parts:
            yield self.asked.batch(self.questions.store, chosen).to(self.questions.lm.device)


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
