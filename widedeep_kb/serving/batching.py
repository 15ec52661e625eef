"""Requests that wait for the LLM, answered together: one thread runs one batch after another.

A batch is what has come within a few milliseconds and may share a call (the same `key`); what may not waits for the
next. A client that goes away is taken out, also in the middle of a batch.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from widedeep_kb.serving.errors import ApiError

if TYPE_CHECKING:
    from widedeep_kb.serving.metrics import Metrics


class Job:
    """One sequence for the LLM.

    Args:
        key: jobs with equal keys may share a batch.
        run: runs a batch of such jobs and calls `finish` or `fail` of each.
        payload: for `run`.

    Attributes:
        is_cancelled: nobody waits for it any more.
    """

    def __init__(self, key: Hashable, *, run: Callable[[Sequence[Job]], None], payload: object) -> None:
        self.key, self.run, self.payload = key, run, payload
        self.is_cancelled = False
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[object] = asyncio.Queue()
        self._done: asyncio.Future[object] = self._loop.create_future()

    def emit(self, piece: object) -> None:
        """Hand on a part of the result; called by the LLM's thread."""
        self._call(self._pieces.put_nowait, piece)

    def finish(self, result: object) -> None:
        """Hand on the result."""
        self._call(self._settle, result, None)

    def fail(self, error: Exception) -> None:
        """Hand on why there is none."""
        self._call(self._settle, None, error)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.is_cancelled = True

    async def result(self) -> object:
        """Wait for the result; whoever stops waiting cancels the job."""
        try:
            return await self._done
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def pieces(self):  # noqa: ANN201 - an asynchronous iterator
        """Parts of the result as they come, until it is there."""
        try:
            while True:
                waiting = asyncio.ensure_future(self._pieces.get())
                await asyncio.wait((waiting, self._done), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    while not self._pieces.empty():
                        yield self._pieces.get_nowait()
                    return
                yield waiting.result()
        finally:
            if not self._done.done():
                self.cancel()

    def _call(self, function: Callable, *args: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _settle(self, result: object, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(result)
        else:
            self._done.set_exception(error)
            self._done.exception()  # somebody has seen it, even if the client is gone


class Batcher:
    """The queue and its thread.

    Args:
        max_batch: jobs in a batch.
        max_wait_s: seconds that the first of a batch waits for others.
        max_queue: jobs that may wait.
        metrics: where batches are counted.
    """

    def __init__(self, *, max_batch: int, max_wait_s: float, max_queue: int, metrics: Metrics | None = None) -> None:
        self.max_batch, self.max_wait_s, self.max_queue, self.metrics = max_batch, max_wait_s, max_queue, metrics
        self._waiting: deque[Job] = deque()
        self._running: Sequence[Job] = ()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    @property
    def num_waiting(self) -> int:
        """Jobs that no batch has taken yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="llm", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Run what waits, then end the thread; new jobs are refused."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def give_up(self) -> None:
        """Tell all that wait or run that the server stops; new jobs are refused."""
        with self._changed:
            self._is_stopping = True
            for job in (*self._running, *self._waiting):
                job.cancel()
                job.fail(_stopping())
            self._changed.notify_all()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs, all or none.

        Raises:
            ApiError: 429, too many are waiting; 503, the server is stopping.
        """
        with self._changed:
            if self._is_stopping:
                raise _stopping()
            if len(self._waiting) + len(jobs) > self.max_queue:
                message = f"{len(self._waiting)} requests are waiting and at most {self.max_queue} may: come again"
                raise ApiError(429, message, code="queue_full", retry_after=1)
            self._waiting.extend(jobs)
            self._changed.notify_all()

    def _work(self) -> None:
        while batch := self._next_batch():
            if self.metrics is not None:
                self.metrics.batch_size.observe(len(batch))
            try:
                batch[0].run(batch)
            except Exception as error:  # noqa: BLE001 - the thread must live; each client is told
                traceback.print_exc()
                reason = error if isinstance(error, ApiError) else ApiError(500, f"the LLM failed: {error!r}")
                for job in batch:
                    job.fail(reason)

    def _next_batch(self) -> list[Job]:
        """Jobs that may share a call; none: the server stops and nothing waits."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_stopping)
                if not self._waiting:
                    return []
                deadline = time.monotonic() + self.max_wait_s
                while len(self._waiting) < self.max_batch and not self._is_stopping:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                batch = self._take()
                self._running = batch
            if batch:
                return batch

    def _take(self) -> list[Job]:
        """The first job that is still wanted, and those that may go with it."""
        batch: list[Job] = []
        left: deque[Job] = deque()
        while self._waiting:
            job = self._waiting.popleft()
            if job.is_cancelled:
                job.finish(None)
            elif len(batch) < self.max_batch and (not batch or job.key == batch[0].key):
                batch.append(job)
            else:
                left.append(job)
        self._waiting = left
        return batch


def _stopping() -> ApiError:
    return ApiError(503, "the server is stopping", code="stopping", retry_after=5)
