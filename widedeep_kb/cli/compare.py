"""`widedeep-kb compare`: every way of giving an LLM knowledge, on one's own facts and questions."""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import add_llm
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from widedeep_kb.lm import FrozenLM
    from widedeep_kb.studies.compare import CompareConfig, Corpus
    from widedeep_kb.studies.forgetting import Probes

HELP = "every way of giving an LLM these facts, compared on these questions"
EXAMPLE = "widedeep-kb compare --facts facts.csv --questions questions.jsonl --output comparison"
DEFAULT_SYSTEMS = "closed_book,oracle,in_context,lookup"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--facts", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help="parquet, jsonl or csv")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="gone on with if it is there")
    parser.add_argument("--systems", default=DEFAULT_SYSTEMS, help=f"by commas, or `all` (default: {DEFAULT_SYSTEMS})")
    parser.add_argument("--seeds", default="0", help="by commas (default: 0); of the trained systems")
    parser.add_argument("--budget-minutes", type=float, help="for tuning and building one system with one seed")
    parser.add_argument("--num-dev", type=int, default=40, help="development questions (default: 40)")
    parser.add_argument("--num-updates", type=int, default=20, help="facts changed afterwards (default: 20; 0: none)")
    parser.add_argument("--max-new-tokens", type=int, default=32, help="longest answer (default: 32)")
    parser.add_argument("--batch-size", type=int, default=64, help="questions in one call (default: 64)")
    parser.add_argument(
        "--unrelated",
        type=Path,
        metavar="FILE",
        help="questions that have nothing to do with the facts: what is forgotten",
    )
    add_llm(parser)


def run(args: argparse.Namespace) -> int:
    """Compare; the last line of stdout is one JSON object.

    Raises:
        ValueError: a malformed file, no such system, a number out of range, or a folder of another comparison.
    """
    config = config_of(args)
    corpus = read_corpus(args)

    from widedeep_kb.report import write_report
    from widedeep_kb.studies.compare import compare, read_parts
    from widedeep_kb.studies.measures import measure
    from widedeep_kb.tables import write_text

    @cache
    def lm() -> FrozenLM:
        quiet_libraries()
        from widedeep_kb.lm import load_lm

        return load_lm(args.llm)

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    predictions = compare(corpus, lm, config, output=args.output, tell=tell)
    about = {
        "llm": lm().identity.name,
        "device": device_name(lm()),
        "num_facts": corpus.facts.height,
        "num_questions": corpus.test.height,
        "seeds": list(config.seeds),
        "budget_minutes": config.budget_minutes,
    }
    metrics = measure(predictions, read_parts(args.output), facts=corpus.facts, about=about)
    write_text(json.dumps(metrics, indent=1, ensure_ascii=False), args.output / "metrics.json")
    write_report(metrics, args.output / "report.html")
    shown = {name: system["overall"]["exact_match"] for name, system in metrics["systems"].items()}
    print(json.dumps({"output": str(args.output), "exact_match": shown}, ensure_ascii=False))
    return 0


def config_of(args: argparse.Namespace) -> CompareConfig:
    """What is to be compared.

    Raises:
        ValueError: an unknown system, or a number out of range.
    """
    from widedeep_kb.studies.compare import CompareConfig, all_systems, names_of, seeds_of

    return CompareConfig(
        systems=all_systems() if args.systems == "all" else names_of(args.systems),
        seeds=seeds_of(args.seeds),
        budget_minutes=args.budget_minutes,
        num_dev=args.num_dev,
        num_updates=args.num_updates,
        max_new_tokens=args.max_new_tokens,
        batch_size=args.batch_size,
    )


def read_corpus(args: argparse.Namespace) -> Corpus:
    """Facts, questions and probes from their files."""
    from widedeep_kb.schema import read_facts, read_questions
    from widedeep_kb.studies.compare import prepare

    facts, questions = read_facts(args.facts), read_questions(args.questions)
    return prepare(facts, questions, probes=read_probes(args), num_dev=args.num_dev)


def read_probes(args: argparse.Namespace) -> Probes:
    """Unrelated questions of the file given, if one is, and prose that comes with Python."""
    from widedeep_kb.schema import QUESTION_SCHEMA, read_questions
    from widedeep_kb.studies.forgetting import Probes, default_texts

    if args.unrelated is None:
        import polars as pl

        return Probes(pl.DataFrame(schema=QUESTION_SCHEMA), default_texts())
    return Probes(read_questions(args.unrelated), default_texts())


def device_name(lm: FrozenLM) -> str:
    """The GPU, or the CPU and its threads."""
    import torch

    if lm.device.type == "cuda":
        return torch.cuda.get_device_name(lm.device)
    return f"CPU, {torch.get_num_threads()} threads"
