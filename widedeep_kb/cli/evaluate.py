"""`widedeep-kb evaluate`: score a memory, or another way of adding knowledge, on a file of questions."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import (
    UsageError,
    add_abstain,
    add_as_of,
    add_gpu_rows,
    add_hops,
    add_llm,
    add_no_gate,
    add_semantic,
)
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    import polars as pl

    from widedeep_kb.lm import FrozenLM
    from widedeep_kb.systems.prompted import PromptedSystem
    from widedeep_kb.systems.protocol import System

HELP = "ask every question of a file and score the answers"
EXAMPLE = "widedeep-kb evaluate --questions questions.parquet --output predictions.parquet --memory my-memory"

NUM_DEV = 45  # five worked examples and forty questions to score
MIN_SCORED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT.parquet", help="one row a question")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--memory", type=Path, metavar="DIR", help="score a memory folder")
    which.add_argument("--system", metavar="NAME", help="score another system, such as closed_book, oracle or lookup")
    parser.add_argument("--facts", type=Path, metavar="FILE", help="the facts given to --system")
    add_hops(parser)
    add_as_of(parser)
    add_abstain(parser)
    add_semantic(parser)
    add_no_gate(parser)
    add_llm(parser, default="the memory's, or SmolLM2-135M-Instruct for --system")
    add_gpu_rows(parser)


def run(args: argparse.Namespace) -> int:
    """Score; the last line of stdout is one JSON object.

    Raises:
        UsageError: options that do not go together.
        ValueError: a malformed file, no such system, or an output that cannot be written.
    """
    from widedeep_kb.schema import read_questions
    from widedeep_kb.studies.evaluate import evaluate

    check_options(args)
    questions = read_questions(args.questions)
    system = open_system(args, questions)
    print(json.dumps(evaluate(system, questions, output=args.output), ensure_ascii=False))
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Refuse before the long part what could not be finished.

    Raises:
        UsageError: --facts without --system or the reverse, or an option of memories with --system.
        ValueError: a wrong output path.
    """
    if args.system and not args.facts:
        raise UsageError(f"--system {args.system} needs --facts FILE")
    if args.system and args.gpu_row_budget_gb:
        raise UsageError("--gpu-row-budget-gb goes with --memory")
    if args.memory and args.facts:
        raise UsageError("--facts goes with --system; a memory has its facts")
    if args.system and args.semantic:
        raise UsageError(f"--semantic goes with --memory; --system {args.system} has no such part")
    if args.system and args.no_gate:
        raise UsageError(f"--no-gate goes with --memory; --system {args.system} has no such part")
    if args.system and args.abstain is not None:
        raise UsageError(f"--abstain goes with --memory; --system {args.system} has no such part")
    if args.system and args.hops > 1:
        raise UsageError(f"--hops goes with --memory; --system {args.system} has no such part")
    if args.system and args.as_of:
        raise UsageError(f"--as-of goes with --memory; --system {args.system} has no such part")
    if args.output.suffix != ".parquet":
        raise ValueError(f"{args.output}: predictions are written to a .parquet file")
    if not args.output.absolute().parent.is_dir():
        raise ValueError(f"{args.output}: its folder does not exist")


def open_system(args: argparse.Namespace, questions: pl.DataFrame) -> System:
    """The memory, or the named system with its facts."""
    if args.memory:
        from widedeep_kb.systems.memory import MemorySystem

        memory = open_memory(args.memory, llm=args.llm, gpu_row_budget_gb=args.gpu_row_budget_gb)
        memory.use_semantic |= args.semantic
        memory.use_gate = not args.no_gate
        return MemorySystem(memory, hops=args.hops, as_of=args.as_of, abstain=args.abstain)
    from widedeep_kb.schema import read_facts
    from widedeep_kb.systems.prompted import PromptedSystem
    from widedeep_kb.systems.registry import make_system

    facts = read_facts(args.facts)
    system = make_system(args.system, lambda: load_quietly(args.llm))
    system.ingest(facts)
    if isinstance(system, PromptedSystem):
        choose_format(system, facts, questions=questions)
    return system


def choose_format(system: PromptedSystem, facts: pl.DataFrame, *, questions: pl.DataFrame) -> None:
    """Give a system its best prompt format, found on facts that no question asks for; say on stderr which.

    With too few such facts for a format's worked examples and `MIN_SCORED` questions, that format is not tried.
    """
    from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat
    from widedeep_kb.systems.tuning import questions_from_facts, tune_format

    asked = questions["fact_id"].drop_nulls().to_list()
    dev = questions_from_facts(facts, excluded=asked, num_questions=NUM_DEV, seed=0)
    dev = dev.filter(~dev["question"].is_in(questions["question"].implode()))
    has_chat = system.lm.tokenizer.chat_template is not None
    formats = [f for f in PROMPT_FORMATS if f.num_shots + MIN_SCORED <= dev.height and (has_chat or not f.is_chat)]
    if not formats:
        system.prompt_format = PromptFormat(num_shots=0, is_chat=False)
        print(
            f"prompt format {system.prompt_format.name}, not tuned: only {dev.height} facts to spare", file=sys.stderr
        )
        return
    choice = tune_format(system, dev, formats=formats)
    tried = ", ".join(f"{name} {score:.2f}" for name, score in choice.exact_match.items())
    print(f"prompt format {choice.best.name} (on {choice.num_questions} other questions: {tried})", file=sys.stderr)


def load_quietly(llm: str | None) -> FrozenLM:
    """Load an LLM without warnings and bars on stderr."""
    quiet_libraries()
    from widedeep_kb.lm import load_lm

    return load_lm(llm)
