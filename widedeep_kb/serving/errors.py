"""Errors that clients see, in the format of the OpenAI API: one line, its kind and the field it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error with its HTTP status.

    Args:
        status: of HTTP.
        message: one line that names the offending value.
        param: the field it is about.
        code: short name of the error for programs.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"

    def body(self) -> dict:
        """What the client reads."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        message = " ".join(self.message.split())
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The body with its status."""
        return JSONResponse(self.body(), status_code=self.status, headers=self.headers)


def handle_errors(app: FastAPI) -> None:
    """Have every error of an app's routes answered in this format."""

    async def api_error(_request: Request, error: ApiError) -> JSONResponse:
        return error.response()

    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return of_validation(error.errors()).response()

    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        response = ApiError(error.status_code, str(error.detail)).response()
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)


def of_validation(errors: Sequence[Mapping]) -> ApiError:
    """The first of pydantic's errors as one of ours."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    given = "" if first["type"] in ("missing", "json_invalid") else f", got {repr(first.get('input'))[:80]}"
    message = f"{place or 'body'}: {first['msg']}{given}"
    return ApiError(422 if first["type"] != "json_invalid" else 400, message, param=place or None, code=first["type"])
