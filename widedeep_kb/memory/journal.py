"""The journal of a snapshot: every change since it was written, on disk before the change is acknowledged.

One SQLite file beside the snapshot's others, in WAL mode with full synchronisation: a transaction is an entry, and
what a crash leaves of an unfinished one is cut off when the file is opened next. Each entry carries a digest of itself
and of the entry before it, so that damage and gaps are told from an honest end.

In: `Changes` with the rows of the added facts as the table stores them. Out: the same again, in order.
Letters: n added facts, R rows of them, D row width.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from widedeep_kb.facts import CATALOGUE_SCHEMA, Changes
from widedeep_kb.memory.store import FactStore

FILE_NAME = "journal.sqlite"
MAX_ENTRY_BYTES = 512 << 20  # SQLite's own limit is just below 1 GB
_TABLE = "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, change BLOB NOT NULL, digest BLOB NOT NULL)"
_FIRST = b"\0" * 16
_BUSY_S = 30.0  # how long another process is waited for


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        removed: int64 ordinals of the facts that go.
        added_rows: the added facts in `CATALOGUE_SCHEMA`, n.
        rows: [R, D] of the added facts, as the table stores them.
        num_rows: int64 [n].
    """

    removed: np.ndarray
    added_rows: pl.DataFrame
    rows: Tensor
    num_rows: np.ndarray

    @classmethod
    def of_erasing(cls, store: FactStore, ordinals: np.ndarray) -> Entry:
        """Facts go, none come."""
        table = store.table
        nothing = np.zeros(0, dtype=np.int64)
        return cls(np.unique(ordinals), pl.DataFrame(schema=CATALOGUE_SCHEMA), table.weight[:0], nothing)

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not len(self.removed) and not len(self.num_rows)

    def to_bytes(self) -> bytes:
        """The entry as the bytes of a safetensors file."""
        facts = io.BytesIO()
        self.added_rows.write_ipc(facts)
        tensors = {
            "removed": torch.from_numpy(np.array(self.removed, dtype=np.int64)),
            "facts": torch.frombuffer(bytearray(facts.getvalue()), dtype=torch.uint8),
            "rows": self.rows.cpu().contiguous(),
            "num_rows": torch.from_numpy(np.array(self.num_rows, dtype=np.int64)),
        }
        return save(tensors)

    @classmethod
    def from_bytes(cls, data: bytes) -> Entry:
        """What `to_bytes` made."""
        tensors = load(data)
        facts = pl.read_ipc(io.BytesIO(tensors["facts"].numpy().tobytes()))
        return cls(tensors["removed"].numpy(), facts, tensors["rows"], tensors["num_rows"].numpy())


class Journal:
    """The journal of a snapshot, open for appending. One process at a time, the holder of the folder's lock.

    Args:
        snapshot: the snapshot's folder; the file is made there with the first entry.

    Attributes:
        number: of the last entry, 0 = none.
        is_behind: a change was made that could not be written; no other is taken.

    Raises:
        ValueError: the file is damaged.
    """

    def __init__(self, snapshot: Path) -> None:
        self.path = snapshot / FILE_NAME
        self.is_behind = False
        self.number, self._digest = _end(self.path)
        self._database: sqlite3.Connection | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, of the file and of SQLite's log beside it."""
        paths = [self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm"))]
        return sum(path.stat().st_size for path in paths if path.exists())

    @contextmanager
    def appending(self, entry: Entry) -> Iterator[None]:
        """Have `entry` on disk when the `with` block is left; if the block raises, there is no such entry.

        Raises:
            ValueError: the entry takes more than `MAX_ENTRY_BYTES`; the block is not run.
            OSError: it cannot be written. Where the block has been run already, `is_behind` is set.
        """
        if self.is_behind:
            raise OSError(f"{self.path}: a change could not be written here: open the memory again")
        data = entry.to_bytes()
        if len(data) > MAX_ENTRY_BYTES:
            raise ValueError(f"a change of {len(data):,} bytes is more than a journal takes ({MAX_ENTRY_BYTES:,})")
        number, digest = self.number + 1, _digest(self._digest, data)
        database = self._open()
        with _as_os_error(self.path):
            database.execute("BEGIN IMMEDIATE")
        try:
            with _as_os_error(self.path):
                database.execute("INSERT INTO entries VALUES (?, ?, ?)", (number, data, digest))
            yield
            self.is_behind = True
            with _as_os_error(self.path):
                database.execute("COMMIT")
            self.is_behind = False
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self.number, self._digest = number, digest

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            is_new = not self.path.exists()
            with _as_os_error(self.path):
                database = _connect(self.path, mode="rwc")
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.execute(_TABLE)
            self._database = database
            if is_new:
                _sync(self.path.parent)
        return self._database


def replay(snapshot: Path, store: FactStore) -> int:
    """Make the changes of a snapshot's journal in the store that was loaded from it; returns the last one's number.

    Raises:
        ValueError: the file is damaged, or an entry is.
    """
    path = snapshot / FILE_NAME
    number, digest = 0, _FIRST
    for number, data, kept in _entries(path):  # noqa: B007 - the last number is returned
        digest = _digest(digest, data)
        if kept != digest:
            raise ValueError(f"{path}: entry {number} is damaged, or one before it is missing")
        _apply(store, _decoded(path, number, data))
    return number


def last_number(snapshot: Path) -> int:
    """Number of the last entry of a snapshot's journal, 0 = none.

    Raises:
        ValueError: the file is damaged.
    """
    return _end(snapshot / FILE_NAME)[0]


def _apply(store: FactStore, entry: Entry) -> None:
    removed_rows = store.catalogue.rows(entry.removed)
    added = entry.added_rows["ordinal"].to_numpy()
    if not added.size:
        store.erase(entry.removed)
        return
    changes = Changes(added, entry.removed, unchanged=0, removed_rows=removed_rows, added_rows=entry.added_rows)
    store.change(changes, entry.rows, num_rows=entry.num_rows)


def _decoded(path: Path, number: int, data: bytes) -> Entry:
    try:
        return Entry.from_bytes(data)
    except (SafetensorError, pl.exceptions.PolarsError, KeyError) as error:
        raise ValueError(f"{path}: entry {number} is unreadable: {str(error).splitlines()[0]}") from error


def _end(path: Path) -> tuple[int, bytes]:
    """Number and digest of the last entry."""
    last = (0, _FIRST)
    for number, digest in _read(path, "SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1"):
        last = (number, digest)
    return last


def _entries(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    expected = 1
    for number, data, digest in _read(path, "SELECT number, change, digest FROM entries ORDER BY number"):
        if number != expected:
            raise ValueError(f"{path}: entry {expected} is missing")
        yield number, data, digest
        expected += 1


def _read(path: Path, query: str) -> Iterator[tuple]:
    """Rows of a query; none where there is no journal, or one that was never finished."""
    if not path.exists():
        return
    try:
        with closing(_connect(path, mode="rw")) as database:
            if database.execute("SELECT name FROM sqlite_master WHERE name = 'entries'").fetchone() is None:
                return
            yield from database.execute(query)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path}: a damaged journal: {error}") from error


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Changes come from any thread, one at a time; transactions are ours to begin and end."""
    name = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(name, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, uri=True)


@contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def _digest(before: bytes, data: bytes) -> bytes:
    return blake2b(before + data, digest_size=16).digest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
