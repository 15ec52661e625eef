"""The journal of a snapshot: every change since it was written, on disk before the change is acknowledged.

One SQLite file beside the snapshot's others, in WAL mode with full synchronisation: a transaction is an entry, and
what a crash leaves of an unfinished one is cut off when the file is opened next. Each entry carries a digest of itself
and of the entry before it, so that damage and gaps are told from an honest end.

In: changes of facts, with the rows of the added ones as bytes. Out: the same again, in order. Needs no torch.
Letters: n added facts.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from widedeep_kb.facts import Changes, FactCatalogue

FILE_NAME = "journal.sqlite"
MAX_ENTRY_BYTES = 512 << 20  # SQLite's own limit is just below 1 GB
_TABLE = (
    "CREATE TABLE IF NOT EXISTS entries "
    "(number INTEGER PRIMARY KEY, removed BLOB NOT NULL, facts BLOB NOT NULL, rows BLOB NOT NULL, digest BLOB NOT NULL)"
)
_FIRST = b"\0" * 16
_BUSY_S = 30.0  # how long another process is waited for


@dataclass(frozen=True)
class Entry:
    """One change.

    Attributes:
        removed: int64 ordinals of the facts that go.
        added_rows: the added facts in `CATALOGUE_SCHEMA`, n.
        rows: their rows as bytes, see `replaying.row_bytes`; the journal does not look into them.
    """

    removed: np.ndarray
    added_rows: pl.DataFrame
    rows: bytes

    @property
    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not len(self.removed) and not self.added_rows.height

    def changes(self, catalogue: FactCatalogue) -> Changes:
        """What the entry does to the catalogue it was made for.

        Raises:
            ValueError: it is another one: a fact that goes is not there.
        """
        added = self.added_rows["ordinal"].to_numpy()
        removed_rows = catalogue.rows(self.removed)
        return Changes(added, self.removed, unchanged=0, removed_rows=removed_rows, added_rows=self.added_rows)

    def parts(self) -> tuple[bytes, bytes, bytes]:
        """The columns `removed`, `facts` and `rows` of the table."""
        facts = io.BytesIO()
        self.added_rows.write_ipc(facts)
        return np.asarray(self.removed, dtype="<i8").tobytes(), facts.getvalue(), self.rows

    @classmethod
    def from_parts(cls, removed: bytes, facts: bytes, rows: bytes) -> Entry:
        """What `parts` returned."""
        return cls(np.frombuffer(removed, dtype="<i8"), pl.read_ipc(io.BytesIO(facts)), rows)


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
        parts = entry.parts()
        if (size := max(map(len, parts))) > MAX_ENTRY_BYTES:
            raise ValueError(f"a change of {size:,} bytes is more than a journal takes ({MAX_ENTRY_BYTES:,})")
        number, digest = self.number + 1, _digest(self._digest, parts)
        database = self._open()
        with _as_os_error(self.path):
            database.execute("BEGIN IMMEDIATE")
        has_run = False
        try:
            with _as_os_error(self.path):
                database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (number, *parts, digest))
            yield
            has_run = True
            with _as_os_error(self.path):
                database.execute("COMMIT")
        except BaseException:
            self.is_behind = has_run
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


def entries(snapshot: Path) -> Iterator[Entry]:
    """The changes of a snapshot's journal, in order.

    Raises:
        ValueError: the file is damaged, or an entry is.
    """
    path = snapshot / FILE_NAME
    number, digest = 0, _FIRST
    for found, *parts, kept in _read(path, "SELECT * FROM entries ORDER BY number"):
        number, digest = number + 1, _digest(digest, parts)
        if found != number:
            raise ValueError(f"{path}: entry {number} is missing")
        if kept != digest:
            raise ValueError(f"{path}: entry {number} is damaged, or one before it is missing")
        yield Entry.from_parts(*parts)


def last_number(snapshot: Path) -> int:
    """Number of the last entry of a snapshot's journal, 0 = none.

    Raises:
        ValueError: the file is damaged.
    """
    return _end(snapshot / FILE_NAME)[0]


def _end(path: Path) -> tuple[int, bytes]:
    """Number and digest of the last entry."""
    last = (0, _FIRST)
    for number, digest in _read(path, "SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1"):
        last = (number, digest)
    return last


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


def _digest(before: bytes, parts: Sequence[bytes]) -> bytes:
    """Of an entry's columns and the digest before it."""
    state = blake2b(before, digest_size=len(_FIRST))
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
