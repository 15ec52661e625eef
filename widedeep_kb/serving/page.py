"""`GET /`: one page to ask, to see which facts answered and how strongly, and to edit or erase them."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def router_for() -> APIRouter:
    """The page; it holds no fact, and asks for a token where the server wants one."""
    router = APIRouter()
    text = files("widedeep_kb.serving").joinpath("page.html").read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": policy_for(text),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    @router.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(text, headers=headers)

    return router


def policy_for(text: str) -> str:
    """A content security policy that lets a page's own script and style run, and nothing else; it talks to us only."""
    found = {name: re.findall(rf"<{name}>(.*?)</{name}>", text, flags=re.DOTALL) for name in ("script", "style")}
    allowed = {name: " ".join(map(_hash_of, parts)) for name, parts in found.items()}
    return (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash_of(part: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
