"""`POST /v1/ask`: a question answered as `widedeep-kb ask --json` answers it, and by the bare LLM beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from widedeep_kb.answering import AskOptions
from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.serving.batching import Job
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.requests import MAX_NAME, Day, Text, count, json_response, results
from widedeep_kb.serving.state import ServerState

MAX_QUESTION = 20_000  # characters


class AskRequest(BaseModel):
    """A question, and how it is to be answered: see `AskOptions`.

    Attributes:
        bare: answer by the LLM without memory too.
    """

    model_config = ConfigDict(extra="forbid")

    question: Annotated[Text, Field(min_length=1, max_length=MAX_QUESTION)]
    memory: bool | Annotated[Text, Field(max_length=MAX_NAME)] | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    as_of: Day | None = None
    hops: Annotated[int, Field(ge=1, le=4)] = 1
    abstain: Annotated[float, Field(gt=0, lt=1)] | None = None
    bare: bool = False


def router_for(state: ServerState) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post("/v1/ask", tags=["memory"])
    async def ask(body: AskRequest, request: Request) -> Response:
        """Answer a question, with the facts the answer came from."""
        if not body.question.strip():
            raise ApiError(422, "question: it has no word", param="question")
        if body.max_new_tokens > state.limits.max_new_tokens:
            most = state.limits.max_new_tokens
            raise ApiError(422, f"max_new_tokens: at most {most}, got {body.max_new_tokens}", param="max_new_tokens")
        memory, is_read = state.for_model(None, body.memory)
        options = AskOptions(
            max_new_tokens=body.max_new_tokens,
            batch_size=state.limits.max_batch,
            use_memory=is_read,
            hops=body.hops,
            as_of=body.as_of,
            abstain=body.abstain,
        )
        if body.abstain is not None:
            check_precision(memory, body.abstain)
        wanted = [options]
        if body.bare:
            wanted.append(AskOptions(max_new_tokens=body.max_new_tokens, use_memory=False))
        jobs = [job_for(state, memory, body.question, options=one) for one in wanted]
        state.batcher.submit(jobs)
        answer, *bare = await results(request, jobs)
        return json_response({**answer.as_dict(), **({"bare": bare[0].as_dict()} if bare else {})})

    return router


def check_precision(memory: KnowledgeMemory, precision: float) -> None:
    """Raises ApiError where the memory's reader cannot tell which answers are right as often as that."""
    try:
        memory.reader.calibration.threshold_for(precision)
    except ValueError as error:
        raise ApiError(422, f"abstain: {error}", param="abstain") from None


def job_for(state: ServerState, memory: KnowledgeMemory, question: str, *, options: AskOptions) -> Job:
    """A question's place in the queue; its result is a `MemoryAnswer`."""

    def run(jobs: Sequence[Job]) -> None:
        answers: list[MemoryAnswer] = memory.ask_many([job.payload for job in jobs], options)
        for job, answer in zip(jobs, answers, strict=True):
            used = {"num_prompt_tokens": answer.prompt_tokens, "num_tokens": answer.generated_tokens}
            count(state, evidence=answer.evidence, **used)
            job.finish(answer)

    return Job(("ask", id(memory), options), run=run, payload=question)
