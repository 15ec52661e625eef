"""Worker processes that make something of numbers, in order: started fast, small messages, no idle threads.

In: a job, an object that is pickled once. Out: what the job makes of each number.

The workers are forked from a fresh process (Python's fork server) that has imported what the job needs once and has
never seen a GPU. The job reaches them through a file, and so do their results reach this process: a pipe would be read
in thousands of small steps, each waiting for the training loop's interpreter lock.
"""

from __future__ import annotations

import gc
import multiprocessing as mp
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Protocol, TypeVar

from widedeep_kb.training.scratch import scratch_folder

T = TypeVar("T", covariant=True)


class Job(Protocol[T]):
    """What the workers do; must be picklable."""

    def __call__(self, number: int, share: float) -> T:
        """The result for a number; `share` is the part of the usual amount that is wanted."""


_JOB: list[Job] = []  # of this worker


def start_server(modules: Iterable[str]) -> None:
    """Begin to import `modules` in the process that workers will be forked from; returns at once.

    A server that is running already stays as it is: what it lacks is then imported by the workers.
    """
    mp.get_context("forkserver").set_forkserver_preload(["widedeep_kb.training.one_thread", __name__, *modules])
    forkserver.ensure_running()


def in_order(
    job: Callable[[int, float], T], numbers: Iterable[int], *, num_workers: int, first_share: float
) -> Iterator[T]:
    """The job's result for each number, in the order of the numbers; up to two for each worker are made ahead.

    Args:
        job: see `Job`.
        numbers: may be endless.
        num_workers: processes, at least 1.
        first_share: `share` of the first number of each worker, so that there are results soon; 1 for all others.

    Raises:
        ValueError: `num_workers` is below 1.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers must be at least 1, got {num_workers}")
    numbers = enumerate(numbers)
    with scratch_folder() as folder:
        job_file = folder / "job"
        _dump(job, job_file)
        with mp.get_context("forkserver").Pool(num_workers, _start, (str(job_file),)) as pool:
            waiting = []
            while True:
                while len(waiting) < 2 * num_workers and (item := next(numbers, None)) is not None:
                    place, number = item
                    share = first_share if place < num_workers else 1.0
                    waiting.append(pool.apply_async(_work, (number, share, str(folder / str(place)))))
                if not waiting:
                    return
                yield _take(Path(waiting.pop(0).get()))


def _start(job_file: str) -> None:
    """Load the job; what lives as long as the worker is out of the garbage collector's way from now on."""
    _JOB[:] = [pickle.loads(Path(job_file).read_bytes())]
    gc.collect()
    gc.freeze()
    gc.disable()


def _work(number: int, share: float, result_file: str) -> str:
    """Make a result and write it. Collecting garbage once a result costs less than during it."""
    _dump(_JOB[0](number, share), Path(result_file))
    gc.collect()
    return result_file


def _dump(value: object, path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=pickle.HIGHEST_PROTOCOL)


def _take(path: Path) -> object:
    """Read a result and delete its file."""
    with path.open("rb") as file:
        os.unlink(path)
        return pickle.load(file)
