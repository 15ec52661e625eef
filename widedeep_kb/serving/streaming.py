"""Answers as server-sent events: a chunk for each piece of text, then usage if asked for, then `[DONE]`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
from fastapi.responses import StreamingResponse

from widedeep_kb.serving.batching import Job
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.generating import Written
from widedeep_kb.serving.requests import usage

MakeChoice = Callable[[int, str | None, Written | None], dict]
"""(index, next piece or None, the whole at the end) -> a choice of a chunk."""


def stream(
    jobs: Sequence[Job], *, head: dict, choice: MakeChoice, first: Sequence[dict] = (), has_usage: bool
) -> StreamingResponse:
    """The stream of several jobs' texts.

    Args:
        jobs: one a choice.
        head: what every chunk begins with.
        choice: makes a chunk's choice.
        first: choices sent before any text.
        has_usage: send a last chunk with the tokens used.
    """

    async def events() -> AsyncIterator[bytes]:
        for chosen in first:
            yield _event({**head, "choices": [chosen]})
        pieces: asyncio.Queue[tuple[int, str | None]] = asyncio.Queue()
        readers = [asyncio.ensure_future(_read(i, job, pieces)) for i, job in enumerate(jobs)]
        try:
            written: list[Written | None] = [None] * len(jobs)
            while None in written:
                i, piece = await pieces.get()
                if piece is None:
                    written[i] = await jobs[i].result()
                yield _event({**head, "choices": [choice(i, piece, written[i])]})
            if has_usage:
                yield _event({**head, "choices": [], "usage": usage(jobs, written)})
            yield b"data: [DONE]\n\n"
        except ApiError as error:
            yield _event(error.body())
        finally:
            for reader in readers:
                reader.cancel()
            for job in jobs:
                job.cancel()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _read(index: int, job: Job, pieces: asyncio.Queue) -> None:
    async for piece in job.pieces():
        await pieces.put((index, piece))
    await pieces.put((index, None))


def _event(chunk: dict) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
