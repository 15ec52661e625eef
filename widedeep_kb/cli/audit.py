"""`widedeep-kb audit`: erase facts from a copy of a memory and show what is left of them."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import add_llm, add_memory
from widedeep_kb.cli.printing import one_line
from widedeep_kb.memory.config import read_config
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from widedeep_kb.studies.audit import Audit

HELP = "erase facts from a copy of a memory, and show what is left in answers and bytes"
EXAMPLE = "widedeep-kb audit --memory my-memory --facts leavers.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--facts", type=Path, required=True, metavar="FILE", help="facts to erase from the copy")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="more questions about them, with fact_id")
    parser.add_argument("--exact", action="store_true", help="also erase them as `erase --exact` does")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Audit; the memory itself is not touched. Exit code 1 if anything is left of the facts."""
    from widedeep_kb.schema import read_facts, read_questions

    facts = read_facts(args.facts)
    questions = read_questions(args.questions) if args.questions else None
    config = read_config(args.memory)
    quiet_libraries()
    from widedeep_kb.lm import load_lm
    from widedeep_kb.studies.audit import audit

    with redirect_stdout(sys.stderr):  # progress bars
        lm = load_lm(args.llm if args.llm is not None else config.llm_name)
        result = audit(args.memory, facts, lm=lm, questions=questions, is_exact=args.exact)
    print(json.dumps(as_json(result), ensure_ascii=False) if args.json else "\n".join(lines_of(result)))
    return 0 if result.is_clean else 1


def as_json(result: Audit) -> dict[str, object]:
    """What an audit found, without the single answers."""
    held, files = (
        [{"file": one.name, "bytes": one.num_bytes, "found": dict(one.found)} for one in reports]
        for reports in (result.held, result.files)
    )
    residues = {
        name: {**asdict(one.interval), "num_differing": one.num_differing} for name, one in result.residues.items()
    }
    return {
        "num_facts": result.num_facts,
        "absent": result.absent,
        "num_questions": result.answers.height,
        "right": result.right,
        "residue": residues,
        "shared_weights": list(result.shared),
        "traces": result.num_traces,
        "files_before_compacting": held,
        "files": files,
        "leftovers": result.leftovers,
        "notes": result.notes,
        "is_clean": result.is_clean,
    }


def lines_of(result: Audit) -> list[str]:
    """What an audit found, as text."""
    lines = [f"absent\t{one_line(name)}" for name in result.absent]
    lines += [f"{result.num_facts} facts, {result.answers.height} questions"]
    lines += [f"right {name}: {value:.4f}" for name, value in result.right.items()]
    for name, one in result.residues.items():
        mean, low, high = one.interval.mean, one.interval.low, one.interval.high
        differing = f"{one.num_differing} answers differ from the control's"
        lines.append(f"residue {name}: {mean:+.4f} ({low:+.4f} to {high:+.4f}); {differing}")
    if result.shared:
        lines.append(f"shared weights trained on these facts or beside them: {', '.join(result.shared)}")
    lines.append(f"looked for: {_counts(result.num_traces)}")
    lines += [f"before compacting\t{one.name}\t{_counts(one.found)}" for one in result.held if one.found]
    lines += [f"{one.name}\t{one.num_bytes}\t{_counts(one.found) or 'nothing'}" for one in result.files]
    return [*lines, *(f"left: {text}" for text in result.leftovers), *(f"note: {text}" for text in result.notes)]


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in found.items() if count)
