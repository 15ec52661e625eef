"""`widedeep-kb erase`: remove facts from a memory, with their rows and keys."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import add_llm, add_memory, non_blank
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.cli.printing import fact_lines, one_line, print_lines
from widedeep_kb.memory.changing import changing

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from widedeep_kb.model import KnowledgeMemory

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
    parser.add_argument(
        "--exact",
        action="store_true",
        help="as if they had never been written: train again without them what was trained on them or beside them "
        "(takes as long as the writing and training did)",
    )
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Erase what is there; what is absent is counted and named, and is no error."""
    from widedeep_kb.schema import read_facts

    facts = read_facts(args.facts) if args.facts else None
    ids = [args.fact_id] if args.fact_id else None
    with changing(args.memory) as lock:
        opened = memory = open_memory(args.memory, llm=args.llm)
        found = memory.store.catalogue.find(fact_ids=ids, subject=args.subject, source=args.source, facts=facts)
        memory, erased, notes = erase(memory, found.ordinals, is_exact=args.exact)
        if erased.height or memory is not opened:
            memory.save(args.memory, lock=lock)
    print_lines(fact_lines(erased, mark="erased") + [f"absent\t{one_line(name)}" for name in found.absent])
    print_lines([f"note: {note}" for note in notes])
    print(f"{erased.height} erased, {len(found.absent)} absent; {len(memory.store)} facts in {args.memory}")
    return 0


def erase(
    memory: KnowledgeMemory, ordinals: np.ndarray, *, is_exact: bool
) -> tuple[KnowledgeMemory, pl.DataFrame, list[str]]:
    """Erase facts; the memory without them, what they were, and what is to be said about it."""
    catalogue, record = memory.store.catalogue, memory.record
    shared = record.shared_with(ordinals, catalogue=catalogue)
    notes = leftovers(memory, ordinals)
    if is_exact and (record.had(ordinals) or record.num_gone(catalogue, has_rows=True)):
        from widedeep_kb.training.exact_erasing import retrained_without

        erased = catalogue.rows(ordinals)
        with redirect_stdout(sys.stderr):  # progress bars
            return retrained_without(memory, ordinals), erased, notes
    if shared:
        names = " and the ".join(shared)
        notes.append(f"trained on these or beside them, the {names} may keep traces of them: erase with --exact")
    elif memory.reader.has_deep and not record.trainings:
        notes.append("the deep memory was trained before trainings were recorded: it may keep traces")
    return memory, memory.erase(ordinals), notes


def leftovers(memory: KnowledgeMemory, ordinals: np.ndarray) -> list[str]:
    """Notes on checkpoints outside the folder, of trainings that had these facts."""
    first = min(ordinals.tolist(), default=sys.maxsize)
    runs = [
        Path(training.run) for training in memory.record.trainings if training.run and first < training.next_ordinal
    ]
    checkpoints = [path for run in dict.fromkeys(runs) for path in sorted(run.glob("*.ckpt"))]
    return [f"{path} still holds their rows: it is for you to remove" for path in checkpoints]
