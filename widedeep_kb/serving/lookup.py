"""`POST /v1/lookup`: exact keys, or questions, to fact ids; with their rows as Arrow IPC, to be used without an LLM.

Checked by hand and answered on the event loop, where a look-up of dozens of keys takes a fraction of a millisecond;
what takes longer goes to a thread. Letters: Q keys or texts, F facts, R rows, D numbers in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from widedeep_kb.memory.rows import expand_rows
from widedeep_kb.memory.store import FactStore
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.requests import MAX_NAME
from widedeep_kb.serving.state import ServerState

if TYPE_CHECKING:
    import pyarrow as pa

PATH = "/v1/lookup"
ARROW = "application/vnd.apache.arrow.stream"
_FEW = 512  # keys that the event loop looks up itself
_FIELDS = {"keys", "texts", "rows", "memory", "as_of"}
_KEY = {
    "anyOf": [
        {"type": "string", "description": "a subject or alias: all its facts"},
        {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2},
        {
            "type": "object",
            "properties": {"subject": {"type": "string"}, "relation": {"type": ["string", "null"]}},
            "required": ["subject"],
            "additionalProperties": False,
        },
    ]
}
_BODY = {
    "type": "object",
    "properties": {
        "keys": {"type": "array", "items": _KEY},
        "texts": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "boolean", "default": False},
        "memory": {"type": ["string", "null"]},
        "as_of": {"type": ["string", "null"], "format": "date"},
    },
    "oneOf": [{"required": ["keys"]}, {"required": ["texts"]}],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Asked:
    """A look-up.

    Attributes:
        subjects, relations: Q exact keys, see `FactStore.lookup_keys`.
        texts: questions in their place, or None.
        rows: whether rows are wanted.
        memory: name of the memory.
        as_of: only facts that hold on this day.
    """

    subjects: list[str]
    relations: list[str | None]
    texts: list[str] | None
    rows: bool
    memory: str | None
    as_of: date | None

    def __len__(self) -> int:
        return len(self.subjects) if self.texts is None else len(self.texts)


def router_for(state: ServerState) -> APIRouter:
    """The route; it checks its token itself."""
    router = APIRouter()
    content = {"application/json": {"schema": _BODY}}
    answers = {
        200: {"content": {ARROW: {"schema": {"type": "string", "format": "binary"}}}},
        **{status: {"description": "refused"} for status in (400, 401, 404, 413, 422, 503)},
    }
    extra = {"requestBody": {"required": True, "content": content}, "security": [{"HTTPBearer": []}]}

    @router.post(PATH, tags=["memory"], openapi_extra=extra, responses=answers)
    async def lookup(request: Request) -> Response:
        """Fact ids of exact keys or of questions; with `rows`, an Arrow stream of the facts' rows."""
        body, media_type = await answer(state, await request.body(), _authorization(request.scope))
        return Response(body, media_type=media_type)

    return router


async def answer(state: ServerState, body: bytes, authorization: str) -> tuple[bytes, str]:
    """The body of an answer and its media type.

    Args:
        state: of the server.
        body: of the request.
        authorization: header of the request, empty if there is none.

    Raises:
        ApiError: it is refused.
    """
    scheme, _, token = authorization.partition(" ")
    state.tokens.check(token if scheme.lower() == "bearer" else None, "read")
    asked = parse(body, most=state.limits.max_keys_per_call)
    store = state.memory(asked.memory).store
    if asked.texts is None and not asked.rows and len(asked) <= _FEW and store.lock.acquire(blocking=False):
        try:
            return fact_ids(store, asked), "application/json"
        finally:
            store.lock.release()
    if asked.rows:
        return await asyncio.to_thread(arrow_stream, store, asked), ARROW
    return await asyncio.to_thread(fact_ids, store, asked), "application/json"


class LookUpFirst:
    """Middleware that answers look-ups before any other route is tried: finding the route takes as long as they do.

    Args:
        app: what answers all else.
        state: of the server.
    """

    def __init__(self, app: ASGIApp, *, state: ServerState) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        scope["route"] = self
        try:
            body, media_type = await answer(self.state, await _body(receive), _authorization(scope))
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        except ClientDisconnect:  # before its request was whole
            return
        headers = [(b"content-length", b"%d" % len(body)), (b"content-type", media_type.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @property
    def path(self) -> str:
        """Of the route, for the metrics."""
        return PATH


async def _body(receive: Receive) -> bytes:
    """The whole body of a request.

    Raises:
        ClientDisconnect: it does not come.
    """
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _authorization(scope: Scope) -> str:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"").decode("latin-1")


def parse(body: bytes, *, most: int) -> Asked:
    """A look-up from its JSON.

    Raises:
        ApiError: 400, no JSON; 413, too many keys; 422, a wrong field.
    """
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"body: not JSON: {error}", code="json_invalid") from None
    if not isinstance(values, dict):
        raise ApiError(422, "body: not an object")
    if unknown := sorted(set(values) - _FIELDS):
        raise ApiError(422, f"{unknown[0][:80]!r} is no field of a look-up", param=unknown[0][:80])
    if ("keys" in values) == ("texts" in values):
        raise ApiError(422, "name keys or texts, and not both")
    rows = values.get("rows", False)
    if not isinstance(rows, bool):
        raise ApiError(422, "rows: not true or false", param="rows")
    memory = values.get("memory")
    if memory is not None and not (isinstance(memory, str) and len(memory) <= MAX_NAME):
        raise ApiError(422, "memory: not a name", param="memory")
    name = "keys" if "keys" in values else "texts"
    items = values[name]
    if not isinstance(items, list):
        raise ApiError(422, f"{name}: not a list", param=name)
    if len(items) > most:
        raise ApiError(413, f"{name}: at most {most} in a call, got {len(items)}", param=name)
    if name == "texts":
        if not all(isinstance(item, str) for item in items):
            raise ApiError(422, "texts: not a list of strings", param="texts")
        return Asked([], [], items, rows, memory, _day(values.get("as_of")))
    subjects, relations = _keys(items)
    return Asked(subjects, relations, None, rows, memory, _day(values.get("as_of")))


def fact_ids(store: FactStore, asked: Asked) -> bytes:
    """JSON of one list of fact ids for each key, or of fact ids and weights for each text."""
    if asked.texts is not None:
        return _of_texts(store, asked)
    with store.lock:
        rows, ordinals = store.lookup_keys(asked.subjects, asked.relations, as_of=asked.as_of)
        ids = store.fact_ids.of(ordinals)
    return orjson.dumps({"fact_ids": _grouped(ids, rows, len(asked))})


def arrow_stream(store: FactStore, asked: Asked) -> bytes:
    """Arrow IPC stream of the facts' rows: query, fact_id, row of the fact, weight, and its D numbers."""
    import pyarrow as pa

    with store.lock:
        if asked.texts is None:
            queries, ordinals = store.lookup_keys(asked.subjects, asked.relations, as_of=asked.as_of)
            weights = np.ones(len(ordinals), dtype=np.float32)
        else:
            hits = store.hits(asked.texts, as_of=asked.as_of)
            queries, places = np.nonzero(hits.ordinals >= 0)
            ordinals, weights = hits.ordinals[queries, places], hits.weights[queries, places]
        counts = store.num_rows[ordinals]
        row_ids = expand_rows(store.first_rows[ordinals], counts)
        slots = store.table.rows_as_stored(row_ids)
        ids = store.fact_ids.of(ordinals)
    facts = np.repeat(np.arange(len(ordinals)), counts)
    number = np.arange(len(facts)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = {
        "query": pa.array(queries[facts].astype(np.int32)),
        "fact_id": pa.array(ids, pa.string()).take(pa.array(facts)),
        "row": pa.array(number.astype(np.int32)),
        "weight": pa.array(weights[facts]),
        "slots": _fixed_size(slots),
    }
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _fixed_size(rows: np.ndarray) -> pa.Array:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])


def _of_texts(store: FactStore, asked: Asked) -> bytes:
    with store.lock:
        hits = store.hits(asked.texts, as_of=asked.as_of)
        queries, places = np.nonzero(hits.ordinals >= 0)
        ids = store.fact_ids.of(hits.ordinals[queries, places])
    weights = [round(weight, 4) for weight in hits.weights[queries, places].tolist()]
    grouped = {"fact_ids": ids, "weights": weights}
    return orjson.dumps({name: _grouped(values, queries, len(asked)) for name, values in grouped.items()})


def _grouped(values: list, queries: np.ndarray, count: int) -> list[list]:
    """`values` by query; `queries` ascends."""
    ends = np.searchsorted(queries, np.arange(1, count + 1)).tolist()
    return [values[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _keys(items: Sequence[object]) -> tuple[list[str], list[str | None]]:
    subjects: list[str] = []
    relations: list[str | None] = []
    for item in items:
        if isinstance(item, str):
            subject, relation = item, None
        elif isinstance(item, dict) and "subject" in item and len(item) <= 2:
            subject, relation = item["subject"], item.get("relation")
            if len(item) == 2 and "relation" not in item:
                raise _wrong(item)
        elif isinstance(item, list) and len(item) == 2:
            subject, relation = item
            if relation is None:
                raise _wrong(item)
        else:
            raise _wrong(item)
        if not isinstance(subject, str) or not (relation is None or isinstance(relation, str)):
            raise _wrong(item)
        subjects.append(subject)
        relations.append(relation)
    return subjects, relations


def _wrong(item: object) -> ApiError:
    message = f"keys: neither a subject, [subject, relation] nor an object of them: {repr(item)[:80]}"
    return ApiError(422, message, param="keys")


def _day(value: object) -> date | None:
    if value is None:
        return None
    try:
        if len(value) != 10:
            raise ValueError
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ApiError(422, f"as_of: not a day YYYY-MM-DD: {repr(value)[:40]}", param="as_of") from None
