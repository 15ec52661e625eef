"""`widedeep-kb fit`: write facts into a memory, train it on them jointly, save it.

Settings come from a YAML file, and any key can be given on the command line; both are checked against the types of
`FitJob`.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import UsageError
from widedeep_kb.cli.opening import check_row_format, gpu_row_bytes, memory_type
from widedeep_kb.memory.changing import changing
from widedeep_kb.memory.config import CONFIG_NAME
from widedeep_kb.training.fit_config import FitJob

if TYPE_CHECKING:
    import jsonargparse

    from widedeep_kb.model import KnowledgeMemory

HELP = "train a memory on its facts: rows and deep memory under one loss"
EXAMPLE = "widedeep-kb fit --config configs/fit/quickstart.yaml --fit.steps 100"
_NOT_OURS = ("--help", "--print_config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `--config` and every key of `FitJob`; their values are checked in `run`."""
    for action in job_parser()._actions:
        for name in action.option_strings:
            if name.startswith("--") and name not in _NOT_OURS:
                described = (action.help or "").replace("%", "%%").replace("%%(default)s", str(action.default))
                parser.add_argument(name, dest=name, default=argparse.SUPPRESS, metavar="VALUE", help=described)


def run(args: argparse.Namespace) -> int:
    """Train; the last line of stdout is a JSON object with the figures."""
    return run_job(read_job(vars(args)))


def read_job(given: dict[str, str]) -> FitJob:
    """The job that a YAML file and command-line keys (`--name` -> text) describe.

    Raises:
        UsageError: an unknown key or a value of another type.
    """
    from jsonargparse import ArgumentError

    parser = job_parser()
    try:
        values = parser.parse_args([f"{name}={value}" for name, value in given.items()])
        values.pop("config", None)
        return FitJob(**parser.instantiate_classes(values).as_dict())
    except (ArgumentError, TypeError) as error:
        raise UsageError(f"{' '.join(str(error).split())[:400]} (see widedeep-kb fit --help)") from error


def run_job(job: FitJob) -> int:
    """Open or start the memory, write the facts, train, save, and print the figures."""
    from widedeep_kb.memory.sharding import check_sharding_types
    from widedeep_kb.schema import read_facts, read_questions
    from widedeep_kb.sources.prepared import sample_subjects
    from widedeep_kb.training.devices import check_devices, fit_on_devices
    from widedeep_kb.training.fit import fit

    facts = read_facts(job.facts) if job.facts else None
    if facts is not None:
        facts = sample_subjects(facts, max_facts=job.max_facts, seed=job.fit.seed)
    questions = read_questions(job.questions) if job.questions else None
    templates = read_templates(job.templates) if job.templates else None
    if (job.output / CONFIG_NAME).exists() and job.output != job.memory:
        raise ValueError(f"{str(job.output)!r} holds a memory already: name another output, or refine that memory")
    check_devices(job.trainer)
    check_sharding_types(job.sharding.sharding_types)
    with changing(job.output, may_create=True) as lock:
        memory = start(job)
        with redirect_stdout(sys.stderr):  # progress bars
            if facts is not None:
                memory.write(facts)
            ordinals = memory.store.catalogue.find(facts=facts).ordinals if facts is not None else None
            given = {"questions": questions, "templates": templates, "ordinals": ordinals}
            if job.trainer.devices > 1:
                metrics = fit_on_devices(memory, job.fit, devices=job.trainer, sharding=job.sharding, **given)
            else:
                metrics = fit(memory, job.fit, **given)
        memory.save(job.output, lock=lock)
    print(json.dumps(metrics))
    return 0


def start(job: FitJob) -> KnowledgeMemory:
    """The memory to begin with."""
    places = {
        "gpu_row_bytes": gpu_row_bytes(job.gpu_row_budget_gb),
        "device": "cpu" if job.trainer.accelerator == "cpu" else None,
        "row_device": "cpu" if job.trainer.devices > 1 else None,  # they may fit on no single GPU
    }
    if job.memory is None:
        format_name = job.row_format or "fp16"
        return memory_type().from_pretrained(llm=job.llm, reader=job.reader, row_format=format_name, **places)
    memory = memory_type().from_pretrained(job.memory, llm=job.llm, reader=job.reader, **places)
    check_row_format(memory, job.row_format)
    memory.store.table.check_trainable()
    return memory


def read_templates(path: Path) -> dict[str, list[str]]:
    """Texts by relation from a parquet file with the columns relation and template.

    Raises:
        ValueError: the file lacks one of them.
    """
    import polars as pl

    frame = pl.read_parquet(path)
    missing = {"relation", "template"} - set(frame.columns)
    if missing:
        raise ValueError(f"{path} has no column {min(missing)!r}")
    grouped = frame.group_by("relation", maintain_order=True).agg("template")
    return dict(zip(grouped["relation"].to_list(), grouped["template"].to_list(), strict=True))


def job_parser() -> jsonargparse.ArgumentParser:
    """The parser of `FitJob`, from its signature and docstring."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog="widedeep-kb fit", exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with these keys")
    parser.add_class_arguments(FitJob, None)
    return parser
