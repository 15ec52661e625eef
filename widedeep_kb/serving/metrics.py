"""What the server counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from widedeep_kb.serving.state import ServerState

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """Counters of one server.

    Args:
        state: of the server; what it holds is read when the metrics are.
    """

    def __init__(self, state: ServerState) -> None:
        self.registry = CollectorRegistry()
        named = {"registry": self.registry}
        self.requests = Counter("widedeep_kb_requests", "HTTP requests.", ["route", "method", "status"], **named)
        self.latency = Histogram(
            "widedeep_kb_request_seconds", "Seconds from request to last byte.", ["route"], buckets=_SECONDS, **named
        )
        self.batch_size = Histogram(
            "widedeep_kb_batch_size", "Sequences in a call of the LLM.", buckets=(1, 2, 4, 8, 16, 32, 64), **named
        )
        self.tokens = Counter("widedeep_kb_tokens", "Tokens read and written by the LLM.", ["kind"], **named)
        self.answers = Counter("widedeep_kb_answers", "Answers, by whether a fact was found.", ["found"], **named)
        self.changes = Counter("widedeep_kb_changed_facts", "Facts changed.", ["kind"], **named)
        self.registry.register(_Held(state))

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Held(Collector):
    """What a server holds at the moment."""

    def __init__(self, state: ServerState) -> None:
        self.state = state

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return []  # nothing is read before the server is asked

    def collect(self) -> Iterator[GaugeMetricFamily]:
        facts = GaugeMetricFamily("widedeep_kb_facts", "Live facts.", labels=["memory"])
        journal = GaugeMetricFamily("widedeep_kb_journal_bytes", "Changes since the last snapshot.", labels=["memory"])
        for name, live in list(self.state.memories.items()):
            facts.add_metric([name], len(live.memory.store))
            journal.add_metric([name], live.journal_bytes)
        yield facts
        yield journal
        yield GaugeMetricFamily("widedeep_kb_queue", "Requests that wait for the LLM.", self.state.batcher.num_waiting)
        yield GaugeMetricFamily("widedeep_kb_ready", "1 = questions are answered.", float(self.state.status == "ready"))


class CountRequests:
    """Middleware that counts requests by route, not by path: paths are the clients' to choose.

    Args:
        app: what answers.
        metrics: where to count.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.requests.labels(route, scope["method"] if route != "none" else "any", str(status)).inc()
            self.metrics.latency.labels(route).observe(time.perf_counter() - started)


def router_for(state: ServerState) -> APIRouter:
    """`GET /metrics`."""
    router = APIRouter()

    @router.get("/metrics", tags=["server"], response_class=PlainTextResponse)
    def metrics() -> PlainTextResponse:
        """Counters for Prometheus."""
        return PlainTextResponse(state.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
