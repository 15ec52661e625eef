"""`widedeep-kb list`: the facts of a memory, one a line."""

from __future__ import annotations

import argparse

from widedeep_kb.cli.arguments import add_memory, non_blank, positive
from widedeep_kb.cli.printing import fact_lines, print_lines
from widedeep_kb.cli.stored import read_catalogue

HELP = "list facts, one a line: fact_id, subject, relation, object"
EXAMPLE = 'widedeep-kb list --memory my-memory --relation "port" --limit 20'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument(
        "--subject", type=non_blank, metavar="S", help="only facts of this subject, alias or subject_id"
    )
    parser.add_argument("--relation", type=non_blank, metavar="R", help="only facts with this relation")
    parser.add_argument("--limit", type=positive, metavar="N", help="at most so many facts")


def run(args: argparse.Namespace) -> int:
    """Print the facts, oldest first; none is no error."""
    from widedeep_kb.schema import normalise_text, normalise_texts

    catalogue = read_catalogue(args.memory)
    ordinals = catalogue.find(subject=args.subject).ordinals if args.subject else catalogue.alive()
    facts = catalogue.rows(ordinals)
    if args.relation:
        facts = facts.filter(normalise_texts(facts["relation"]) == normalise_text(args.relation))
    print_lines(fact_lines(facts.head(args.limit) if args.limit else facts))
    return 0
