"""Folders for files on the way between processes, gone at the latest when the next one is made after a kill.

Each holds a file that its owner locks for life; the lock ends with the owner, however that ends, so that a folder whose
file can be locked belongs to nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "widedeep-kb-"
OWNER = "owner"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder but for its owner's file, removed at the end; those that killed processes left go at once."""
    _remove_ownerless(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, open(Path(name) / f".{OWNER}", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.rename(file.name, Path(name) / OWNER)  # locked before it can be seen
        yield Path(name)


def _remove_ownerless(parent: Path) -> None:
    for owner in parent.glob(f"{PREFIX}*/{OWNER}"):
        if owner.parent.is_symlink():
            continue
        with suppress(OSError), open(owner) as file:  # of another user, alive, or removed meanwhile
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(owner.parent)
