"""Every way of giving a model knowledge, on the same facts and questions under the same budget: `widedeep-kb compare`.

In: facts, questions, names of systems, seeds. Out: a folder that can be gone on with after an interruption:

    config.json                       what was compared; a folder of other things is refused
    parts/SYSTEM-SEED.json            what one system cost, how it was tuned, what it forgot, what a change took
    parts/SYSTEM-SEED.parquet         its answers
    predictions.parquet               the answers of all, a row a question, system and seed
    metrics.json                      the measures over them (see `measures`)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import FACT_SCHEMA, QUESTION_SCHEMA
from widedeep_kb.studies.asked import tag_shared_words, unservable_questions
from widedeep_kb.studies.choosing import build, settle, tune
from widedeep_kb.studies.comparison import CompareConfig, Corpus, Part, limit_answers
from widedeep_kb.studies.evaluate import PREDICTION_SCHEMA, predict
from widedeep_kb.studies.forgetting import Probes, forgetting
from widedeep_kb.studies.kinds import ASKED_SCHEMA, PLAIN
from widedeep_kb.studies.stateless import Stateless
from widedeep_kb.studies.updates import update_cost
from widedeep_kb.systems.protocol import Closable, System, ToldSystem
from widedeep_kb.systems.registry import SYSTEMS, make_system
from widedeep_kb.systems.tuning import questions_from_facts, split_questions
from widedeep_kb.tables import write_table, write_text


def prepare(
    facts: pl.DataFrame,
    questions: pl.DataFrame,
    *,
    probes: Probes,
    num_dev: int,
    num_unservable: int = 0,
    seed: int = 0,
) -> Corpus:
    """Set development questions apart from the test, and make the questions that a look-up cannot serve.

    They are taken from the questions where these ask for more than twice as many facts, so that every way is tuned on
    what it is asked; no fact is asked for in both. Else they are plain questions about facts that no question asks for.

    Raises:
        ValueError: no questions, no facts, or a question's fact is not among the facts.
    """
    for frame, schema, what in ((facts, FACT_SCHEMA, "facts"), (questions, QUESTION_SCHEMA, "questions")):
        if frame.is_empty():
            raise ValueError(f"there are no {what}")
        assert dict(frame.schema) == schema
    asked = questions["fact_id"].drop_nulls().str.split(" ").explode().unique()
    absent = asked.filter(~asked.is_in(facts["fact_id"].implode()))
    if len(absent):
        raise ValueError(f"{len(absent)} facts that are asked for are not among the facts, such as {absent[0]!r}")
    if questions.drop_nulls("fact_id")["fact_id"].n_unique() > 2 * num_dev:
        split = split_questions(questions, num_dev=num_dev, seed=seed)
        test, dev = split.test, split.dev
    else:
        dev = questions_from_facts(facts, excluded=asked.to_list(), num_questions=num_dev, seed=seed)
        test, dev = questions, dev.filter(~pl.col("question").is_in(questions["question"].implode()))
    kept_apart = dev["fact_id"].drop_nulls().str.split(" ").explode().to_list()
    unservable = unservable_questions(facts, excluded=kept_apart, count=num_unservable, seed=seed)
    return Corpus(facts, tag_shared_words(test, facts), dev, probes, unservable)


def compare(
    corpus: Corpus,
    lm: Callable[[], FrozenLM],
    config: CompareConfig,
    *,
    output: Path,
    tell: Callable[[str], None] = lambda _line: None,
) -> pl.DataFrame:
    """Run what is not there yet, and join the parts.

    Args:
        corpus: facts and questions.
        lm: gives the frozen LLM, always the same object.
        config: what is compared.
        output: a folder, new or of an earlier call that differs in systems, seeds and sizes only.
        tell: takes a line as each part begins and ends.

    Returns:
        `system`, `seed`, `asked` (see `asked`), and `PREDICTION_SCHEMA`.

    Raises:
        ValueError: the folder is of another comparison.
    """
    claim(output, corpus, lm(), config)
    runs, stateless = list(runs_of(config)), Stateless(corpus.test, batch_size=config.batch_size)
    for number, (name, seed) in enumerate(runs, start=1):
        if has_part(output, name, seed):
            tell(f"{number}/{len(runs)} {name}, seed {seed}: there already")
            continue
        tell(f"{number}/{len(runs)} {name}, seed {seed}")
        began = time.perf_counter()
        exact = run_part(name, seed, corpus, lm, config, stateless, output=output, tell=tell)
        tell(f"{number}/{len(runs)} {name}, seed {seed}: exact match {exact:.3f}, {time.perf_counter() - began:.0f} s")
    return join_parts(output, runs)


def run_part(
    name: str,
    seed: int,
    corpus: Corpus,
    lm: Callable[[], FrozenLM],
    config: CompareConfig,
    stateless: Stateless,
    *,
    output: Path,
    tell: Callable[[str], None] = lambda _line: None,
    chosen: Mapping | None = None,
) -> float:
    """Run one system with one seed and write its files; its exact match on the user's own questions.

    With another seed than the first of `config` the first one's files must be there: it was tuned with that. `chosen`
    (see `choosing.settle`) spares the first one's tuning as well.
    """
    if seed != config.seeds[0]:
        chosen = read_part(output, name, config.seeds[0])
    part, predictions = run_system(name, seed, corpus, lm, config, stateless, tell, chosen=chosen)
    write_table(predictions, _part_file(output, name, seed, "parquet"))
    write_text(json.dumps(asdict(part), indent=1), _part_file(output, name, seed, "json"))
    return float(predictions.filter(pl.col("asked") == PLAIN)["exact_match"].mean())


def has_part(output: Path, name: str, seed: int) -> bool:
    """Whether one system with one seed is done in a folder."""
    return _part_file(output, name, seed, "json").exists()


def join_parts(output: Path, runs: Sequence[tuple[str, int]]) -> pl.DataFrame:
    """Write the answers of these systems and seeds, all of them done, to `predictions.parquet`, and return them."""
    predictions = pl.concat([pl.read_parquet(_part_file(output, *run, "parquet")) for run in runs])
    write_table(predictions, output / "predictions.parquet")
    return predictions


def read_part(output: Path, name: str, seed: int) -> dict:
    """The part of one system with one seed, as its JSON says."""
    return json.loads(_part_file(output, name, seed, "json").read_text())


def read_parts(output: Path) -> list[dict]:
    """The parts of a folder, as their JSON says."""
    return [json.loads(path.read_text()) for path in sorted((output / "parts").glob("*.json"))]


def run_system(
    name: str,
    seed: int,
    corpus: Corpus,
    lm: Callable[[], FrozenLM],
    config: CompareConfig,
    stateless: Stateless,
    tell: Callable[[str], None],
    *,
    chosen: Mapping | None = None,
) -> tuple[Part, pl.DataFrame]:
    """Tune, build, ask, and see what was forgotten and what a change takes.

    `chosen`, the part of another seed, spares tuning and the change.
    """
    part = Part(name, seed)
    seconds = None if config.budget_minutes is None else 60 * config.budget_minutes
    system = make_system(name, lm, seed=seed, max_seconds=seconds)
    try:
        began = time.perf_counter()
        limit_answers(system, config)
        if chosen is not None:
            settle(system, corpus, part, chosen=chosen)
            return part, _measured(system, part, corpus, replace(config, num_updates=0), stateless)
        is_built = tune(system, corpus, part, seconds=seconds, tell=tell)
        part.tune_s = round(time.perf_counter() - began - (part.build_s if is_built else 0.0), 3)
        if not is_built:
            part.build_s = build(system, corpus)
        return part, _measured(system, part, corpus, config, stateless)
    finally:
        if isinstance(system, Closable):
            system.close()


def _measured(system: System, part: Part, corpus: Corpus, config: CompareConfig, stateless: Stateless) -> pl.DataFrame:
    """The answers of one system with its facts; all else is noted in `part`."""
    part.size_bytes = system.size_bytes()
    part.history = getattr(system, "history", None)
    options = {"batch_size": config.batch_size, "description": f"asking {part.system}"}
    answers = predict(system, corpus.test, **options)
    asked = [answers.with_columns(asked=pl.lit(PLAIN))]
    if corpus.unservable.height:
        other = predict(system, corpus.unservable.select(*QUESTION_SCHEMA), **options)
        asked.append(other.with_columns(corpus.unservable["asked"]))
    part.stateless_exact_match = stateless.exact_match(system)
    part.forgetting = forgetting(system, corpus.probes, batch_size=config.batch_size)
    if config.num_updates and not isinstance(system, ToldSystem):
        part.update = update_cost(
            system, corpus.facts, corpus.test, answers, num_changed=config.num_updates, seed=part.seed
        )
    columns = (pl.lit(part.system).alias("system"), pl.lit(part.seed, dtype=pl.Int64).alias("seed"))
    return pl.concat(asked).select(*columns, "asked", *PREDICTION_SCHEMA)


def runs_of(config: CompareConfig) -> Iterator[tuple[str, int]]:
    """Every system with every seed that it is run with."""
    for name in config.systems:
        for seed in config.seeds if SYSTEMS[name].is_trained else config.seeds[:1]:
            yield name, seed


def claim(output: Path, corpus: Corpus, lm: FrozenLM, config: CompareConfig) -> None:
    """Make the folder, or see that it is of the same comparison.

    Raises:
        ValueError: the folder is of another comparison, or holds something else.
    """
    own = {
        "llm": asdict(lm.identity),
        "facts": _digest(corpus.facts, FACT_SCHEMA),
        "questions": _digest(corpus.test, QUESTION_SCHEMA),
        "dev": _digest(corpus.dev, QUESTION_SCHEMA),
        "unservable questions": _digest(corpus.unservable, ASKED_SCHEMA),
        "probes": corpus.probes.digest(),
        "num_facts": corpus.facts.height,
        "num_questions": corpus.test.height,
        "config": {**asdict(config), "systems": None, "seeds": None, "sizes": None},
    }
    path = output / "config.json"
    if path.exists():
        former = json.loads(path.read_text())
        for name, value in own.items():
            if former.get(name) != json.loads(json.dumps(value)):
                raise ValueError(f"{output} holds another comparison: its {name} differ; name another folder")
        return
    if output.exists() and any(output.iterdir()):
        raise ValueError(f"{output} is not empty and holds no comparison")
    (output / "parts").mkdir(parents=True, exist_ok=True)
    write_text(json.dumps(own, indent=1), path)


def _digest(frame: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> str:
    """SHA-256 of a frame's rows, in order."""
    digest = hashlib.sha256()
    for row in frame.select(*schema).iter_rows():
        digest.update(json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def _part_file(output: Path, name: str, seed: int, suffix: str) -> Path:
    return output / "parts" / f"{name}-{seed}.{suffix}"


def names_of(text: str) -> tuple[str, ...]:
    """Names or numbers separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers_of(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas.

    Raises:
        ValueError: one is no whole number.
    """
    return tuple(int(part) for part in names_of(text))


def all_systems(*, without: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of all registered systems."""
    return tuple(name for name in SYSTEMS if name not in without)
