"""`POST /v1/completions`: go on with a prompt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from widedeep_kb.answering import user_words
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.generating import Written
from widedeep_kb.serving.requests import Text, Writing, json_response, new_id, prompts_for, results, submit, usage
from widedeep_kb.serving.state import ServerState
from widedeep_kb.serving.streaming import stream


class CompletionRequest(Writing):
    """OpenAI's request, with `memory` and `as_of`; facts are looked up by the words of the prompt."""

    prompt: Text | Annotated[list[Text], Field(min_length=1)]
    echo: bool = False


def router_for(state: ServerState) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post("/v1/completions", tags=["openai"])
    async def completions(body: CompletionRequest, request: Request) -> Response:
        """Go on with one prompt or several."""
        memory, is_read = state.for_model(body.model, body.memory)
        texts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
        if len(texts) > state.limits.max_prompts_per_call:
            most = state.limits.max_prompts_per_call
            raise ApiError(422, f"prompt: at most {most} in a call, got {len(texts)}", param="prompt")
        prompts = []
        for text, ids in zip(texts, memory.lm.encode(texts), strict=True):
            turns = (user_words(text),) if is_read else ()
            most = {"max_new_tokens": body.max_tokens, "state": state, "lm": memory.lm}
            prompts += prompts_for(body, ids, turns=turns, **most)
        echoed = [text if body.echo else "" for text in texts for _ in range(body.n)]
        jobs = submit(state, memory, prompts)
        head = {**new_id("cmpl"), "object": "text_completion", "model": body.model}

        def choice(index: int, piece: str | None, written: Written | None) -> dict:
            return _choice(index, piece or "", written)

        if body.stream:
            has_usage = body.stream_options is not None and body.stream_options.include_usage
            first = [_choice(i, text, None) for i, text in enumerate(echoed) if text]
            return stream(jobs, head=head, choice=choice, first=first, has_usage=has_usage)
        written = await results(request, jobs)
        choices = [_choice(i, text + one.text, one) for i, (text, one) in enumerate(zip(echoed, written, strict=True))]
        return json_response({**head, "choices": choices, "usage": usage(jobs, written)})

    return router


def _choice(index: int, text: str, written: Written | None) -> dict:
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": written and written.finish_reason}
    return choice if written is None else {**choice, "evidence": [fact.as_dict() for fact in written.evidence]}
