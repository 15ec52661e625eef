"""Opening a memory for a command: libraries kept quiet, torch imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.memory.config import read_config
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from widedeep_kb.model import KnowledgeMemory


def open_memory(
    folder: Path, *, llm: str | None = None, reader: Path | None = None, gpu_row_budget_gb: float | None = None
) -> KnowledgeMemory:
    """Open a memory folder.

    Args:
        folder: the memory folder.
        llm: in the place of the LLM named in the folder; it must be the same one, elsewhere perhaps.
        reader: folder of a reader whose rows are those of the memory.
        gpu_row_budget_gb: GPU memory for rows; None = all of them.

    Raises:
        ValueError: no memory folder, a damaged one, or one of another LLM or reader; a budget where there is no GPU.
    """
    read_config(folder)  # before torch is imported
    budget = gpu_row_bytes(gpu_row_budget_gb)
    return memory_type().from_pretrained(folder, llm=llm, reader=reader, gpu_row_bytes=budget)


def check_row_format(memory: KnowledgeMemory, row_format: str | None) -> None:
    """Raises ValueError if a memory that exists already was asked to store its rows in another format."""
    stored = memory.store.table.row_format
    if row_format not in (None, stored):
        raise ValueError(
            f"the memory stores its rows as {stored}, not as {row_format}: `widedeep-kb rewrite --memory DIR "
            f"--row-format {row_format}` changes that"
        )


def gpu_row_bytes(gpu_row_budget_gb: float | None) -> int | None:
    """A budget in bytes from one in GB (10^9 bytes)."""
    return None if gpu_row_budget_gb is None else int(gpu_row_budget_gb * 1e9)


def memory_type() -> type[KnowledgeMemory]:
    """`KnowledgeMemory`, imported now."""
    quiet_libraries()
    from widedeep_kb.model import KnowledgeMemory

    return KnowledgeMemory
