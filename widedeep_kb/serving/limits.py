"""What is refused before a route sees it: bodies that are too long, each or all together."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from widedeep_kb.serving.errors import ApiError


class LimitBody:
    """Middleware that refuses bodies that are too long, whether their length is announced or not.

    Args:
        app: what answers.
        max_bytes: of a body.
        max_all_bytes: of the bodies of all requests that are not answered yet; one body always fits.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_all_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes
        self.max_all_bytes = max(max_bytes, max_all_bytes)
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit():
            await ApiError(400, f"content-length: no number, got {announced[:40]!r}").response()(scope, receive, send)
        elif int(announced) > self.max_bytes:
            await _closing(self._too_long(int(announced)))(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        num_bytes, has_started, refusal = 0, False, None

        async def counted() -> Message:
            nonlocal num_bytes, refusal
            message = await receive()
            size = len(message.get("body", b""))
            num_bytes += size
            self._held_bytes += size
            if num_bytes > self.max_bytes:
                refusal = self._too_long(num_bytes)
            elif size and self._held_bytes > self.max_all_bytes:
                refusal = ApiError(503, "too many long requests at a time: come again", code="busy", retry_after=1)
            if refusal is not None:
                raise refusal
            return message

        async def watched(message: Message) -> None:
            nonlocal has_started
            if has_started or refusal is None:  # FastAPI makes its own answer of any error in a body
                has_started = True
                await send(message)

        try:
            await self.app(scope, counted, watched)
        except ApiError:
            if refusal is None or has_started:
                raise
        finally:
            self._held_bytes -= num_bytes
        if refusal is not None and not has_started:
            await _closing(refusal)(scope, receive, send)

    def _too_long(self, num_bytes: int) -> ApiError:
        message = f"the body has {num_bytes} bytes or more, at most {self.max_bytes} are taken"
        return ApiError(413, message, code="body_too_large")


def _closing(error: ApiError):  # noqa: ANN202 - an ASGI response
    response = error.response()
    response.headers["Connection"] = "close"  # what is still on its way is not read
    return response
