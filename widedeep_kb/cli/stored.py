"""What is on disk in a memory folder, read without torch so that looking at a memory is quick.

Polars too is imported only when a catalogue is read: `--help` imports this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from widedeep_kb.facts import FactCatalogue

CONFIG_NAME = "config.json"
CATALOGUE_NAME = "facts.parquet"
ROWS_NAME = "rows.safetensors"
FORMAT = 1


class FolderConfig(NamedTuple):
    """The parts of `config.json` that can be shown without opening the memory."""

    snapshot: Path
    llm_name: str
    llm_revision: str
    row_format: str


def read_config(folder: Path) -> FolderConfig:
    """Read `config.json` of a memory folder.

    Raises:
        ValueError: there is none, or it is damaged or of another release.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ValueError(f"{str(folder)!r} is not a memory folder: it has no {CONFIG_NAME}")
    try:
        values = json.loads(path.read_bytes())
        if values["format"] != FORMAT:
            raise ValueError(f"{str(path)!r} has format {values['format']}, this release reads {FORMAT}")
        llm = values["llm"]
        return FolderConfig(folder / values["snapshot"], llm["name"], llm["revision"], values["row_format"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}") from error


def read_catalogue(folder: Path) -> FactCatalogue:
    """Read the live facts of a memory folder; again if another process switched snapshots meanwhile.

    Raises:
        ValueError: no memory folder, or its catalogue is missing or damaged.
    """
    from widedeep_kb.facts import FactCatalogue

    while True:
        snapshot = read_config(folder).snapshot
        try:
            return FactCatalogue.load(snapshot / CATALOGUE_NAME)
        except (ValueError, OSError):
            if read_config(folder).snapshot == snapshot:
                raise
