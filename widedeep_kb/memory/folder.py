"""A memory folder on disk: `config.json` names the current snapshot; a save writes a new one and then switches.

`config.json` is replaced atomically as the last step, so that an interrupted save leaves the former memory. The LLM is
recorded by name and hash, never by its weights. A save replaces only a state that the memory has seen, by opening or by
saving it, so that facts another process saved are never lost unnoticed.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.changing import FolderLock, changing, snapshots
from widedeep_kb.memory.config import CONFIG_NAME, FORMAT, FolderConfig, read_config, version_of
from widedeep_kb.memory.journal import Journal, last_number
from widedeep_kb.memory.packed import codec_for
from widedeep_kb.memory.reader import Reader
from widedeep_kb.memory.replaying import replay
from widedeep_kb.memory.store import FactStore
from widedeep_kb.memory.training_record import TrainingRecord

if TYPE_CHECKING:
    from widedeep_kb.model import KnowledgeMemory

READERS = Path(__file__).resolve().parent.parent / "readers"


def open_folder(
    folder: Path,
    lm: FrozenLM,
    *,
    reader: str | Path | Reader | None,
    make: Callable[..., Any],
    gpu_row_bytes: int | None = None,
    row_device: torch.device | str | None = None,
) -> KnowledgeMemory:
    """Load reader and store and put them together; again if another process saved meanwhile. Rows are kept on
    `row_device`, by default beside the LLM.

    Raises:
        ValueError: the folder is none or damaged, or of another LLM, or the given reader did not write its rows.
    """
    while True:
        config = read_config(folder)
        try:
            return _open(config, lm, reader=reader, make=make, gpu_row_bytes=gpu_row_bytes, row_device=row_device)
        except (ValueError, OSError):
            if read_config(folder).version == config.version:
                raise


def _open(
    config: FolderConfig,
    lm: FrozenLM,
    *,
    reader: str | Path | Reader | None,
    make: Callable[..., Any],
    gpu_row_bytes: int | None,
    row_device: torch.device | str | None,
) -> KnowledgeMemory:
    if lm.identity.revision != config.llm_revision:
        raise ValueError(
            f"the memory {str(config.folder)!r} belongs to the LLM {config.llm_name!r} ({config.llm_revision[:12]}), "
            f"not to {lm.identity.name!r} ({lm.identity.revision[:12]})"
        )
    is_own = reader is None
    if reader is None:
        reader = config.snapshot / "reader"
    loaded = reader if isinstance(reader, Reader) else Reader.load(Path(reader))
    if loaded.row_format() != config.row_format:
        raise ValueError(
            f"the rows in {str(config.folder)!r} were written by reader {config.row_format}, not by "
            f"{loaded.row_format()}: to change readers, export the facts and write them into a new memory"
        )
    width = loaded.writer.row_width
    places = {"device": row_device or lm.device, "gpu_row_bytes": gpu_row_bytes}
    places["codec_of"] = partial(
        codec_for, embedding_dim=width, writer=loaded.writer, embedding_weight=lm.embedding_weight
    )
    store = FactStore.load(config.snapshot, width, word_vectors=lm.word_vectors, **places)
    number = replay(config.snapshot, store)
    memory = make(lm, loaded, store=store, use_deep=config.use_deep, use_semantic=config.use_semantic)
    memory.versions[config.version] = number
    if is_own:  # another reader's weights were not trained by these trainings
        memory.record = TrainingRecord.load(config.snapshot)
    return memory


def save_folder(memory: KnowledgeMemory, folder: Path, *, overwrite: bool, lock: FolderLock | None) -> None:
    """Write a new snapshot of `memory` into `folder`, switch to it, then delete the former ones and their journals.

    Args:
        memory: its `versions` say which states of folders it has seen.
        folder: the memory folder.
        overwrite: replace a memory in any state.
        lock: held by the caller; None = taken here.

    Raises:
        ValueError: another process is changing the folder, it holds facts that `memory` has not seen, or no memory.
    """
    if lock is None:
        with changing(folder, may_create=True) as taken:
            return save_folder(memory, folder, overwrite=overwrite, lock=taken)
    if lock.folder != folder:
        raise ValueError(f"the lock is for {str(lock.folder)!r}, not for {str(folder)!r}")
    if not overwrite and (folder / CONFIG_NAME).exists() and not _has_seen(memory, read_config(folder)):
        raise ValueError(
            f"{str(folder)!r} holds facts that this memory has not seen (another process saved them, or it is another "
            "memory): open it and repeat the changes there, or save with overwrite=True to replace all it holds"
        )
    with memory.changing:
        _write_snapshot(memory, folder)


def _has_seen(memory: KnowledgeMemory, config: FolderConfig) -> bool:
    """Whether `memory` holds, or has changed, all facts of the folder."""
    if memory.journal is not None and memory.journal.path.parent == config.snapshot:
        return True
    return memory.versions.get(config.version, -1) >= last_number(config.snapshot)


def _write_snapshot(memory: KnowledgeMemory, folder: Path) -> None:
    former = snapshots(folder)
    number = max((int(path.name[9:]) for path in former), default=0) + 1
    snapshot = folder / f"snapshot-{number:06d}"
    memory.reader.save(snapshot / "reader")
    memory.store.save(snapshot, use_semantic=memory.use_semantic)
    memory.record.save(snapshot, memory.store.catalogue)
    config = {
        "format": FORMAT,
        "snapshot": snapshot.name,
        "llm": {"name": memory.lm.identity.name, "revision": memory.lm.identity.revision},
        "row_format": memory.reader.row_format(),
        "use_deep": memory.use_deep,
        "use_semantic": memory.use_semantic,
        "num_facts": len(memory.store),
        "save": uuid.uuid4().hex,  # tells this save from every other
    }
    data = (json.dumps(config, indent=1) + "\n").encode()
    temporary = folder / f".{CONFIG_NAME}.{os.getpid()}.tmp"
    temporary.write_bytes(data)
    for path in snapshot.rglob("*"):
        _sync(path)
    _sync(temporary)
    memory.versions[version_of(data)] = 0
    os.replace(temporary, folder / CONFIG_NAME)
    _sync(folder)
    if memory.journal is not None:
        memory.journal.close()
        memory.journal = Journal(snapshot)
    for path in former:
        shutil.rmtree(path)


def empty_store(
    lm: FrozenLM,
    reader: Reader,
    *,
    row_format: str = "fp16",
    gpu_row_bytes: int | None = None,
    row_device: torch.device | str | None = None,
) -> FactStore:
    """No facts yet, rows on `row_device`, by default beside the LLM.

    Raises:
        ValueError: no such row format, or `gpu_row_bytes` without a GPU.
    """
    width = reader.writer.row_width
    codec = codec_for(row_format, width, writer=reader.writer, embedding_weight=lm.embedding_weight)
    places = {"device": row_device or lm.device, "gpu_row_bytes": gpu_row_bytes}
    return FactStore(width, word_vectors=lm.word_vectors, row_format=row_format, codec=codec, **places)


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
