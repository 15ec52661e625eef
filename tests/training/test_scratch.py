"""Scratch folders: gone at the end, and after a kill when the next one is made; a living owner's stays."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from widedeep_kb.training.scratch import OWNER, PREFIX, scratch_folder

OWN_ONE = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from widedeep_kb.training.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "job").write_text("job")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_gone_at_the_end(parent: Path) -> None:
    with scratch_folder() as folder:
        (folder / "job").write_text("job")
        assert folder.parent == parent and (folder / OWNER).exists()
    assert not list(parent.iterdir())


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owners_folder_goes_when_the_next_is_made_and_no_sooner(parent: Path, kill: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OWN_ONE, str(parent)], stdout=subprocess.PIPE, text=True) as owner:
        stale = Path(owner.stdout.readline().strip())
        with scratch_folder():
            assert (stale / "job").exists()
        os.kill(owner.pid, kill)
    assert (stale / "job").exists()
    with scratch_folder() as folder:
        assert list(parent.iterdir()) == [folder]


def test_what_is_not_ours_stays(parent: Path) -> None:
    unlocked, target = parent / f"{PREFIX}new", parent / "target"
    unlocked.mkdir()  # of a process that is about to lock it
    target.mkdir()
    (target / OWNER).touch()
    (parent / f"{PREFIX}link").symlink_to(target)
    with scratch_folder() as folder, scratch_folder() as other:
        assert folder.exists() and other.exists()
    assert unlocked.exists() and (target / OWNER).exists()
