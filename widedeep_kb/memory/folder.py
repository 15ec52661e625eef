"""A memory folder on disk: `config.json` names the current snapshot; a save writes a new one and then switches.

`config.json` is replaced atomically as the last step, so that an interrupted save leaves the former memory. The LLM is
recorded by name and hash, never by its weights.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader
from widedeep_kb.memory.store import FactStore

if TYPE_CHECKING:
    from widedeep_kb.model import KnowledgeMemory

CONFIG_NAME = "config.json"
FORMAT = 1
READERS = Path(__file__).resolve().parent.parent / "readers"


@dataclass(frozen=True)
class StoredMemory:
    """A memory folder whose `config.json` has been read."""

    folder: Path
    snapshot: Path
    llm_name: str
    llm_revision: str
    row_format: str
    use_deep: bool

    def open(self, lm: FrozenLM, *, reader: str | Path | Reader | None, make: Callable[..., Any]) -> KnowledgeMemory:
        """Load reader and store and put them together.

        Raises:
            ValueError: the folder belongs to another LLM, or the given reader did not write its rows.
        """
        if lm.identity.revision != self.llm_revision:
            raise ValueError(
                f"the memory {str(self.folder)!r} belongs to the LLM {self.llm_name!r} ({self.llm_revision[:12]}), "
                f"not to {lm.identity.name!r} ({lm.identity.revision[:12]})"
            )
        if reader is None:
            reader = self.snapshot / "reader"
        loaded = reader if isinstance(reader, Reader) else Reader.load(Path(reader))
        if loaded.row_format() != self.row_format:
            raise ValueError(
                f"the rows in {str(self.folder)!r} were written by reader {self.row_format}, not by "
                f"{loaded.row_format()}: `widedeep-kb rewrite` encodes the facts anew"
            )
        width = loaded.writer.row_width
        store = FactStore.load(self.snapshot, width, word_vectors=lm.word_vectors, device=lm.device)
        return make(lm, loaded, store=store, use_deep=self.use_deep)


def read_folder(folder: Path) -> StoredMemory:
    """Read the config of a memory folder.

    Raises:
        ValueError: no memory there, or a damaged or newer config.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ValueError(f"{str(folder)!r} is not a memory folder: it has no {CONFIG_NAME}")
    try:
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise ValueError(f"{str(path)!r} has format {values['format']}, this release reads {FORMAT}")
        return StoredMemory(
            folder=folder,
            snapshot=folder / values["snapshot"],
            llm_name=values["llm"]["name"],
            llm_revision=values["llm"]["revision"],
            row_format=values["row_format"],
            use_deep=values["use_deep"],
        )
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}") from error


def write_folder(folder: Path, *, lm: FrozenLM, reader: Reader, store: FactStore, use_deep: bool) -> None:
    """Write a new snapshot into `folder`, switch to it, then delete the former ones."""
    folder.mkdir(parents=True, exist_ok=True)
    former = sorted(path for path in folder.glob("snapshot-*") if path.is_dir())
    number = max((int(path.name.split("-")[1]) for path in former), default=0) + 1
    snapshot = folder / f"snapshot-{number:06d}"
    reader.save(snapshot / "reader")
    store.save(snapshot)
    config = {
        "format": FORMAT,
        "snapshot": snapshot.name,
        "llm": {"name": lm.identity.name, "revision": lm.identity.revision},
        "row_format": reader.row_format(),
        "use_deep": use_deep,
        "num_facts": len(store),
    }
    temporary = folder / f".{CONFIG_NAME}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(config, indent=1) + "\n")
    for path in snapshot.rglob("*"):
        _sync(path)
    _sync(temporary)
    os.replace(temporary, folder / CONFIG_NAME)
    _sync(folder)
    for path in former:
        shutil.rmtree(path)


def shipped_reader(lm: FrozenLM) -> Path:
    """The folder of the reader shipped for an LLM.

    Raises:
        ValueError: there is none; the message says how to train one.
    """
    for path in sorted(READERS.glob("*/reader.json")):
        if json.loads(path.read_text())["llm_revision"] == lm.identity.revision:
            return path.parent
    raise ValueError(
        f"no reader is shipped for the LLM {lm.identity.name!r}: train one with `widedeep-kb reader --llm`"
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
