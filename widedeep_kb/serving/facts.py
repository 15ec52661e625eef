"""`/v1/facts`: list, write, change and erase facts. An answered change is on disk, and the next question sees it.

Changes run in threads, one after another for each memory; the LLM goes on answering meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.live import LiveMemory
from widedeep_kb.schema import FACT_SCHEMA, FILE_COLUMNS, facts_from_records, normalise_text, normalise_texts
from widedeep_kb.serving.auth import requires
from widedeep_kb.serving.errors import ApiError
from widedeep_kb.serving.requests import MAX_NAME, Text, json_response
from widedeep_kb.serving.state import ServerState

_PAGE = 100  # facts of a page, unless a client says otherwise
Record = Annotated[dict[str, Any], Field(json_schema_extra={"properties": {n: {} for n in FACT_SCHEMA}})]
Name = Annotated[Text, Field(max_length=MAX_NAME)]


class Facts(BaseModel):
    """Facts, with the columns of a facts file as fields."""

    model_config = ConfigDict(extra="forbid")

    facts: Annotated[list[Record], Field(min_length=1)]
    mode: Literal["replace", "extend"] = "replace"
    memory: Name | None = None


class Which(BaseModel):
    """Facts by exactly one of four names."""

    model_config = ConfigDict(extra="forbid")

    fact_ids: Annotated[list[Text], Field(min_length=1)] | None = None
    subject: Text | None = None
    source: Text | None = None
    facts: Annotated[list[Record], Field(min_length=1)] | None = None
    memory: Name | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Which:
        given = [name for name in ("fact_ids", "subject", "source", "facts") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"name facts by exactly one of fact_ids, subject, source, facts, not by {len(given)}")
        return self


def router_for(state: ServerState) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["facts"])
    may_write = [Depends(requires(state.tokens, "write"))]

    @router.get("/v1/facts")
    def list_facts(
        subject: Text | None = None,
        relation: Text | None = None,
        source: Text | None = None,
        limit: Annotated[int, Query(ge=1)] | None = None,
        after: Annotated[int, Query(ge=-1, lt=2**62)] = -1,
        memory: Name | None = None,
    ) -> Response:
        """Live facts, in the order in which they were written; `after` is the `next` of the page before."""
        most = state.limits.max_facts_per_call
        if limit is not None and limit > most:
            raise ApiError(422, f"limit: at most {most}, got {limit}", param="limit")
        limit = min(_PAGE, most) if limit is None else limit
        store = state.memory(memory).store
        with store.lock:
            catalogue = store.catalogue.frozen()
        found = _listed(catalogue, subject=subject, relation=relation, source=source, after=after)
        page = found.head(limit)
        following = int(page["ordinal"][-1]) if found.height > limit else None
        return json_response({"facts": _records(page), "next": following, "num_facts": len(catalogue)})

    @router.get("/v1/facts/{fact_id}")
    def one_fact(fact_id: Text, memory: Name | None = None) -> Response:
        """One fact by its id."""
        catalogue = state.memory(memory).store.catalogue.frozen()
        found = catalogue.find(fact_ids=[fact_id])
        if found.absent:
            raise ApiError(404, f"no fact has the id {fact_id[:40]!r}", param="fact_id")
        return json_response(_records(catalogue.rows(found.ordinals))[0])

    @router.put("/v1/facts", dependencies=may_write)
    def write(body: Facts) -> Response:
        """Write facts, all of them or none; "replace" takes away the other values of their properties."""
        live = state.live(body.memory)
        facts = _checked(body.facts, state)
        try:
            report = live.memory.write(facts, mode=body.mode)
        except ValueError as error:
            raise ApiError(422, str(error), param="facts") from None
        except OSError as error:
            raise _unwritten(error) from None
        state.compact_if_due(live)
        for kind in ("added", "removed"):
            state.metrics.changes.labels(kind).inc(getattr(report, kind))
        return json_response({**vars(report), "fact_ids": facts["fact_id"].to_list()})

    @router.delete("/v1/facts", dependencies=may_write)
    def erase(body: Which) -> Response:
        """Erase facts; what is not there is named, and is no error."""
        live = state.live(body.memory)
        names = {name: getattr(body, name) for name in ("fact_ids", "subject", "source")}
        names["facts"] = None if body.facts is None else _checked(body.facts, state)
        if body.fact_ids is not None and len(body.fact_ids) > state.limits.max_facts_per_call:
            raise ApiError(413, f"fact_ids: at most {state.limits.max_facts_per_call} in a call", param="fact_ids")
        erased, absent = _erase(live, names)
        state.metrics.changes.labels("erased").inc(erased.height)
        return json_response({"erased": _records(erased), "num_erased": erased.height, "absent": absent})

    @router.post("/v1/compact", dependencies=may_write)
    def compact(memory: Name | None = None) -> Response:
        """Write a new snapshot: no byte of what was erased or replaced stays in the memory's folder."""
        live = state.live(memory)
        try:
            live.compact()
        except OSError as error:
            raise _unwritten(error) from None
        return json_response({"num_facts": len(live.memory.store), "journal_bytes": live.journal_bytes})

    return router


def _erase(live: LiveMemory, names: dict[str, object]) -> tuple[pl.DataFrame, list[str]]:
    """Erase what is found; nobody else changes facts between finding and erasing."""
    memory = live.memory
    with memory.changing:
        found = memory.store.catalogue.find(**names)
        try:
            return memory.erase(found.ordinals), found.absent
        except OSError as error:
            raise _unwritten(error) from None


def _checked(records: Sequence[dict], state: ServerState) -> pl.DataFrame:
    """Records as a facts frame.

    Raises:
        ApiError: 413, too many; 422, one is malformed.
    """
    if len(records) > (most := state.limits.max_facts_per_call):
        raise ApiError(413, f"facts: at most {most} in a call, got {len(records)}", param="facts")
    try:
        return facts_from_records(records)
    except ValueError as error:
        raise ApiError(422, str(error), param="facts") from None


def _unwritten(error: OSError) -> ApiError:
    return ApiError(507, f"the change could not be written to disk: {error}", code="not_written")


def _listed(
    catalogue: FactCatalogue, *, subject: str | None, relation: str | None, source: str | None, after: int
) -> pl.DataFrame:
    if subject is not None:
        ordinals = np.sort(catalogue.find(subject=subject).ordinals)
        found = catalogue.rows(ordinals[ordinals > after])
    else:
        found = catalogue.where(pl.col("ordinal") > after, ["ordinal", *FACT_SCHEMA])
    if relation is not None:
        found = found.filter(normalise_texts(found["relation"]) == normalise_text(relation))
    return found if source is None else found.filter(pl.col("source") == source)


def _records(facts: pl.DataFrame) -> list[dict]:
    return facts.select("fact_id", *FILE_COLUMNS).to_dicts()
