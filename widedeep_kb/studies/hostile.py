"""Requests that mean a server no good: wrong tokens, names that lead out of a folder, facts that are none.

Each says with what status it may be answered. The server is to hold the fact "Star 1 | motto" in its default memory.
"""

from __future__ import annotations

import json
import random
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

TOKENS = {"reads-7c1f": "read", "writes-9e2b": "write"}
"""Of the server that is attacked, with their roles."""
MAY_WRITE = {"Authorization": "Bearer writes-9e2b"}
_WRONG_TOKENS = [
    None, "", "Bearer", "Bearer x", "Bearer reads-7c1", "Bearer reads-7c1ff", "Bearer READS-7C1F", "Basic writes-9e2b",
    "writes-9e2b", "Bearer writes-9e2b writes-9e2b", "Bearer " + 9999 * "x", "Bearer null", "Bearer *",
    'Bearer {"writes-9e2b": "write"}', "Bearer \u00ff", "Bearer reads-7c1f,writes-9e2b",
]  # fmt: skip
_STAR = {"subject": "Star 1", "relation": "motto", "object": "none"}
_CHAT = {"model": "memory", "messages": [{"role": "user", "content": "x"}]}
_GUARDED: list[tuple[str, str, object]] = [
    ("GET", "/v1/facts", None), ("POST", "/v1/lookup", {"keys": ["Star 1"]}), ("GET", "/v1/models", None),
    ("POST", "/v1/ask", {"question": "x"}), ("POST", "/v1/completions", {"model": "memory", "prompt": "x"}),
    ("POST", "/v1/chat/completions", _CHAT), ("GET", "/metrics", None),
]  # fmt: skip
_WRITING: list[tuple[str, str, object]] = [
    ("PUT", "/v1/facts", {"facts": [_STAR]}), ("DELETE", "/v1/facts", {"subject": "Star 1"}),
    ("POST", "/v1/compact", None),
]  # fmt: skip
_NAMES = [
    "../../etc/passwd", "/etc/passwd", "..", ".", "", " ", "memory/", "memory/..", "./memory", "..%2f..%2fetc%2fpasswd",
    "memory\0", "C:\\Windows", "file:///etc/passwd", "http://127.0.0.1/", "~root", "$HOME", "`id`", "'; DROP TABLE x;",
    "\u202ememory", "m\u00e9mory", "MEMORY", "__class__", "{0.__class__}", "x" * 255, "x" * 5000, 7, ["memory"], {},
]  # fmt: skip
_NASTY = [
    None, True, 0, -1, 2**63, 2**70, 1e308, float("nan"), "", " ", "\n", "a\nb", "\0", "\ud800", "x" * 70_000, [], [[]],
    {}, {"a": [1]}, ["a", None], [["a"]], "2020-02-30", "9" * 400, "../../etc/passwd", "'; DROP TABLE facts;--",
    "\u202e\u200d\ufeff", "\U0010ffff", "word " * 300,
]  # fmt: skip
_FIELDS = [
    "subject", "relation", "object", "subject_id", "subject_aliases", "object_aliases", "statement", "source",
    "private", "valid_from", "valid_to", "popularity", "fact_id", "ordinal", "", "x" * 300, "__proto__", "\0",
]  # fmt: skip
_NO_FACTS = [
    b"", b"null", b"[]", b'{"facts": ' + b"[" * 100_000, b'{"a":' * 100_000, b'{"facts": [{}]}', b"\xff" * 99,
    b'{"facts": null}', b'{"facts": [[]]}', b'{"facts": {"0": {}}}', b"[" * 999_999 + b"]" * 999_999,
]  # fmt: skip


@dataclass(frozen=True)
class HostileRequest:
    """A request, and what may come of it.

    Attributes:
        method, path, body: of the request; the body as it is sent, empty = none.
        allowed: statuses that it may be answered with.
        headers: of the request.
    """

    method: str
    path: str
    body: bytes
    allowed: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=lambda: MAY_WRITE)

    def send(self, client: httpx.Client) -> httpx.Response:
        """The server's answer."""
        headers = {name: value.encode() for name, value in self.headers.items()}
        headers["Content-Type"] = b"application/json"
        return client.request(self.method, self.path, content=self.body or None, headers=headers)

    def wrong(self, answer: httpx.Response) -> str | None:
        """What is wrong with an answer, if anything is."""
        if answer.status_code not in self.allowed or "root:" in answer.text:
            token = self.headers.get("Authorization", "")[:40]
            return (
                f"{answer.status_code} {answer.text[:99]!r}: {self.method} {self.path[:80]} {self.body[:200]!r} {token}"
            )
        return None


def wrong_tokens() -> Iterator[HostileRequest]:
    """Every route that wants a token with each that is wrong, and those that change facts with one that may read."""
    for method, path, body in [*_GUARDED, *_WRITING]:
        for token in _WRONG_TOKENS:
            headers = {} if token is None else {"Authorization": token}
            yield HostileRequest(method, path, _json(body), (401,), headers)
    for method, path, body in _WRITING:
        yield HostileRequest(method, path, _json(body), (403,), {"Authorization": "Bearer reads-7c1f"})


def tricky_names() -> Iterator[HostileRequest]:
    """Names of memories, LLMs and facts that lead out of their folder, or are none."""
    refused = (400, 404, 422)
    for name in _NAMES:
        yield HostileRequest("POST", "/v1/lookup", _json({"keys": ["Star 1"], "memory": name}), refused)
        yield HostileRequest("POST", "/v1/completions", _json({"model": name, "prompt": "x"}), refused)
        yield HostileRequest("POST", "/v1/ask", _json({"question": "x", "memory": name}), refused)
        yield HostileRequest("PUT", "/v1/facts", _json({"facts": [_STAR], "memory": name}), refused)
        if isinstance(name, str) and name.strip("./"):
            quoted = urllib.parse.quote(name, safe="")
            for path in (f"/v1/facts/{quoted}", f"/v1/models/{quoted}", f"/v1/facts?memory={quoted}"):
                yield HostileRequest("GET", path, b"", refused)
            yield HostileRequest("POST", f"/v1/compact?memory={quoted}", b"", refused)


def broken_facts(count: int, *, seed: int) -> Iterator[HostileRequest]:
    """Writes of facts with values and fields that are none, and of JSON with damage: taken whole, or refused."""
    draw = random.Random(seed)
    for body in [*_NO_FACTS, *(_broken(draw) for _ in range(count))]:
        yield HostileRequest("PUT", "/v1/facts", body, (200, 400, 413, 422))


def _broken(draw: random.Random) -> bytes:
    facts = []
    for _ in range(draw.randint(1, 3)):
        fact = {"subject": f"Fuzz {draw.randrange(99)}", "relation": "port", "object": str(draw.randrange(999))}
        for _ in range(draw.randint(0, 2)):
            fact[draw.choice(_FIELDS)] = draw.choice(_NASTY)
        facts.append(fact)
    data = bytearray(_json({"facts": facts, "mode": draw.choice(["replace", "replace", "extend", "erase"])}))
    for _ in range(draw.choice([0, 0, 0, 1, 2, 5])):
        place = draw.randrange(len(data))
        data[place : place + draw.randint(0, 3)] = draw.randbytes(draw.randint(0, 3))
    return bytes(data[: draw.randrange(len(data))] if draw.random() < 0.05 else data)


def _json(body: object) -> bytes:
    return b"" if body is None else json.dumps(body).encode()
