"""`widedeep-kb rewrite`: store the rows of a memory in another format."""

from __future__ import annotations

import argparse

from widedeep_kb.cli.arguments import add_llm, add_memory
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.memory.changing import changing
from widedeep_kb.memory.config import ROW_FORMATS

HELP = "store the rows in another format: fewer bytes, or more precision for training"
EXAMPLE = "widedeep-kb rewrite --memory my-memory --row-format compact"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--row-format", choices=ROW_FORMATS, required=True, help="the new format")
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Convert, all rows or none; what cannot be brought back is said in a line of its own."""
    with changing(args.memory) as lock:
        memory = open_memory(args.memory, llm=args.llm)
        former = memory.store.table.row_format
        from widedeep_kb.memory.rewriting import rewrite

        notices = rewrite(memory, args.row_format)
        memory.save(args.memory, lock=lock)
    rows, row_bytes = memory.store.table.num_live, memory.store.table.weight[:1].nbytes
    for notice in notices:
        print(f"note: {notice}")
    print(f"{rows} rows of {row_bytes} bytes, stored as {args.row_format} (before: {former})")
    return 0
