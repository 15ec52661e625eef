"""`widedeep-kb compare`: every way of giving an LLM knowledge, on one's own facts and questions.

Options may come from a YAML file (`--config`); those given on the command line come before it.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import UsageError
from widedeep_kb.quiet import quiet_libraries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

    from widedeep_kb.lm import FrozenLM
    from widedeep_kb.studies.comparison import CompareConfig, Corpus
    from widedeep_kb.studies.forgetting import Probes

HELP = "every way of giving an LLM these facts, compared on these questions"
EXAMPLE = "widedeep-kb compare --facts facts.csv --questions questions.jsonl --output comparison"
DEFAULTS: dict[str, object] = {
    "systems": "closed_book,oracle,in_context,lookup",
    "seeds": "0",
    "budget_minutes": None,
    "num_dev": 40,
    "num_updates": 20,
    "unservable": 20,
    "sizes": "",
    "max_facts": None,
    "max_questions": None,
    "max_new_tokens": 32,
    "batch_size": 64,
    "unrelated": None,
    "llm": None,
    "wandb": False,
}
NEEDED = ("facts", "questions", "output")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments. None has a default here, so that `settled` knows which were given."""

    def add(name: str, text: str, **more: object) -> None:
        default = DEFAULTS.get(name.removeprefix("--").replace("-", "_"))
        shown = "" if default in (None, "", False) else f" (default: {default})"
        parser.add_argument(name, default=argparse.SUPPRESS, help=f"{text}{shown}", **more)

    file = {"type": Path, "metavar": "FILE"}
    add("--config", "YAML file with any of these options, without the dashes before them", **file)
    add("--facts", "parquet, jsonl or csv", **file)
    add("--questions", "parquet, jsonl or csv", **file)
    add("--output", "gone on with if it is there", type=Path, metavar="DIR")
    add("--systems", "by commas, or `all`")
    add("--seeds", "of the trained systems, by commas")
    add("--budget-minutes", "for tuning and building one system with one seed", type=float)
    add("--num-dev", "development questions", type=int)
    add("--num-updates", "facts changed afterwards; 0: none", type=int)
    add("--unservable", "most questions of each kind that a look-up cannot serve, made of the facts", type=int)
    add("--sizes", "numbers of facts, by commas, at which times are measured as well")
    add("--max-facts", "compare on so many of the facts, whole subjects, and on the questions about them", type=int)
    add("--max-questions", "ask so many of the questions, drawn at random", type=int)
    add("--max-new-tokens", "longest answer", type=int)
    add("--batch-size", "questions in one call", type=int)
    add("--unrelated", "questions that have nothing to do with the facts: what is forgotten", **file)
    add("--wandb", "log the measures and the report to Weights & Biases as well, offline", action="store_true")
    add("--llm", "Hugging Face id, folder or GGUF file (default: SmolLM2-135M-Instruct)", metavar="L")


def run(args: argparse.Namespace) -> int:
    """Compare; the last line of stdout is one JSON object.

    Raises:
        UsageError: an option is missing, or one of the file is unknown.
        ValueError: a malformed file, no such system, a number out of range, or a folder of another comparison.
    """
    args = settled(args)
    config = config_of(args)
    corpus = read_corpus(args)

    from widedeep_kb.studies.sizes import draw_sizes

    draw_sizes(corpus, config.sizes)  # refuses a size out of range before anything is made

    @cache
    def lm() -> FrozenLM:
        quiet_libraries()
        from widedeep_kb.lm import load_lm

        return load_lm(args.llm)

    with redirect_stdout(sys.stderr):  # progress bars
        metrics = measured(args, corpus, lm, config)
    shown = {name: system["overall"]["exact_match"] for name, system in metrics["systems"].items()}
    print(json.dumps({"output": str(args.output), "exact_match": shown}, ensure_ascii=False))
    return 0


def measured(args: argparse.Namespace, corpus: Corpus, lm: Callable[[], FrozenLM], config: CompareConfig) -> dict:
    """Run the comparison, and write its measures and its page; the measures."""
    from widedeep_kb.studies.compare import compare, read_parts
    from widedeep_kb.studies.sizes import measure_sizes

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    predictions = compare(corpus, lm, config, output=args.output, tell=tell)
    measure_sizes(corpus, lm, config, parts=read_parts(args.output), output=args.output, tell=tell)
    about = {
        "llm": lm().identity.name,
        "device": device_name(lm()),
        "num_facts": corpus.facts.height,
        "num_questions": corpus.test.height,
        "seeds": list(config.seeds),
        "budget_minutes": config.budget_minutes,
    }
    metrics = write_measures(args.output, predictions, corpus, config, about=about)
    if args.wandb:
        from widedeep_kb.report.tracking import log_to_wandb

        log_to_wandb(metrics, args.output)
    return metrics


def write_measures(
    output: Path, predictions: pl.DataFrame, corpus: Corpus, config: CompareConfig, *, about: Mapping[str, object]
) -> dict:
    """Write `metrics.json` and `report.html` of a folder whose parts are there; the measures.

    Args:
        output: the folder.
        predictions: of all its parts.
        corpus, config: of the comparison.
        about: what else is to stand in the measures.
    """
    from widedeep_kb.report import write_report
    from widedeep_kb.studies.compare import read_parts
    from widedeep_kb.studies.measures import measure
    from widedeep_kb.studies.sizes import sizes_of
    from widedeep_kb.tables import write_text

    metrics = measure(predictions, read_parts(output), facts=corpus.facts, about=about)
    metrics |= sizes_of(output, config, metrics["systems"])
    write_text(json.dumps(metrics, indent=1, ensure_ascii=False), output / "metrics.json")
    write_report(metrics, output / "report.html")
    return metrics


def settled(args: argparse.Namespace) -> argparse.Namespace:
    """All options: those given, then those of the file, then the defaults.

    Raises:
        UsageError: an option is missing, or the file names an unknown one or one with a value that it does not take.
        ValueError: the file is no YAML mapping.
    """
    given = vars(args)
    path = given.pop("config", None)
    values = {**DEFAULTS, **(read_options(path) if path else {}), **given}
    missing = [f"--{name}" for name in NEEDED if name not in values]
    if missing:
        raise UsageError(f"the following arguments are required: {', '.join(missing)} (see widedeep-kb compare --help)")
    return argparse.Namespace(**values)


def read_options(path: Path) -> dict[str, object]:
    """The options that a YAML file holds, as the command line would have read them.

    Raises:
        UsageError: an unknown option, or a value that it does not take.
        ValueError: the file is no YAML mapping.
    """
    import yaml

    from widedeep_kb.cli.main import Parser

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML file: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no options, such as `facts: facts.csv`")
    words = []
    for name, value in found.items():
        option = f"--{str(name).replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words.append(f"{option}={text}")
    parser = Parser(str(path))
    add_arguments(parser)
    return vars(parser.parse_args(words))


def config_of(args: argparse.Namespace) -> CompareConfig:
    """What is to be compared.

    Raises:
        ValueError: an unknown system, or a number out of range.
    """
    from widedeep_kb.studies.compare import all_systems, names_of, numbers_of
    from widedeep_kb.studies.comparison import CompareConfig

    return CompareConfig(
        systems=all_systems() if args.systems == "all" else names_of(args.systems),
        seeds=numbers_of(args.seeds),
        budget_minutes=args.budget_minutes,
        num_dev=args.num_dev,
        num_updates=args.num_updates,
        num_unservable=args.unservable,
        sizes=numbers_of(args.sizes),
        max_new_tokens=args.max_new_tokens,
        batch_size=args.batch_size,
    )


def read_corpus(args: argparse.Namespace) -> Corpus:
    """Facts, questions and probes from their files.

    Raises:
        ValueError: a malformed file, or `--max-facts` or `--max-questions` leaves nothing.
    """
    import polars as pl

    from widedeep_kb.schema import read_facts, read_questions
    from widedeep_kb.sources.prepared import sample_subjects
    from widedeep_kb.studies.compare import prepare

    facts, questions = read_facts(args.facts), read_questions(args.questions)
    if args.max_facts is not None:
        facts = sample_subjects(facts, max_facts=args.max_facts, seed=0)
        is_live = pl.element().is_in(facts["fact_id"].implode())
        questions = questions.filter(pl.col("fact_id").str.split(" ").list.eval(is_live).list.all())
        if questions.is_empty():
            raise ValueError(f"no question with a fact_id asks for one of the {facts.height} facts drawn")
    if args.max_questions is not None and args.max_questions < questions.height:
        if args.max_questions < 1:
            raise ValueError(f"max_questions must be at least 1, got {args.max_questions}")
        questions = questions.sample(args.max_questions, shuffle=True, seed=0)
    probes, unservable = read_probes(args), args.unservable
    return prepare(facts, questions, probes=probes, num_dev=args.num_dev, num_unservable=unservable)


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
