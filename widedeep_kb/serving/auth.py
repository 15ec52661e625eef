"""Bearer tokens: who may read (ask, look up, list) and who may write (change, erase, compact) as well."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from widedeep_kb.serving.errors import ApiError

Role = Literal["read", "write"]
_BEARER = HTTPBearer(auto_error=False)


class Tokens:
    """Tokens and their roles; none at all means that everybody may do everything.

    Args:
        roles: token -> "read" or "write" (which may read too).

    Raises:
        ValueError: an empty token, or another role.
    """

    def __init__(self, roles: Mapping[str, Role] | None = None) -> None:
        self._roles: list[tuple[bytes, Role]] = []
        for number, (token, role) in enumerate((roles or {}).items(), start=1):
            if not token.strip() or not token.isascii() or token != token.strip():
                raise ValueError(f"token {number} is empty or has white space around it, or is not ASCII")
            if role not in ("read", "write"):
                raise ValueError(f"the role of token {number} must be 'read' or 'write', not {role!r}")
            self._roles.append((token.encode(), role))

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        """Read a JSON object of tokens and roles.

        Raises:
            ValueError: it is none, or holds no token; no message shows a token.
        """
        try:
            roles = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise ValueError(f"{str(path)!r} is not JSON") from None
        if not isinstance(roles, dict) or not roles:
            raise ValueError(f'{str(path)!r} must hold an object like {{"TOKEN": "read", "OTHER": "write"}}')
        return cls(roles)

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self._roles)

    def role_of(self, token: str) -> Role | None:
        """The role of a token, None if it is unknown; takes as long whatever the token."""
        found: Role | None = None
        for known, role in self._roles:
            if hmac.compare_digest(known, token.encode("utf-8", "replace")):
                found = role
        return found

    def check(self, token: str | None, role: Role) -> None:
        """Let a token pass that has the role.

        Raises:
            ApiError: 401 without a known token, 403 for one that may only read.
        """
        if not self._roles:
            return
        if token is None:
            raise ApiError(401, "this server wants a bearer token", code="missing_token")
        held = self.role_of(token)
        if held is None:
            raise ApiError(401, "the bearer token is unknown", code="invalid_token")
        if role == "write" and held != "write":
            raise ApiError(403, "this token may read, not write", code="read_only_token")


def requires(tokens: Tokens, role: Role) -> Callable[..., None]:
    """A dependency of routes that only a token with this role passes."""

    def check(given: HTTPAuthorizationCredentials | None = Depends(_BEARER)) -> None:  # noqa: B008 - FastAPI's way
        tokens.check(given.credentials if given is not None else None, role)

    return check
