"""`config.json` of a memory folder: which snapshot is the memory, and of which LLM and reader. Needs no torch."""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

CONFIG_NAME = "config.json"
FORMAT = 1
ROW_FORMATS = ("fp32", "fp16", "bf16", "int8", "int4", "compact")  # how rows are stored


class FolderConfig(NamedTuple):
    """What `config.json` says.

    Attributes:
        folder: the memory folder.
        snapshot: the folder of the reader, the facts and their rows.
        llm_name, llm_revision: of the LLM.
        row_format: of the reader that wrote the rows.
        use_deep: read the deep memory too.
        use_semantic: guess the name that a question means where exact keys find none.
        version: of the folder; no two saves have the same.
    """

    folder: Path
    snapshot: Path
    llm_name: str
    llm_revision: str
    row_format: str
    use_deep: bool
    use_semantic: bool
    version: str


def version_of(data: bytes) -> str:
    """The version of a folder with this `config.json`."""
    return blake2b(data).hexdigest()[:16]


def read_config(folder: Path) -> FolderConfig:
    """Read `config.json` of a memory folder.

    Raises:
        ValueError: there is none, or it is damaged or of another release.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ValueError(f"{str(folder)!r} is not a memory folder: it has no {CONFIG_NAME}")
    data = path.read_bytes()
    try:
        values = json.loads(data)
        if values["format"] != FORMAT:
            raise ValueError(f"{str(path)!r} has format {values['format']}, this release reads {FORMAT}")
        return FolderConfig(
            folder,
            folder / values["snapshot"],
            llm_name=values["llm"]["name"],
            llm_revision=values["llm"]["revision"],
            row_format=values["row_format"],
            use_deep=values["use_deep"],
            use_semantic=values.get("use_semantic", False),  # absent in folders of former releases
            version=version_of(data),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}") from error
