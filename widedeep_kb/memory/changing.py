"""Changing a memory folder: one process at a time, and a change that fails leaves the folder as it was.

The lock is an advisory lock of the operating system on `DIR/.lock`: it ends with the process that holds it, however
that ends. A `.lock` file that a killed process left behind locks nothing. Needs no torch.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from widedeep_kb.memory.config import CONFIG_NAME, read_config

LOCK_NAME = ".lock"


@dataclass(frozen=True)
class FolderLock:
    """A lock that is held: its holder may change `folder`."""

    folder: Path


@contextmanager
def changing(folder: Path, *, may_create: bool = False) -> Iterator[FolderLock]:
    """Hold a memory folder for one change.

    If the body raises, what it left in the folder is removed, and so are the folders made for it.

    Args:
        folder: the memory folder.
        may_create: make the folder where there is none.

    Raises:
        ValueError: no memory folder, something else is there, or another process is changing it.
    """
    if may_create:
        check_target(folder)
    else:
        read_config(folder)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder) as lock:
            if (folder / CONFIG_NAME).exists():
                remove_unfinished(folder)  # of a process that was killed: erased facts must not stay on disk
            try:
                yield lock
            except BaseException:
                remove_unfinished(folder)
                raise
    except BaseException:
        with suppress(OSError):  # another process may have begun to use them
            for path in made:
                path.rmdir()
        raise


def check_target(folder: Path) -> None:
    """Refuse to make a memory in a folder that holds other things.

    What an interrupted first write left behind (a snapshot without a config, and its lock) is no obstacle.

    Raises:
        ValueError: the path is a file, or a folder with other things in it.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is not a folder")
    if not folder.exists() or (folder / CONFIG_NAME).exists() or (folder / LOCK_NAME).exists():
        return
    if any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} is neither empty nor a memory folder (it has no {CONFIG_NAME})")


@contextmanager
def folder_lock(folder: Path) -> Iterator[FolderLock]:
    """Be the only process that changes `folder`.

    Raises:
        ValueError: another process is changing it; the message names that process.
    """
    path = folder / LOCK_NAME
    descriptor = _acquire(path)
    try:
        yield FolderLock(folder)
    finally:
        path.unlink(missing_ok=True)  # before the lock ends, so that nobody's else is removed
        os.close(descriptor)


def snapshots(folder: Path) -> list[Path]:
    """All snapshots in a memory folder, finished or not, oldest first."""
    found = (path for path in folder.glob("snapshot-*") if path.is_dir() and path.name[9:].isdecimal())
    return sorted(found, key=lambda path: int(path.name[9:]))


def remove_unfinished(folder: Path) -> None:
    """Remove every snapshot but the one that `config.json` names, and half-written configs."""
    current = None
    if (folder / CONFIG_NAME).exists():
        current = read_config(folder).snapshot
        if not current.is_dir():
            return  # a damaged memory: what is left of it is not ours to remove
    for path in snapshots(folder):
        if path != current:
            shutil.rmtree(path)
    for path in folder.glob(f".{CONFIG_NAME}.*.tmp"):
        path.unlink()


def _acquire(path: Path) -> int:
    """An open descriptor that holds the lock on the file that is at `path` now."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):  # else the former holder has removed it since
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise ValueError(
                f"{str(path.parent)!r} is being changed by another process (pid {holder}): "
                "nothing was done, try again when it has finished"
            ) from error
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
