"""A client of the server (`widedeep-kb serve`): ask, look up, list, write and erase, with typed answers.

from widedeep_kb import Client

client = Client("http://127.0.0.1:8000")
client.write([{"subject": "Aurora", "relation": "port", "object": "8443"}])
client.ask("Which port does Aurora use?").text
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import httpx
import orjson

from widedeep_kb.answers import Evidence, MemoryAnswer

if TYPE_CHECKING:
    import pyarrow as pa

_AGAIN = (429, 503)  # worth another try
_MOST_WAIT_S = 10.0
_MAX_PAGE = 1000

Key = str | tuple[str, str]
"""A subject, or a subject and a relation."""


class ServerError(Exception):
    """What a server refused.

    Attributes:
        status: of HTTP; 0 if the server could not be reached.
        message: one line.
        param: the field it is about, if it is about one.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None) -> None:
        super().__init__(message if not status else f"{status}: {message}")
        self.status, self.message, self.param = status, message, param


@dataclass(frozen=True)
class Written:
    """What a write did.

    Attributes:
        added, removed, unchanged: numbers of facts.
        fact_ids: of the facts given.
    """

    added: int
    removed: int
    unchanged: int
    fact_ids: list[str]


@dataclass(frozen=True)
class Erased:
    """What was erased.

    Attributes:
        facts: as they were.
        absent: names of what was not there.
    """

    facts: list[dict]
    absent: list[str]


class Client:
    """A connection to a server; may be shared by threads, and closed by `with`.

    Args:
        base_url: such as "http://127.0.0.1:8000".
        token: bearer token, where the server wants one.
        memory: name of the memory that is meant; default: the server's.
        timeout: seconds for an answer.
        retries: further tries where the server is loading or busy.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None = None,
        memory: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.memory, self.retries = memory, retries
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the server answers questions."""
        try:
            return self._http.get("/health").status_code == 200
        except httpx.TransportError:
            return False

    def ask(
        self, question: str, *, use_memory: bool = True, as_of: str | None = None, **options: object
    ) -> MemoryAnswer:
        """Answer a question.

        Args:
            question: raw text.
            use_memory: False = by the bare LLM.
            as_of: from the facts of this day, YYYY-MM-DD.
            **options: further fields of `POST /v1/ask`, such as `max_new_tokens`, `hops` or `abstain`.

        Raises:
            ServerError: the server refused.
        """
        memory = self.memory if use_memory else False
        body = {"question": question, "memory": memory, "as_of": as_of, **options}
        return _answer(self._json("POST", "/v1/ask", body))

    def complete(self, prompt: str, **options: object) -> str:
        """Go on with a prompt; `options` are OpenAI's."""
        body = {"model": self._model(), "prompt": prompt, **options}
        return self._json("POST", "/v1/completions", body)["choices"][0]["text"]

    def chat(self, messages: Sequence[Mapping[str, str]], **options: object) -> str:
        """Answer a conversation; `options` are OpenAI's."""
        body = {"model": self._model(), "messages": list(messages), **options}
        return self._json("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"]

    def stream(self, messages: Sequence[Mapping[str, str]], **options: object) -> Iterator[str]:
        """The pieces of `chat` as they come."""
        body = {"model": self._model(), "messages": list(messages), "stream": True, **options}
        with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                response.read()
                raise _error(response)
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    chunk = orjson.loads(line[6:])
                    if "error" in chunk:
                        raise ServerError(500, chunk["error"]["message"])
                    yield from (c["delta"]["content"] for c in chunk["choices"] if c["delta"].get("content"))

    def lookup(self, keys: Sequence[Key]) -> list[list[str]]:
        """Fact ids of exact keys, a list for each."""
        return self._json("POST", "/v1/lookup", self._keys(keys))["fact_ids"]

    def recall(self, texts: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Facts that the memory finds in texts, with their weights, most first."""
        found = self._json("POST", "/v1/lookup", {"texts": list(texts), "memory": self.memory})
        return [list(zip(*pair, strict=True)) for pair in zip(found["fact_ids"], found["weights"], strict=True)]

    def rows(self, keys: Sequence[Key]) -> pa.Table:
        """Rows of the facts of exact keys: query, fact_id, row, weight, slots (needs pyarrow)."""
        import pyarrow as pa

        response = self._send("POST", "/v1/lookup", {**self._keys(keys), "rows": True})
        return pa.ipc.open_stream(io.BytesIO(response.content)).read_all()

    def facts(
        self, *, subject: str | None = None, relation: str | None = None, source: str | None = None
    ) -> Iterator[dict]:
        """Live facts, page by page."""
        filters = {"subject": subject, "relation": relation, "source": source, "memory": self.memory}
        filters, after = {name: value for name, value in filters.items() if value is not None}, -1
        while after is not None:
            page = orjson.loads(self._send("GET", "/v1/facts", params={**filters, "after": after}).content)
            yield from page["facts"]
            after = page["next"]

    def write(
        self, facts: Sequence[Mapping[str, object]], *, mode: Literal["replace", "extend"] = "replace"
    ) -> Written:
        """Write facts, all of them or none; they are on the server's disk when this returns."""
        body = {"facts": list(facts), "mode": mode, "memory": self.memory}
        return Written(**self._json("PUT", "/v1/facts", body))

    def erase(
        self,
        *,
        fact_ids: Sequence[str] | None = None,
        subject: str | None = None,
        source: str | None = None,
        facts: Sequence[Mapping[str, object]] | None = None,
    ) -> Erased:
        """Erase facts by exactly one of four names; on disk when this returns."""
        names = {"fact_ids": fact_ids, "subject": subject, "source": source, "facts": facts, "memory": self.memory}
        body = {name: value for name, value in names.items() if value is not None}
        found = self._json("DELETE", "/v1/facts", body)
        return Erased(found["erased"], found["absent"])

    def compact(self) -> None:
        """Leave no byte of what was erased or replaced on the server's disk."""
        self._send("POST", "/v1/compact", params={} if self.memory is None else {"memory": self.memory})

    def _model(self) -> str:
        if self.memory is None:
            self.memory = orjson.loads(self._send("GET", "/v1/models").content)["data"][0]["id"]
        return self.memory

    def _keys(self, keys: Sequence[Key]) -> dict:
        return {"keys": [key if isinstance(key, str) else list(key) for key in keys], "memory": self.memory}

    def _json(self, method: str, path: str, body: dict) -> dict:
        return orjson.loads(self._send(method, path, body).content)

    def _send(
        self, method: str, path: str, body: dict | None = None, *, params: Mapping[str, object] | None = None
    ) -> httpx.Response:
        """Send a request; once more where the server says that it was not taken up and may come again."""
        for left in range(self.retries, -1, -1):
            try:
                response = self._http.request(method, path, json=body, params=params)
            except httpx.TransportError as error:
                raise ServerError(0, f"{self._http.base_url}: {error}") from error
            if response.status_code not in _AGAIN or not left or "retry-after" not in response.headers:
                break
            time.sleep(min(float(response.headers["retry-after"]), _MOST_WAIT_S))
        if response.status_code != 200:
            raise _error(response)
        return response


def _error(response: httpx.Response) -> ServerError:
    try:
        error = orjson.loads(response.content)["error"]
        return ServerError(response.status_code, error["message"], param=error["param"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ServerError(response.status_code, response.text[:200] or "no message")


def _answer(found: dict) -> MemoryAnswer:
    known = {field.name for field in fields(MemoryAnswer)}
    values = {name: value for name, value in found.items() if name in known}
    values |= {name: tuple(map(_evidence, found[name])) for name in ("evidence", "chain") if name in found}
    return MemoryAnswer(**values, is_abstained=found.get("abstained", False))


def _evidence(found: dict) -> Evidence:
    return Evidence(**{("is_guessed" if name == "guessed" else name): value for name, value in found.items()})
