"""`widedeep-kb show`: all that a memory holds about a fact or a subject."""

from __future__ import annotations

import argparse

from widedeep_kb.cli.arguments import add_memory, non_blank
from widedeep_kb.cli.printing import fact_block
from widedeep_kb.cli.stored import read_catalogue

HELP = "show every column of a fact, or of all facts of a subject"
EXAMPLE = 'widedeep-kb show --memory my-memory "Aurora"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument(
        "name", type=non_blank, metavar="FACT_ID|SUBJECT", help="a fact_id, subject, alias or subject_id"
    )


def run(args: argparse.Namespace) -> int:
    """Print the facts as blocks of `column: value` lines.

    Raises:
        ValueError: neither a fact nor a subject has this name.
    """
    from widedeep_kb.schema import FACT_SCHEMA

    catalogue = read_catalogue(args.memory)
    found = catalogue.find(fact_ids=[args.name])
    if found.absent:
        found = catalogue.find(subject=args.name)
    if found.absent:
        raise ValueError(f"{str(args.memory)!r} has no fact and no subject called {args.name!r}")
    facts = catalogue.rows(found.ordinals).select(*FACT_SCHEMA)
    print("\n\n".join(fact_block(fact) for fact in facts.iter_rows(named=True)))
    return 0
