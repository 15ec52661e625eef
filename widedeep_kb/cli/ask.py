"""`widedeep-kb ask`: answer one question from a memory, with the facts the answer came from."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import (
    add_abstain,
    add_as_of,
    add_gpu_rows,
    add_hops,
    add_llm,
    add_memory,
    add_no_gate,
    add_semantic,
    non_blank,
    positive,
)
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.cli.printing import one_line

if TYPE_CHECKING:
    from widedeep_kb.answers import MemoryAnswer

HELP = "answer a question, or complete a statement"
EXAMPLE = 'widedeep-kb ask --memory my-memory "Which port does Aurora use?"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("question", type=non_blank, help="a question, or a statement to complete")
    parser.add_argument("--json", action="store_true", help="print one JSON object: answer, evidence and costs")
    parser.add_argument("--max-new-tokens", type=positive, default=64, metavar="N", help="longest answer (default: 64)")
    add_hops(parser)
    add_as_of(parser)
    add_abstain(parser)
    add_semantic(parser)
    add_no_gate(parser)
    add_llm(parser)
    add_gpu_rows(parser)


def run(args: argparse.Namespace) -> int:
    """Answer, as text with its evidence or as one JSON object."""
    memory = open_memory(args.memory, llm=args.llm, gpu_row_budget_gb=args.gpu_row_budget_gb)
    memory.use_semantic |= args.semantic
    memory.use_gate = not args.no_gate
    answer = memory.ask(
        args.question, max_new_tokens=args.max_new_tokens, hops=args.hops, as_of=args.as_of, abstain=args.abstain
    )
    print(json.dumps(answer.as_dict(), ensure_ascii=False) if args.json else answer_text(answer))
    return 0


def answer_text(answer: MemoryAnswer) -> str:
    """The answer, its confidence, and a line for each fact looked at."""
    lines = [answer.text, f"  confidence {answer.confidence:.2f}, {answer.latency_ms:.0f} ms"]
    steps = {fact.fact_id: f"hop {number}, " for number, fact in enumerate(answer.chain, start=1)}
    for fact in answer.evidence:
        source = f", source {one_line(fact.source)}" if fact.source else ""
        words = one_line(f"{fact.subject} | {fact.relation} | {fact.object}")
        guessed = "guessed, " if fact.is_guessed else ""
        lines.append(
            f"  {fact.attention:.2f}  {words}  ({steps.get(fact.fact_id, '')}{guessed}fact {fact.fact_id}{source})"
        )
    return "\n".join(lines if answer.evidence else [*lines, "  no fact of the memory was used"])
