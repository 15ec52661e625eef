"""`POST /v1/chat/completions`: answer a conversation; facts are looked up by the user's turns, the latest first."""

from __future__ import annotations

from typing import Annotated, Literal

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from widedeep_kb.lm import FrozenLM
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.generating import Written
from widedeep_kb.serving.requests import Text, Writing, json_response, new_id, prompts_for, results, submit, usage
from widedeep_kb.serving.state import ServerState
from widedeep_kb.serving.streaming import stream

MAX_TURNS = 8  # of the user, the latest ones, are looked through for names


class TextPart(BaseModel):
    """A part of a message; only text is read."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart]
    name: Text | None = None

    def words(self) -> str:
        """All its text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Writing):
    """OpenAI's request, with `memory` and `as_of`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None


def router_for(state: ServerState) -> APIRouter:
    """The route."""
    router = APIRouter()

    @router.post("/v1/chat/completions", tags=["openai"])
    async def chat(body: ChatRequest, request: Request) -> Response:
        """Answer the last turn of a conversation."""
        memory, is_read = state.for_model(body.model, body.memory)
        turns = [message.words() for message in body.messages if message.role == "user"][-MAX_TURNS:]
        most = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
        ids = memory.lm.encode([chat_prompt(memory.lm, body.messages)])[0]
        named = {"max_new_tokens": most, "state": state, "lm": memory.lm}
        jobs = submit(state, memory, prompts_for(body, ids, turns=turns if is_read else (), **named))
        kind = "chat.completion.chunk" if body.stream else "chat.completion"
        head = {**new_id("chatcmpl"), "object": kind, "model": body.model}
        if body.stream:
            has_usage = body.stream_options is not None and body.stream_options.include_usage
            first = [_chunk(i, {"role": "assistant", "content": ""}, None) for i in range(body.n)]
            return stream(jobs, head=head, choice=Chunks(body.n), first=first, has_usage=has_usage)
        written = await results(request, jobs)
        choices = [_choice(i, one) for i, one in enumerate(written)]
        return json_response({**head, "choices": choices, "usage": usage(jobs, written)})

    return router


def chat_prompt(lm: FrozenLM, messages: list[Message]) -> str:
    """A conversation as the LLM's own chat template writes it, up to where the answer begins.

    Raises:
        ApiError: 422, the LLM has no template, or the template does not take these roles.
    """
    if lm.tokenizer.chat_template is None:
        raise ApiError(422, f"the LLM {lm.identity.name!r} has no chat template: use /v1/completions", param="messages")
    roles = {"developer": "system"}
    turns = [{"role": roles.get(m.role, m.role), "content": m.words()} for m in messages]
    try:
        return lm.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise ApiError(422, f"messages: {error}", param="messages") from None


class Chunks:
    """Choices of a stream's chunks; white space before the first word of an answer is left out, as in one piece.

    Args:
        num_choices: of the stream.
    """

    def __init__(self, num_choices: int) -> None:
        self.has_begun = [False] * num_choices

    def __call__(self, index: int, piece: str | None, written: Written | None) -> dict:
        """The choice of a piece, or of the end."""
        if not piece:
            return _chunk(index, {}, written)
        text = piece if self.has_begun[index] else piece.lstrip()
        self.has_begun[index] |= bool(text)
        return _chunk(index, {"content": text}, written)


def _chunk(index: int, delta: dict, written: Written | None) -> dict:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": written and written.finish_reason}
    return choice if written is None else {**choice, "evidence": [fact.as_dict() for fact in written.evidence]}


def _choice(index: int, written: Written) -> dict:
    message = {"role": "assistant", "content": written.text.lstrip(), "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": None,
        "finish_reason": written.finish_reason,
        "evidence": [fact.as_dict() for fact in written.evidence],
    }
