"""Questions that a look-up cannot serve: statements to complete, no word in common with the fact, comparing two facts.

    python benchmarks/bench_unservable.py --data-dir DIR --output predictions.parquet --batch-size 256

One memory holds facts of the four prepared domains, of ParaRel and of the synthetic generator, none of them trained on
by this run (the shipped reader was trained on other phrasings and facts of ParaRel and of the generator). Prints how
many questions survive each filter, JSON lines, then a table in Markdown. Comparisons are guessed right half the time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import polars as pl

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import (
    allow_answers,
    arm_scores,
    differences,
    formats_named,
    gap_text,
    markdown_table,
    run_arms,
    score_text,
)
from widedeep_kb.studies.comparing import real_comparisons, synthetic_comparisons
from widedeep_kb.studies.domains import QuestionPair, clear_questions, short_facts, single_answer_facts
from widedeep_kb.studies.reader_materials import PREPARED_DOMAINS
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.told import SEPARATOR, ContinuedOracle, OracleOfSeveral
from widedeep_kb.studies.unservable import begun_statements, statements, without_shared_word
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.lookup import Lookup, LookupVectors
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.protocol import System
from widedeep_kb.systems.tuning import split_questions
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
RIVALS = ("lookup", "lookup_vectors", "oracle")
ALL_FORMATS = ",".join(prompt_format.name for prompt_format in PROMPT_FORMATS)
NUM_SHOTS = max(prompt_format.num_shots for prompt_format in PROMPT_FORMATS)


class Loaded(NamedTuple):
    """Live facts in `FACT_SCHEMA`, and the clear own questions about them by corpus in `QUESTION_SCHEMA`."""

    facts: pl.DataFrame
    questions: dict[str, pl.DataFrame]


class Sets(NamedTuple):
    """Questions by set, and all facts that must be live for them in `FACT_SCHEMA`."""

    questions: dict[str, QuestionPair]
    facts: pl.DataFrame


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help=".parquet: a row a question and arm")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="folder of the prepared domains")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the public data sets, for ParaRel")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--num-facts", type=int, default=2_000, help="live facts of each data set, whole subjects")
    parser.add_argument("--num-questions", type=int, default=200, help="of each set")
    parser.add_argument("--num-dev", type=int, default=30, help="scored for each format, beside the worked examples")
    parser.add_argument("--formats", default=ALL_FORMATS, help="tried for the prompted arms, by commas")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts in one call of the LLM")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def load(args: argparse.Namespace, memory: KnowledgeMemory) -> Loaded:
    """Draw facts of every data set and keep the questions that have one answer among all of them."""
    facts, questions = [], {}
    for name in (*PREPARED_DOMAINS, "pararel"):
        corpus = load_corpus(name, data_dir=args.data_dir if name == "pararel" else args.prepared_dir)
        drawn = sample_subjects(corpus.facts, max_facts=args.num_facts, seed=args.seed)
        facts.append(short_facts(drawn, memory.lm))
        questions[name] = clear_questions(corpus.questions)[0]
    merged = pl.concat(facts)
    clear = single_answer_facts(merged).select("fact_id")
    asked = {name: frame.join(clear, on="fact_id", how="semi") for name, frame in questions.items()}
    return Loaded(merged, asked)


def make_sets(loaded: Loaded, args: argparse.Namespace, *, memory: KnowledgeMemory) -> Sets:
    """Questions of each set, apart for tuning and test, and all facts that must be live for them."""
    own = pl.concat([loaded.questions[name] for name in PREPARED_DOMAINS])
    count = args.num_questions + args.num_dev + NUM_SHOTS
    compared, synthetic = synthetic_comparisons(num_questions=count, seed=args.seed)
    synthetic = short_facts(synthetic, memory.lm)
    is_live = pl.element().is_in(synthetic["fact_id"].implode())
    compared = compared.filter(pl.col("fact_id").str.split(SEPARATOR).list.eval(is_live).list.all())
    prepared = loaded.facts.filter(pl.col("source") != "pararel")
    sets = {
        "statement": statements(own),
        "statement of ParaRel": statements(loaded.questions["pararel"]),
        "statement, value begun": begun_statements(own, loaded.facts),
        "no word in common": without_shared_word(own, loaded.facts),
        "comparison, real": real_comparisons(prepared, num_questions=count, seed=args.seed),
        "comparison, synthetic": compared,
    }
    tell(num_own_questions=own.height, survivors={name: frame.height for name, frame in sets.items()})
    return Sets({name: split(frame, args) for name, frame in sets.items()}, facts=pl.concat([loaded.facts, synthetic]))


def split(questions: pl.DataFrame, args: argparse.Namespace) -> QuestionPair:
    """Development and test questions that share no fact.

    Raises:
        ValueError: there are too few questions.
    """
    parts = split_questions(questions, num_dev=args.num_dev + NUM_SHOTS, seed=args.seed)
    return QuestionPair(
        parts.dev, parts.test.sample(fraction=1.0, shuffle=True, seed=args.seed).head(args.num_questions)
    )


def make_arms(memory: KnowledgeMemory, facts: pl.DataFrame, *, batch_size: int) -> dict[str, System]:
    """All arms, with the facts in them."""
    arms: dict[str, System] = {
        "ours": MemorySystem(memory, batch_size=batch_size),
        "closed_book": ClosedBook(memory.lm, batch_size=batch_size),
        "oracle": OracleOfSeveral(memory.lm, batch_size=batch_size),
        "oracle_continued": ContinuedOracle(memory.lm, batch_size=batch_size),
        "lookup": Lookup(),
        "lookup_vectors": LookupVectors(memory.lm),
    }
    for system in arms.values():
        system.ingest(facts)
    return arms


def table(predictions: pl.DataFrame) -> str:
    """Exact match of every arm and the paired differences, a line a set."""
    arms = predictions["arm"].unique(maintain_order=True).to_list()
    lines = []
    for (name,), part in predictions.group_by("set", maintain_order=True):
        scores = arm_scores(part)
        texts = {row["arm"]: score_text(row) for row in scores}
        gaps = [gap_text(row) for row in differences(part, arm="ours", others=RIVALS)]
        lines.append([name, scores[0]["num_questions"], *(texts.get(arm, "") for arm in arms), *gaps])
    return markdown_table(["set", "n", *arms, *(f"ours - {name}" for name in RIVALS)], lines)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    sets = make_sets(load(args, memory), args, memory=memory)
    tell(
        llm=memory.lm.identity.name,
        device=str(memory.lm.device),
        reader=str(args.reader or "shipped"),
        num_facts=sets.facts.height,
        seed=args.seed,
    )
    arms, parts = make_arms(memory, sets.facts, batch_size=args.batch_size), []
    options = {"formats": formats_named(args.formats), "batch_size": max(256, args.batch_size)}
    for name, pair in sets.questions.items():
        tokens = allow_answers(arms, pl.concat([pair.dev, pair.test]), lm=memory.lm)
        used = {
            arm: system for arm, system in arms.items() if arm != "oracle_continued" or name.startswith("statement")
        }
        predictions = run_arms(used, pair.test, dev=pair.dev, **options)
        for row in (*arm_scores(predictions), *differences(predictions, arm="ours", others=RIVALS)):
            tell(set=name, max_new_tokens=tokens, **row)
        parts.append(predictions.select(pl.lit(name).alias("set"), pl.all()))
        write_table(pl.concat(parts), args.output)
    print(f"\n{table(pl.concat(parts))}")


if __name__ == "__main__":
    main()
