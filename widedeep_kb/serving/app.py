"""The web application: every route, behind its token, with errors in one format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from widedeep_kb.serving import ask, chat, completions, facts, lookup, metrics, models, page
from widedeep_kb.serving.auth import requires
from widedeep_kb.serving.errors import handle_errors
from widedeep_kb.serving.limits import LimitBody
from widedeep_kb.serving.metrics import CountRequests
from widedeep_kb.serving.state import ServerState


def create_app(state: ServerState) -> FastAPI:
    """The application of a server; it loads the memories when it starts and closes them when it stops."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        state.start()
        yield
        await asyncio.to_thread(state.stop)

    app = FastAPI(
        title="widedeep_kb",
        version=version("widedeep_kb"),
        summary="A frozen LLM with a memory of facts that can be asked, looked up, changed and erased.",
        lifespan=lifespan,
        docs_url=None,  # it would load scripts from another server
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name whatever host the request names
    )
    handle_errors(app)
    app.include_router(models.health_router_for(state))
    app.include_router(page.router_for())
    for routes in (models, completions, chat, ask, facts, metrics):
        app.include_router(routes.router_for(state), dependencies=[Depends(requires(state.tokens, "read"))])
    app.include_router(lookup.router_for(state))
    app.add_middleware(lookup.LookUpFirst, state=state)
    most = {"max_bytes": state.limits.max_body_bytes, "max_all_bytes": state.limits.max_all_body_bytes}
    app.add_middleware(LimitBody, **most)
    app.add_middleware(CountRequests, metrics=state.metrics)
    return app
