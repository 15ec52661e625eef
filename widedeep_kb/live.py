"""A memory folder held open while it is used and changed: each change is on disk when the call returns.

    with live_memory("my-memory") as live:
        live.memory.write([{"subject": "Aurora", "relation": "port", "object": "8443"}])   # survives a power cut
        live.memory.ask("Which port does Aurora use?")

Threads: any number may ask while one changes facts; changes wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widedeep_kb.memory.changing import FolderLock, changing
from widedeep_kb.memory.config import CONFIG_NAME, read_config
from widedeep_kb.memory.journal import Journal
from widedeep_kb.model import KnowledgeMemory


class LiveMemory:
    """A memory whose changes go to its folder's journal first; made by `live_memory`.

    Attributes:
        memory: to be asked, written to and erased from.
        folder: of the memory; no other process can change it meanwhile.
    """

    def __init__(self, memory: KnowledgeMemory, lock: FolderLock) -> None:
        self.memory, self.folder, self._lock = memory, lock.folder, lock
        memory.journal = Journal(read_config(lock.folder).snapshot)

    @property
    def journal_bytes(self) -> int:
        """Bytes of the changes since the last snapshot."""
        return self.memory.journal.size_bytes

    @property
    def is_behind(self) -> bool:
        """Whether the memory holds a change that could not be written to disk: it takes no more then."""
        return self.memory.journal.is_behind

    def compact(self) -> None:
        """Write a new snapshot with an index made anew, and remove the former one with its journal: nothing is left of
        erased facts. Questions are answered meanwhile.

        Raises:
            OSError: the snapshot cannot be written; the former one and its journal stay as they are.
        """
        with self.memory.changing:
            self.memory.store.rebuild_index()
            self.memory.save(self.folder, lock=self._lock)


@contextmanager
def live_memory(
    folder: str | Path, *, may_create: bool = False, row_format: str | None = None, **options: object
) -> Iterator[LiveMemory]:
    """Hold a memory folder open for changes until the `with` block is left.

    Args:
        folder: the memory folder.
        may_create: start an empty memory where there is none.
        row_format: of an empty memory's rows, see `KnowledgeMemory.from_pretrained`.
        **options: `llm`, `reader`, `device`, `gpu_row_bytes`, `row_device` of `KnowledgeMemory.from_pretrained`.

    Raises:
        ValueError: no memory folder, a damaged one, or another process is changing it.
    """
    folder = Path(folder)
    with changing(folder, may_create=may_create) as lock:
        if (folder / CONFIG_NAME).exists():
            memory = KnowledgeMemory.from_pretrained(folder, **options)
        else:
            memory = KnowledgeMemory.from_pretrained(row_format=row_format or "fp16", **options)
            memory.save(folder, lock=lock)
        live = LiveMemory(memory, lock)
        try:
            yield live
        finally:
            memory.journal.close()
            memory.journal = None
