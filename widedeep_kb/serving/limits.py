"""What is refused before a route sees it: bodies that are too long, and too many requests at a time."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from widedeep_kb.serving.errors import ApiError


class LimitBody:
    """Middleware that refuses bodies of more than `max_bytes`, whether their length is announced or not.

    Args:
        app: what answers.
        max_bytes: of a body.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit():
            await ApiError(400, f"content-length: no number, got {announced[:40]!r}").response()(scope, receive, send)
            return
        if int(announced) > self.max_bytes:
            await self._refusal(int(announced))(scope, receive, send)
            return
        num_bytes, has_started = 0, False

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self.max_bytes:
                raise _TooLong
            return message

        async def watched(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except _TooLong:
            if has_started:
                raise
            await self._refusal(num_bytes)(scope, receive, send)

    def _refusal(self, num_bytes: int):  # noqa: ANN202 - an ASGI response
        response = ApiError(
            413, f"the body has {num_bytes} bytes or more, at most {self.max_bytes} are taken", code="body_too_large"
        ).response()
        response.headers["Connection"] = "close"  # what is still on its way is not read
        return response


class _TooLong(Exception):
    """A body went on beyond the limit."""
