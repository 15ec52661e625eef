"""`widedeep-kb write`: insert facts into a memory, with no training."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import add_llm, add_memory, add_row_format
from widedeep_kb.cli.opening import check_row_format, memory_type, open_memory
from widedeep_kb.cli.printing import fact_lines, print_lines
from widedeep_kb.memory.changing import changing, check_target
from widedeep_kb.memory.config import CONFIG_NAME

if TYPE_CHECKING:
    import polars as pl

    from widedeep_kb.model import KnowledgeMemory

HELP = "insert or replace facts, with no training"
EXAMPLE = "widedeep-kb write --memory my-memory --facts facts.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--facts", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")
    parser.add_argument("--add", action="store_true", help="keep the former values of a property beside the new ones")
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")
    add_llm(parser, default="the memory's, or SmolLM2-135M-Instruct for a new memory")
    parser.add_argument(
        "--reader", type=Path, metavar="R", help="folder of a reader (default: the memory's, or the shipped one)"
    )
    add_row_format(parser)


def run(args: argparse.Namespace) -> int:
    """Write the facts, all of them or none."""
    from widedeep_kb.schema import read_facts

    facts = read_facts(args.facts)
    mode = "extend" if args.add else "replace"
    if args.dry_run:
        check_target(args.memory)
        return preview(open_or_start(args), facts, mode=mode)
    with changing(args.memory, may_create=True) as lock:
        memory = open_or_start(args)
        with encoding_bar() as progress:
            report = memory.write(facts, mode=mode, progress=progress)
        is_new = not (args.memory / CONFIG_NAME).exists()
        if report.added or report.removed or is_new or args.reader:
            memory.save(args.memory, lock=lock)
    counts = f"{report.added} added, {report.removed} removed, {report.unchanged} unchanged"
    print(f"{counts}; {len(memory.store)} facts in {args.memory}")
    return 0


def open_or_start(args: argparse.Namespace) -> KnowledgeMemory:
    """The memory in the folder, or an empty one if there is none yet."""
    if (args.memory / CONFIG_NAME).exists():
        memory = open_memory(args.memory, llm=args.llm, reader=args.reader)
        check_row_format(memory, args.row_format)
        return memory
    return memory_type().from_pretrained(llm=args.llm, reader=args.reader, row_format=args.row_format or "fp16")


def preview(memory: KnowledgeMemory, facts: pl.DataFrame, *, mode: str) -> int:
    """Print the facts that would be added (+) and removed (-).

    Raises:
        ValueError: a value, or what comes before it, is too long to be written.
    """
    from widedeep_kb.memory.encoding import encode_frame

    changes = memory.store.preview(facts, mode=mode)
    encode_frame(memory.lm.tokenizer, changes.added_rows, end_id=memory.lm.newline_id)
    print_lines(fact_lines(changes.removed_rows, mark="-") + fact_lines(changes.added_rows, mark="+"))
    counts = f"{len(changes.added)} to add, {len(changes.removed)} to remove, {changes.unchanged} unchanged"
    print(f"dry run: {counts}; nothing was written")
    return 0


@contextmanager
def encoding_bar() -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal; yields what advances it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("writing facts"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("writing facts", total=None)
        yield lambda count: progress.advance(task, count)
