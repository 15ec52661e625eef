"""`widedeep-kb export`: the facts of a memory as a facts file."""

from __future__ import annotations

import argparse
from pathlib import Path

from widedeep_kb.cli.arguments import add_memory
from widedeep_kb.cli.stored import read_catalogue

HELP = "write all facts to a parquet, jsonl or csv file that `write` reads back"
EXAMPLE = "widedeep-kb export --memory my-memory --output facts.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")


def run(args: argparse.Namespace) -> int:
    """Write the file, whole or not at all."""
    catalogue = read_catalogue(args.memory)
    catalogue.export(args.output)
    print(f"{len(catalogue)} facts in {args.output}")
    return 0
