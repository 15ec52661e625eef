"""What is on disk in a memory folder, read without torch so that looking at a memory is quick.

Polars too is imported only when a catalogue is read: `--help` imports this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.memory.config import read_config

if TYPE_CHECKING:
    from widedeep_kb.facts import FactCatalogue

CATALOGUE_NAME = "facts.parquet"
ROWS_NAME = "rows.safetensors"
NAMES_NAME = "names.safetensors"


def read_catalogue(folder: Path) -> FactCatalogue:
    """Read the live facts of a memory folder; again if another process switched snapshots meanwhile.

    Raises:
        ValueError: no memory folder, or its catalogue or journal is missing or damaged.
    """
    from widedeep_kb.facts import FactCatalogue
    from widedeep_kb.memory.journal import entries

    while True:
        snapshot = read_config(folder).snapshot
        try:
            catalogue = FactCatalogue.load(snapshot / CATALOGUE_NAME)
            for entry in entries(snapshot):
                catalogue.apply(entry.changes(catalogue))
            return catalogue
        except (ValueError, OSError):
            if read_config(folder).snapshot == snapshot:
                raise
