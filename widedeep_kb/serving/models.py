"""`GET /v1/models` and `GET /health`: what can be asked, and whether it can be yet."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.requests import json_response
from widedeep_kb.serving.state import ServerState


def router_for(state: ServerState) -> APIRouter:
    """`GET /v1/models` and `GET /v1/models/{name}`: the memories, and the bare LLMs behind them."""
    router = APIRouter()

    def found() -> list[dict]:
        state.live()  # refuses while loading
        memories = [_model(name, "widedeep_kb") for name in state.memories]
        return memories + [_model(name, "llm") for name in state.llm_names if name not in state.memories]

    @router.get("/v1/models", tags=["openai"])
    def models() -> Response:
        """All of them; a memory's name reads it, an LLM's name means the bare LLM."""
        return json_response({"object": "list", "data": found()})

    @router.get("/v1/models/{name:path}", tags=["openai"])
    def model(name: str) -> Response:
        """One of them."""
        for one in found():
            if one["id"] == name:
                return json_response(one)
        raise ApiError(404, f"no model is called {name[:80]!r}", param="model")

    return router


def health_router_for(state: ServerState) -> APIRouter:
    """`GET /health`, which wants no token and tells no name."""
    router = APIRouter()

    @router.get("/health", tags=["server"], responses={503: {"description": "not ready"}})
    async def health() -> Response:
        """200 once questions are answered and changes are kept, 503 before and after."""
        status = state.status
        if status == "ready" and any(live.is_behind for live in state.memories.values()):
            status = "failed: a change could not be written to disk"
        return JSONResponse({"status": status}, status_code=200 if status == "ready" else 503)

    return router


def _model(name: str, owner: str) -> dict:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
