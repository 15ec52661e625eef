"""Interrupted and concurrent changes: the folder opens with the old or the new facts, never with anything else."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from outcomes import Disk, Run, contents, error_line, write_in_child

from widedeep_kb.cli.stored import read_catalogue
from widedeep_kb.memory import folder as memory_folder
from widedeep_kb.memory.changing import LOCK_NAME, folder_lock
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.store import FactStore
from widedeep_kb.model import KnowledgeMemory

STRIDE = 6  # of the steps in the folder at which a write is killed
# Children of a server that has imported everything and used nothing: Polars' threads do not survive a fork.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["outcomes", "widedeep_kb.model"])


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Another port for Aurora."""
    path = tmp_path / "new.jsonl"
    path.write_text(json.dumps({"subject": "Aurora", "relation": "port", "object": "9000"}))
    return path


def ports(memory: Path) -> list[str]:
    """Aurora's ports in a folder, which must open as a whole."""
    opened = KnowledgeMemory.from_pretrained(memory)
    found = opened.store.catalogue.rows(opened.store.catalogue.find(subject="Aurora").ordinals)
    return found.filter(found["relation"] == "port")["object"].to_list()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), ValueError("no")])
@pytest.mark.parametrize("step", ["encode", "rows", "fsync", "replace"])
@pytest.mark.parametrize("is_new", [False, True], ids=["existing", "new"])
def test_a_change_that_fails_leaves_the_folder_as_it_was(
    run: Run,
    memory: Path,
    disk: Disk,
    facts: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    is_new: bool,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    target = memory.with_name("new") / "memory" if is_new else memory
    before = contents(memory)
    words = ["write", "--memory", target, "--facts", facts, "--llm", disk.llm, "--reader", disk.reader]
    places = {
        "encode": (KnowledgeMemory, "rows_for"),
        "rows": (FactStore, "save"),
        "fsync": (memory_folder.os, "fsync"),
        "replace": (memory_folder.os, "replace"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*places[step], fail)
        result = run(*words)
    assert result.code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert result.out == "" and result.err.count("\n") == 1
    assert contents(memory) == before
    assert not memory.with_name("new").exists()
    assert run(*words).code == 0


def test_an_interrupt_after_the_switch_keeps_the_new_memory(
    run: Run, memory: Path, facts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(memory_folder.shutil, "rmtree", fail)
        assert run("write", "--memory", memory, "--facts", facts).code == 130
    assert ports(memory) == ["9000"]


def run_child(memory: Path, facts: Path, *, kill_at: int = 0, kill_after: float | None = None) -> int:
    """Exit code of a `write` in a process of its own; see `write_in_child` for `kill_at`."""
    child = SERVER.Process(target=write_in_child, args=(memory, facts, kill_at))
    child.start()
    child.join(kill_after)
    child.kill()
    child.join()
    return child.exitcode


def test_a_write_killed_at_many_steps_leaves_the_old_or_the_new_facts(
    run: Run, disk: Disk, facts: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "memory"
    found = []
    for step in itertools.count(1, STRIDE):
        shutil.copytree(disk.memory, memory)
        code = run_child(memory, facts, kill_at=step)
        found.append(ports(memory))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert run("write", "--memory", memory, "--facts", facts).code == 0
        assert ports(memory) == ["9000"]
        assert sorted(p.name for p in memory.iterdir()) == ["config.json", read_config(memory).snapshot.name]
        shutil.rmtree(memory)
    switch = found.index(["9000"])
    assert found == [["8443"]] * switch + [["9000"]] * (len(found) - switch)
    assert switch > 2 and len(found) - switch > 1  # both sides of the switch were reached


def test_a_write_killed_at_any_time_leaves_the_old_or_the_new_facts(disk: Disk, facts: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    assert run_child(Path(shutil.copytree(disk.memory, tmp_path / "first")), facts) == 0
    start = time.perf_counter()
    assert run_child(Path(shutil.copytree(disk.memory, tmp_path / "timed")), facts) == 0
    whole = time.perf_counter() - start
    found = []
    for number in range(12):
        memory = Path(shutil.copytree(disk.memory, tmp_path / str(number)))
        run_child(memory, facts, kill_after=rng.uniform(0, 1.1 * whole))
        found.append(ports(memory))
    assert ["8443"] in found
    assert all(objects in (["8443"], ["9000"]) for objects in found)


def test_a_first_write_that_was_killed_may_be_repeated(run: Run, disk: Disk, facts: Path, tmp_path: Path) -> None:
    memory = tmp_path / "new"
    shutil.copytree(disk.memory, memory)
    (memory / "config.json").unlink()
    words = ["write", "--memory", memory, "--facts", facts, "--llm", disk.llm, "--reader", disk.reader]
    assert "neither empty nor a memory folder" in error_line(run(*words))  # perhaps somebody's lost config
    (memory / LOCK_NAME).touch()
    assert run(*words).code == 0
    assert ports(memory) == ["9000"]
    assert len(list(memory.glob("snapshot-*"))) == 1


def test_a_second_writer_is_turned_away(run: Run, memory: Path, facts: Path) -> None:
    before = contents(memory)
    with folder_lock(memory):
        for command in (["write", "--facts", facts], ["erase", "--subject", "Aurora"]):
            line = error_line(run(*command, "--memory", memory))
            assert f"is being changed by another process (pid {os.getpid()}): nothing was done" in line
        assert run("list", "--memory", memory).code == 0
    assert contents(memory) == before
    assert run("write", "--memory", memory, "--facts", facts).code == 0


def test_writers_at_once_do_not_lose_each_others_facts(disk: Disk, tmp_path: Path) -> None:
    memory = Path(shutil.copytree(disk.memory, tmp_path / "memory"))
    children = []
    for number in range(4):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(json.dumps({"subject": f"S{number}", "relation": "port", "object": str(number)}))
        children.append(SERVER.Process(target=write_in_child, args=(memory, path)))
    for child in children:
        child.start()
    for child in children:
        child.join()
    codes = [child.exitcode for child in children]
    assert set(codes) <= {0, 1} and 0 in codes
    catalogue = read_catalogue(memory)
    written = [not catalogue.find(subject=f"S{number}").absent for number in range(4)]
    assert written == [code == 0 for code in codes]
    assert ports(memory) == ["8443"]
    assert min(p.name for p in memory.iterdir()) == "config.json"


def test_a_lock_left_by_a_killed_process_locks_nothing(run: Run, memory: Path, facts: Path) -> None:
    (memory / LOCK_NAME).write_text("1\n")
    assert run("write", "--memory", memory, "--facts", facts).code == 0
    assert not (memory / LOCK_NAME).exists()
