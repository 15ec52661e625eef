"""Fields that the routes which ask the LLM have in common, checked; and their way into the queue.

What a request names and this server cannot do is refused by name, never left out in silence.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from datetime import date
from typing import Annotated

import orjson
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.functional_validators import AfterValidator

from widedeep_kb.answers import Evidence
from widedeep_kb.lm import FrozenLM
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.serving.batching import Job
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.generating import Prompt, Written, write_texts
from widedeep_kb.serving.state import ServerState

MAX_NAME = 256


def _without_surrogates(text: str) -> str:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("not Unicode text: it holds half of a surrogate pair")
    return text


Text = Annotated[str, AfterValidator(_without_surrogates)]
"""Text that can be written as UTF-8."""


def _day(value: object) -> object:
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or len(value) != 10:
        raise ValueError("not a day YYYY-MM-DD")
    return value


Day = Annotated[date, BeforeValidator(_day)]
"""YYYY-MM-DD."""


class Ignored(BaseModel):
    """Fields of OpenAI's clients that change no answer, and are let through."""

    model_config = ConfigDict(extra="forbid")

    user: Text | None = None
    metadata: dict | None = None
    store: bool | None = None
    service_tier: Text | None = None


class StreamOptions(BaseModel):
    """What a stream carries beside text."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False


class Writing(Ignored):
    """How text is to be written.

    Attributes:
        model: a memory's name, or an LLM's for the bare LLM.
        max_tokens: most tokens to write.
        temperature: 0 (the default here): the likeliest token each time.
        memory: False: the bare LLM; True: with memory; a name: with that memory.
        as_of: answer from the facts that hold on this day.
    """

    model: Annotated[Text, Field(max_length=MAX_NAME)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=16)] = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Text | Annotated[list[Text], Field(max_length=8)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    presence_penalty: Annotated[float, Field(ge=0, le=0)] = 0.0
    memory: bool | Annotated[Text, Field(max_length=MAX_NAME)] | None = None
    as_of: Day | None = None

    def stops(self) -> tuple[str, ...]:
        """The stop texts.

        Raises:
            ApiError: one is empty.
        """
        stops = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        if "" in stops:
            raise ApiError(422, "stop: an empty text ends nothing", param="stop")
        return stops


def prompts_for(
    body: Writing,
    ids: Sequence[int],
    *,
    turns: Sequence[str],
    max_new_tokens: int | None,
    state: ServerState,
    lm: FrozenLM,
) -> list[Prompt]:
    """The `n` sequences of one prompt.

    Raises:
        ApiError: 422, the prompt is empty, or it and the answer are longer than the LLM or this server takes.
    """
    limit = state.limits.max_new_tokens
    wanted = min(64, limit) if max_new_tokens is None else max_new_tokens
    if wanted > limit:
        raise ApiError(422, f"max_tokens: at most {limit}, got {wanted}", param="max_tokens")
    if not ids:
        raise ApiError(422, "prompt: it has no token", param="prompt")
    places = getattr(lm.model.config.get_text_config(), "max_position_embeddings", None)
    if places is not None and len(ids) + wanted > places:
        message = f"prompt: {len(ids)} tokens and {wanted} to write are more than the {places} that the LLM takes"
        raise ApiError(422, message, param="prompt", code="context_length_exceeded")
    seed = secrets.randbits(48) if body.seed is None else body.seed % 2**63
    return [
        Prompt(
            tuple(ids),
            turns=tuple(turns),
            max_new_tokens=wanted,
            temperature=body.temperature,
            top_p=body.top_p,
            seed=(seed + i) % 2**63,
            stop=body.stops(),
            as_of=body.as_of,
        )
        for i in range(body.n)
    ]


def submit(state: ServerState, memory: KnowledgeMemory, prompts: Sequence[Prompt]) -> list[Job]:
    """Queue prompts, all or none; their jobs give `Written`s.

    Raises:
        ApiError: 429 or 503, see `Batcher.submit`.
    """

    def run(jobs: Sequence[Job]) -> None:
        written = write_texts(
            memory,
            [job.payload for job in jobs],
            emit=lambda i, piece: jobs[i].emit(piece),
            is_cancelled=lambda i: jobs[i].is_cancelled,
        )
        for job, text in zip(jobs, written, strict=True):
            count(state, num_prompt_tokens=len(job.payload.ids), num_tokens=text.num_tokens, evidence=text.evidence)
            job.finish(text)

    def key(prompt: Prompt) -> tuple:
        return ("write", id(memory), prompt.as_of, bool(prompt.turns) if memory.use_deep else None)

    jobs = [Job(key(prompt), run=run, payload=prompt) for prompt in prompts]
    state.batcher.submit(jobs)
    return jobs


def count(state: ServerState, *, num_prompt_tokens: int, num_tokens: int, evidence: Sequence[Evidence]) -> None:
    """Count an answer's tokens and whether it had facts."""
    state.metrics.tokens.labels("prompt").inc(num_prompt_tokens)
    state.metrics.tokens.labels("written").inc(num_tokens)
    state.metrics.answers.labels("yes" if evidence else "no").inc()


async def results(request: Request, jobs: Sequence[Job]) -> list[Written]:
    """The results of jobs; a client that goes away cancels them."""
    gone = asyncio.ensure_future(_disconnected(request))
    waiting = asyncio.gather(*(job.result() for job in jobs))
    try:
        await asyncio.wait((gone, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ApiError(499, "the client went away")
        return waiting.result()
    finally:
        gone.cancel()
        if not waiting.done():
            waiting.cancel()
            for job in jobs:
                job.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def usage(jobs: Sequence[Job], written: Sequence[Written]) -> dict[str, int]:
    """Tokens read and written; a prompt with several choices is read once."""
    prompts = {job.payload.ids for job in jobs}
    read, wrote = sum(map(len, prompts)), sum(text.num_tokens for text in written)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def new_id(kind: str) -> dict[str, object]:
    """Id and time of a new answer."""
    return {"id": f"{kind}-{secrets.token_hex(12)}", "created": int(time.time())}


def json_response(body: dict, *, status: int = 200) -> Response:
    """`body` as JSON."""
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")
