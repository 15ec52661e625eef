"""What the tests of the commands look at: results, folders and their bytes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from widedeep_kb.cli import main

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


class Result(NamedTuple):
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


class Disk(NamedTuple):
    """Folders that every test may read and none may change."""

    llm: Path
    other_llm: Path
    reader: Path
    other_reader: Path
    memory: Path


Run = Callable[..., Result]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def error_line(result: Result) -> str:
    """The one line on stderr of a command that failed for a mistake in the data, and printed nothing else."""
    assert result.code == 1, result
    assert result.out == ""
    assert result.err.startswith("widedeep-kb: error: ")
    assert result.err.endswith("\n") and len(result.err.splitlines()) == 1, result.err
    return result.err


def write_in_child(memory: Path, facts: Path, kill_at: int = 0) -> None:
    """Run `write` in a process of its own, quietly, and end that process with its exit code.

    Args:
        memory, facts: as given to the command.
        kill_at: number of the step, counted from 1, at which the process is killed: a step opens, makes, renames or
            removes something in the memory folder. 0 = never.
    """
    steps = 0

    def count_steps(event: str, args: tuple[object, ...]) -> None:
        nonlocal steps
        if event in STEPS and str(args[0]).startswith(str(memory)):
            steps += 1
            if steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.dup2(2, 1)
    sys.addaudithook(count_steps)
    os._exit(main(["write", "--memory", str(memory), "--facts", str(facts)]))
