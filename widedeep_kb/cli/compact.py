"""`widedeep-kb compact`: write a memory anew, so that nothing of erased facts is left in its folder."""

from __future__ import annotations

import argparse

from widedeep_kb.cli.arguments import add_llm, add_memory
from widedeep_kb.memory.config import read_config
from widedeep_kb.quiet import quiet_libraries

HELP = "write a memory anew: no journal, no former snapshot, nothing of erased facts"
EXAMPLE = "widedeep-kb compact --memory my-memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Write the new snapshot and remove what was before."""
    read_config(args.memory)  # before torch is imported
    quiet_libraries()
    from widedeep_kb.live import live_memory

    before = folder_bytes(args)
    with live_memory(args.memory, llm=args.llm) as live:
        live.compact()
        num_facts = len(live.memory.store)
    print(f"{num_facts} facts in {args.memory}: {folder_bytes(args):,} bytes (before: {before:,})")
    return 0


def folder_bytes(args: argparse.Namespace) -> int:
    """Bytes of all files in the memory folder."""
    return sum(path.stat().st_size for path in args.memory.rglob("*") if path.is_file())
