"""`widedeep-kb erase`: remove facts from a memory, with their rows and keys."""

from __future__ import annotations

import argparse
from pathlib import Path

from widedeep_kb.cli.arguments import add_llm, add_memory, non_blank
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.cli.printing import fact_lines, one_line, print_lines
from widedeep_kb.memory.changing import changing

HELP = "remove facts: those of a file, a subject, a source, or one by its id"
EXAMPLE = 'widedeep-kb erase --memory my-memory --subject "Aurora"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--facts", type=Path, metavar="FILE", help="erase the facts in this parquet, jsonl or csv file")
    which.add_argument(
        "--subject", type=non_blank, metavar="S", help="erase all facts of a subject, alias or subject_id"
    )
    which.add_argument("--source", type=non_blank, metavar="S", help="erase all facts of a source")
    which.add_argument("--fact-id", type=non_blank, metavar="ID", help="erase one fact")
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Erase what is there; what is absent is counted and named, and is no error."""
    from widedeep_kb.schema import read_facts

    facts = read_facts(args.facts) if args.facts else None
    ids = [args.fact_id] if args.fact_id else None
    with changing(args.memory) as lock:
        memory = open_memory(args.memory, llm=args.llm)
        found = memory.store.catalogue.find(fact_ids=ids, subject=args.subject, source=args.source, facts=facts)
        erased = memory.erase(found.ordinals)
        if erased.height:
            memory.save(args.memory, lock=lock)
    print_lines(fact_lines(erased, mark="erased") + [f"absent\t{one_line(name)}" for name in found.absent])
    print(f"{erased.height} erased, {len(found.absent)} absent; {len(memory.store)} facts in {args.memory}")
    return 0
