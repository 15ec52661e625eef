"""Opening a memory for a command: libraries kept quiet, torch imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.memory.config import read_config
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from widedeep_kb.model import KnowledgeMemory


def open_memory(folder: Path, *, llm: str | None = None, reader: Path | None = None) -> KnowledgeMemory:
    """Open a memory folder.

    Args:
        folder: the memory folder.
        llm: in the place of the LLM named in the folder; it must be the same one, elsewhere perhaps.
        reader: folder of a reader whose rows are those of the memory.

    Raises:
        ValueError: no memory folder, a damaged one, or one of another LLM or reader.
    """
    read_config(folder)  # before torch is imported
    return memory_type().from_pretrained(folder, llm=llm, reader=reader)


def memory_type() -> type[KnowledgeMemory]:
    """`KnowledgeMemory`, imported now."""
    quiet_libraries()
    from widedeep_kb.model import KnowledgeMemory

    return KnowledgeMemory
