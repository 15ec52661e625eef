"""What a memory folder still holds of facts: every file is searched, as bytes and as the tables that it holds.

In: facts with their rows, keys and texts (`traces_of`), and a folder. Out: what was found, file by file. Searched as
bytes are rows as they are stored, index keys, fact_ids and texts of eight bytes or more; in decoded tables (parquet,
SQLite, Arrow, JSON) whole cells of any length. What has too few bytes to be told from chance (the optimizer state of a
row, ordinals) is checked where it belongs: free rows and their state must be zero, and indexes hold live facts only.

Letters: N traces, F facts.
"""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file

from widedeep_kb.memory.array_file import load_arrays, part_of
from widedeep_kb.memory.bucket_table import WIDTH, rows_of
from widedeep_kb.memory.retrieval import FILE_NAME as INDEX_FILE
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.memory.store import CATALOGUE_FILE, ROWS_FILE, FactStore
from widedeep_kb.schema import statement_prefix

LEAST_BYTES = 8
"""Shorter texts are looked for as whole cells only."""
_TEXTS = ("subject", "object", "statement", "subject_id", "source", "relation")
_LISTS = ("subject_aliases", "object_aliases")
_KEYED = ("subjects.forms", "subjects.numbers", "facts", "crosses")  # indexes whose keys are hashes of texts
_HASHES = ("subjects.words.keys", "subjects.hashes", "subjects.own_keys", "relations.cue_hashes")
_HASHES = (*_HASHES, "relations.vocabulary.keys")
_WORDS = 1 << 20  # compared at a time


@dataclass(frozen=True)
class Trace:
    """Something that only the facts looked for have.

    Attributes:
        kind: "row", "key", "fact_id" or "text".
        data: its bytes, UTF-8 of texts.
    """

    kind: str
    data: bytes


@dataclass
class FileReport:
    """What a file holds of the facts.

    Attributes:
        name: path inside the folder.
        num_bytes: of the file.
        found: kind -> number of different traces.
    """

    name: str
    num_bytes: int
    found: Counter[str] = field(default_factory=Counter)


def traces_of(store: FactStore, ordinals: np.ndarray, *, others: FactStore) -> list[Trace]:
    """Everything that facts have and nothing in another store has.

    Args:
        store: holds the facts.
        ordinals: int64 [F], live in `store`.
        others: holds the same facts but for these.
    """
    facts = store.catalogue.rows(ordinals)
    texts = _texts_of(facts) - _texts_of(others.catalogue.rows(others.catalogue.alive()))
    found = {Trace("fact_id", name.encode()) for name in facts["fact_id"].to_list()}
    found |= {Trace("text", text.encode()) for text in texts if text}
    made = Retriever(store.retriever.budget, word_vectors=store.word_vectors)
    columns = (facts[name].to_list() for name in ("subject", "subject_aliases", "subject_id", "relation"))
    names = ("subjects", "aliases", "subject_ids", "relations")
    made.add(ordinals, **dict(zip(names, columns, strict=True)))
    keys = np.setdiff1d(index_keys(made), index_keys(others.retriever))
    found |= {Trace("key", int(key).to_bytes(8, "little")) for key in keys[keys > np.uint64(1 << 32)]}
    ids, _ = store.row_ids_of(ordinals[:, None])
    rows = store.table.weight.detach()[ids[ids >= 0]].cpu().contiguous()
    found |= {Trace("row", row.numpy().tobytes()) for row in rows.view(rows.shape[0], -1).view(torch.uint8)}
    traces = sorted(found, key=lambda trace: (trace.kind, trace.data))
    blob = "\n".join(sorted(_texts_of(others.catalogue.rows(others.catalogue.alive())))).encode()
    inside = set(search(blob, [trace.data for trace in traces]))
    return [trace for place, trace in enumerate(traces) if place not in inside]


def index_keys(retriever: Retriever) -> np.ndarray:
    """uint64, ascending: every hash of a text in an index, and every word of its tables that holds one."""
    with tempfile.TemporaryDirectory() as name:
        retriever.save(Path(name))
        arrays = load_arrays(Path(name) / INDEX_FILE, is_mapped=False)
    parts = [arrays[name].reshape(-1) for name in _HASHES]
    for name in _KEYED:
        table = arrays[f"{name}.table"]
        is_live = table[:, WIDTH:] != 0
        parts.append(table[:, :WIDTH][is_live])
        if name in ("facts", "crosses"):  # by ordinal: the others hold numbers that differ between indexes
            parts.append(table[:, WIDTH:][is_live])
    return np.unique(np.concatenate(parts))


def scan(folder: Path, traces: Sequence[Trace]) -> list[FileReport]:
    """Look for traces in every file of a folder, hidden ones included; the folder is only read."""
    reports = []
    cells = {trace.data.decode(): trace.kind for trace in traces if trace.kind in ("text", "fact_id")}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        report = FileReport(str(path.relative_to(folder)), path.stat().st_size)
        met: set[tuple[str, bytes]] = set()
        for data in _byte_parts(path):
            met |= {(traces[i].kind, traces[i].data) for i in search(data, [trace.data for trace in traces])}
        met |= {(cells[cell], cell.encode()) for cell in _cells(path) if cell in cells}
        report.found.update(kind for kind, _ in met)
        reports.append(report)
    return reports


def leftovers(snapshot: Path) -> list[str]:
    """What a snapshot holds of no live fact: rows and optimizer state that are not zero, ordinals in its indexes."""
    tensors = load_file(snapshot / ROWS_FILE)
    free = ~tensors["is_live"]
    states = [
        name for name in ("rows", "momentum") if len(tensors.get(name, ())) == len(free)
    ]  # packed rows have no momentum
    found = [f"{name} of free rows" for name in states if tensors[name][free].any()]
    alive = pl.read_parquet(snapshot / CATALOGUE_FILE, columns=["ordinal"], glob=False)["ordinal"].to_numpy()
    if (np.delete(tensors["first_rows"].numpy(), alive) >= 0).any():
        found.append("row numbers of facts that are gone")
    arrays = load_arrays(snapshot / INDEX_FILE)
    for name in ("facts", "crosses"):
        part = part_of(arrays, name)
        words = part["table"][:, WIDTH:].reshape(-1)
        if len(np.setdiff1d(rows_of(words[words != 0], part["pool"]).values, alive)):
            found.append(f"ordinals in the index of {name}")
    if np.delete(arrays["namings"], alive[alive < len(arrays["namings"])]).max(initial=-1) >= 0:
        found.append("namings of facts that are gone")
    return found


def search(data: bytes, wanted: Sequence[bytes]) -> list[int]:
    """Which of the byte strings, those of `LEAST_BYTES` or more, are in `data`: their places in `wanted`, ascending."""
    long = [i for i, text in enumerate(wanted) if len(text) >= LEAST_BYTES]
    if not long or len(data) < LEAST_BYTES:
        return []
    starts = [_telling(wanted[i]) for i in long]
    prints = np.array(
        [int.from_bytes(wanted[i][s : s + 8], "little") for i, s in zip(long, starts, strict=True)], np.uint64
    )
    order = np.argsort(prints, kind="stable")
    ranked, found = prints[order], set()
    for shift in range(8):
        words = np.frombuffer(data, "<u8", (len(data) - shift) // 8, shift)
        for first in range(0, len(words), _WORDS):
            part = words[first : first + _WORDS]
            low = np.searchsorted(ranked, part)
            for place in np.flatnonzero(ranked[np.minimum(low, len(ranked) - 1)] == part):
                for rank in range(int(low[place]), int(np.searchsorted(ranked, part[place], side="right"))):
                    number = order[rank]
                    begin = shift + 8 * (first + int(place)) - starts[number]
                    text = wanted[long[number]]
                    if begin >= 0 and data[begin : begin + len(text)] == text:
                        found.add(long[number])
    return sorted(found)


def _telling(text: bytes) -> int:
    """Where eight bytes of it begin that are not all alike, if there are such."""
    places = range(0, len(text) - 7, 8)
    return max(places, key=lambda place: len(set(text[place : place + 8])))


def _byte_parts(path: Path) -> Iterator[bytes]:
    """The file, and the blobs of an SQLite file, which are cut into pages there."""
    yield path.read_bytes()
    for cell in _sqlite_cells(path):
        if isinstance(cell, bytes):
            yield cell


def _cells(path: Path) -> Iterator[str]:
    """All texts in the tables of a file."""
    if path.suffix == ".parquet":
        yield from _frame_cells(pl.read_parquet(path, glob=False))
    elif path.suffix == ".json":
        yield from _json_cells(json.loads(path.read_text(encoding="utf-8")))
    elif path.name in (INDEX_FILE, "names.safetensors"):
        arrays = load_arrays(path)
        for name in ("relations.names", "meta"):
            if name in arrays:
                yield from _json_cells(json.loads(arrays[name].tobytes().decode("utf-8", "surrogatepass")))
    for cell in _sqlite_cells(path):
        if isinstance(cell, str):
            yield cell
        elif isinstance(cell, bytes) and cell.startswith(b"ARROW1"):
            yield from _frame_cells(pl.read_ipc(io.BytesIO(cell)))


def _sqlite_cells(path: Path) -> Iterator[object]:
    """Every value in every table of an SQLite file; read from a copy, since reading may write beside it."""
    if path.suffix != ".sqlite":
        return
    with tempfile.TemporaryDirectory() as name:
        for end in ("", "-wal"):
            if (source := path.with_name(path.name + end)).exists():
                shutil.copy(source, name)
        with closing(sqlite3.connect(Path(name) / path.name)) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - the file's own names
                    yield from row


def _frame_cells(frame: pl.DataFrame) -> Iterator[str]:
    for column in frame.iter_columns():
        texts = column.explode() if column.dtype == pl.List(pl.String()) else column
        if texts.dtype == pl.String():
            yield from texts.drop_nulls().unique().to_list()


def _json_cells(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name == "templates":  # by relation
                yield from item
            yield from _json_cells(item)
    elif isinstance(value, list):
        for item in value:
            yield from _json_cells(item)


def _texts_of(facts: pl.DataFrame) -> set[str]:
    """All texts of facts, the sentences that the writer reads included."""
    found = {text for name in _TEXTS for text in facts[name].drop_nulls().to_list()}
    found |= {text for name in _LISTS for text in facts[name].explode().drop_nulls().to_list()}
    rows = facts.select("subject", "relation", "object", "statement").to_dicts()
    return found | {f"{statement_prefix(row)} {row['object']}" for row in rows}
