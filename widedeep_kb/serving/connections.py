"""Connections of the server: how many there may be, and how long each may take to send a request or to read an answer.

uvicorn itself waits for ever for a request that has begun, takes any number of connections and a head of any length.
Here what goes nowhere is closed: looked for once a second, so that a request costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from enum import Enum

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.state import Limits, ServerState

MAX_HEAD_BYTES = 64 << 10
_LOOK_S = 1.0
_LOOKED_AT = 50  # connections before the loop may do something else
_PHRASES = {408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable"}
Phase = Enum("Phase", ["IDLE", "HEAD", "BODY"])
"""What a client is sending."""


class LimitedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, within limits.

    Args:
        limits: of the server.
        *args, **options: uvicorn's.
    """

    def __init__(self, *args: object, limits: Limits, **options: object) -> None:
        super().__init__(*args, **options)
        self.limits, self.phase = limits, Phase.IDLE
        self._since = self._moved = self.loop.time()  # of the phase, or of the last byte that the client read
        self._head_bytes = self._body_bytes = self._unread_bytes = 0
        self._has_begun = False
        self._unanswered: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A connection is refused at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > (most := self.limits.max_connections):
            message = f"{most} connections are open and no more may be: come again"
            self._refuse(ApiError(503, message, code="too_many_connections", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody reads the answers any more; uvicorn tells only the last of several requests."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request."""
        if self.transport.is_closing():
            return
        self._has_begun = False
        super().data_received(data)
        if self.phase is Phase.HEAD and not self._has_begun:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(ApiError(431, f"the head of a request has at most {MAX_HEAD_BYTES} bytes"))

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.phase, self._since, self._has_begun = Phase.HEAD, self.loop.time(), True
        self._head_bytes = self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what comes behind a body is of no use to anyone, and only counted."""
        if self.phase is Phase.HEAD:
            super().on_header(name, value)
        else:
            self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self.phase, self._since, self._head_bytes = Phase.BODY, self.loop.time(), 0

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        super().on_body(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self.phase, self._since = Phase.IDLE, self.loop.time()

    def on_response_complete(self) -> None:
        """The first answer that was not complete is."""
        self._unanswered.popleft()
        super().on_response_complete()

    def close_if_overdue(self, now: float) -> None:
        """Close what has taken too long.

        Args:
            now: the loop's time.
        """
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread < self._unread_bytes:
            self._moved = now
        self._unread_bytes = unread
        if now - self._moved > self.limits.unread_s:
            self.transport.abort()
        elif self.flow.read_paused or (self.phase is not Phase.BODY and self._unanswered):  # it waits for us
            self._since = now
        elif now - self._since > self._allowed_s() and not self.transport.is_closing():
            if self.phase is Phase.IDLE:
                self.transport.close()
            else:
                self._refuse(ApiError(408, f"a request was not whole after {now - self._since:.0f} s", code="too_slow"))

    def _allowed_s(self) -> float:
        """Seconds that the phase may last: for a body longer, the more of it has come."""
        speed = self.limits.min_body_bytes_per_s
        return self.limits.head_s + (self._body_bytes / speed if self.phase is Phase.BODY else 0)

    def _refuse(self, error: ApiError) -> None:
        """Close, and say why unless the request has an answer, or a former one is being answered."""
        if not (self.cycle.response_started if self.phase is Phase.BODY else self._unanswered):
            body = orjson.dumps(error.body())
            head = [b"HTTP/1.1 %d %b" % (error.status, _PHRASES[error.status]), b"Connection: close"]
            head += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
            head += [f"{name}: {value}".encode() for name, value in error.headers.items()]
            self.transport.write(b"\r\n".join([*head, b"", body]))
        self.transport.close()


class Server(uvicorn.Server):
    """The server of a state; it ends if its memories cannot be loaded.

    Args:
        config: see `make_server` of running.py.
        state: what is served.
    """

    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self._state = state

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True = stop."""
        return await super().on_tick(counter) or self._state.has_failed

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to look for connections that go nowhere."""
        await super().startup(sockets)
        self._looking = asyncio.ensure_future(self._look())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests finish; those that take too long are told that the server stops."""
        ending = asyncio.get_running_loop().call_later(self._state.limits.shutdown_s, self._state.batcher.give_up)
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()
            self._looking.cancel()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            for number, connection in enumerate(list(self.server_state.connections)):
                if number % _LOOKED_AT == 0:
                    await asyncio.sleep(0)  # requests go first
                connection.close_if_overdue(loop.time())
