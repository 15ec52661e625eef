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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import FACT_SCHEMA, QUESTION_SCHEMA
from widedeep_kb.studies.evaluate import PREDICTION_SCHEMA, predict
from widedeep_kb.studies.forgetting import Forgetting, Probes, forgetting
from widedeep_kb.studies.updates import UpdateCost, update_cost
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat
from widedeep_kb.systems.protocol import Closable, System, ToldSystem, Trained, Tunable
from widedeep_kb.systems.registry import SYSTEMS, make_system
from widedeep_kb.systems.tuning import questions_from_facts, split_questions, tune_format
from widedeep_kb.tables import write_table, write_text

STATELESS = "closed_book"
MIN_SCORED = 10  # development questions behind the worked examples


@dataclass(frozen=True)
class CompareConfig:
    """What is compared.

    Attributes:
        systems: names of the registry.
        seeds: each trained system is trained once a seed; the others are asked once.
        budget_minutes: that tuning and building one system with one seed may take; None = as long as its recipe says.
        num_dev: development questions, about facts that no test question asks for; for settings and prompt formats.
        num_updates: facts changed to see what a change takes; 0 = none.
        max_new_tokens: longest answer.
        batch_size: questions in one call of a system.

    Raises:
        ValueError: an unknown system, no seed, or a number out of range.
    """

    systems: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    budget_minutes: float | None = None
    num_dev: int = 40
    num_updates: int = 20
    max_new_tokens: int = 32
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in self.systems:
            if name not in SYSTEMS:
                make_system(name, _no_lm)  # raises, and names the closest one
        for name, least in (("num_dev", 0), ("num_updates", 0), ("max_new_tokens", 1), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.budget_minutes is not None and self.budget_minutes <= 0:
            raise ValueError(f"budget_minutes must be above 0, got {self.budget_minutes}")
        if not self.systems or not self.seeds:
            raise ValueError("name at least one system and one seed")
        if len(set(self.systems)) < len(self.systems) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a system or a seed is named twice")


@dataclass(frozen=True)
class Corpus:
    """What all systems are given.

    Attributes:
        facts: a frame in `FACT_SCHEMA`.
        test: questions, a frame in `QUESTION_SCHEMA`.
        dev: development questions, none about a fact of `test`.
        probes: what must not change.
    """

    facts: pl.DataFrame
    test: pl.DataFrame
    dev: pl.DataFrame
    probes: Probes


@dataclass
class Part:
    """One system with one seed.

    Attributes:
        system, seed: which.
        prompt_format: the one chosen, for a system that shows text.
        setting: the one chosen, of those in `sweep`.
        sweep: every setting and format tried, with its exact match on the development questions and its seconds.
        tune_s, build_s: seconds of tuning, and of taking in the facts with the setting chosen.
        size_bytes: kept to answer, the LLM's own aside.
        history: what a trained system noted of its training.
        forgetting, update: see there.
    """

    system: str
    seed: int
    prompt_format: str | None = None
    setting: dict[str, object] = field(default_factory=dict)
    sweep: list[dict[str, object]] = field(default_factory=list)
    tune_s: float = 0.0
    build_s: float = 0.0
    size_bytes: int = 0
    history: object = None
    forgetting: Forgetting | None = None
    update: UpdateCost | None = None


def prepare(facts: pl.DataFrame, questions: pl.DataFrame, *, probes: Probes, num_dev: int, seed: int = 0) -> Corpus:
    """Set development questions apart from the test.

    They are plain questions about facts that no question asks for; where there are fewer than half as many of these as
    wanted, they are taken from the questions instead, with all questions about the same facts.

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
    dev = questions_from_facts(facts, excluded=asked.to_list(), num_questions=num_dev, seed=seed)
    dev = dev.filter(~pl.col("question").is_in(questions["question"].implode()))
    if dev.height < num_dev / 2 and questions.drop_nulls("fact_id")["fact_id"].n_unique() > 2 * num_dev:
        split = split_questions(questions, num_dev=num_dev, seed=seed)
        return Corpus(facts, split.test, split.dev, probes)
    return Corpus(facts, questions, dev, probes)


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
        output: a folder, new or of an earlier call with the same corpus, LLM and config but for systems and seeds.
        tell: takes a line as each part begins and ends.

    Returns:
        `system`, `seed`, and `PREDICTION_SCHEMA`.

    Raises:
        ValueError: the folder is of another comparison.
    """
    _claim(output, corpus, lm(), config)
    runs = list(_runs(config))
    for number, (name, seed) in enumerate(runs, start=1):
        if _part_file(output, name, seed, "json").exists():
            tell(f"{number}/{len(runs)} {name}, seed {seed}: there already")
            continue
        tell(f"{number}/{len(runs)} {name}, seed {seed}")
        began = time.perf_counter()
        part, predictions = run_system(name, seed, corpus, lm, config)
        write_table(predictions, _part_file(output, name, seed, "parquet"))
        write_text(json.dumps(asdict(part), indent=1), _part_file(output, name, seed, "json"))
        exact = predictions["exact_match"].mean()
        tell(f"{number}/{len(runs)} {name}, seed {seed}: exact match {exact:.3f}, {time.perf_counter() - began:.0f} s")
    predictions = pl.concat([pl.read_parquet(_part_file(output, *run, "parquet")) for run in runs])
    write_table(predictions, output / "predictions.parquet")
    return predictions


def read_parts(output: Path) -> list[dict]:
    """The parts of a folder, as their JSON says."""
    return [json.loads(path.read_text()) for path in sorted((output / "parts").glob("*.json"))]


def run_system(
    name: str, seed: int, corpus: Corpus, lm: Callable[[], FrozenLM], config: CompareConfig
) -> tuple[Part, pl.DataFrame]:
    """Tune, build, ask, and see what was forgotten and what a change takes."""
    part = Part(name, seed)
    seconds = None if config.budget_minutes is None else 60 * config.budget_minutes
    system = make_system(name, lm, seed=seed, max_seconds=seconds)
    try:
        return part, _measured(system, part, corpus, config, seconds=seconds)
    finally:
        if isinstance(system, Closable):
            system.close()


def _measured(
    system: System, part: Part, corpus: Corpus, config: CompareConfig, *, seconds: float | None
) -> pl.DataFrame:
    """The answers of one system; all else is noted in `part`."""
    _limit(system, config)
    began = time.perf_counter()
    is_built = tune(system, corpus, part, seconds=seconds)
    part.tune_s = round(time.perf_counter() - began, 3)
    if not is_built:
        began = time.perf_counter()
        system.ingest(corpus.facts)
        part.build_s = round(time.perf_counter() - began, 3)
    part.size_bytes = system.size_bytes()
    part.history = getattr(system, "history", None)
    predictions = predict(system, corpus.test, batch_size=config.batch_size)
    part.forgetting = forgetting(system, corpus.probes, batch_size=config.batch_size)
    if config.num_updates and not isinstance(system, ToldSystem):
        part.update = update_cost(
            system, corpus.facts, corpus.test, predictions, num_changed=config.num_updates, seed=part.seed
        )
    columns = (pl.lit(part.system).alias("system"), pl.lit(part.seed, dtype=pl.Int64).alias("seed"))
    return predictions.select(*columns, *PREDICTION_SCHEMA)


def tune(system: System, corpus: Corpus, part: Part, *, seconds: float | None) -> bool:
    """Give a system the setting and the prompt format that are best on the development questions.

    Of a trained system each setting is trained for an equal share of `seconds`, and so is the last one. Noted in
    `part`, with the seconds of the build that is kept.

    Returns:
        Whether the system has the facts, with the setting chosen.
    """
    settings = list(system.settings()) if isinstance(system, Tunable) else [{}]
    if corpus.dev.height < MIN_SCORED:
        settings = settings[:1]
    if isinstance(system, Trained) and seconds is not None:
        system.max_seconds = seconds / (len(settings) + 1 if len(settings) > 1 else 1)
    tried: list[tuple[float, dict, PromptFormat | None, float]] = []
    has_facts = False
    for setting in settings:
        has_facts = not (isinstance(system, Tunable) and system.use(setting)) and has_facts
        build_s = 0.0
        if not has_facts:
            began = time.perf_counter()
            system.ingest(corpus.facts)
            build_s, has_facts = round(time.perf_counter() - began, 3), True
        score, chosen = _score(system, corpus.dev, part, setting=dict(setting), build_s=build_s)
        tried.append((score, dict(setting), chosen, build_s))
    score, part.setting, chosen, part.build_s = max(tried, key=lambda one: one[0])
    if isinstance(system, PromptedSystem) and chosen is not None:
        system.prompt_format, part.prompt_format = chosen, chosen.name
    if part.setting == tried[-1][1]:
        return True
    return not (isinstance(system, Tunable) and system.use(part.setting))


def _score(
    system: System, dev: pl.DataFrame, part: Part, *, setting: dict[str, object], build_s: float
) -> tuple[float, PromptFormat | None]:
    """Exact match of a system with its facts on the development questions; a prompted one in its best format."""
    entry: dict[str, object] = {"setting": setting, "build_s": build_s}
    if isinstance(system, PromptedSystem):
        has_chat = system.lm.tokenizer.chat_template is not None
        formats = [f for f in PROMPT_FORMATS if f.num_shots + MIN_SCORED <= dev.height and (has_chat or not f.is_chat)]
        if not formats:
            system.prompt_format = PromptFormat(num_shots=0, is_chat=False)
            part.sweep.append({**entry, "exact_match": None, "formats": {}})
            return 0.0, system.prompt_format
        choice = tune_format(system, dev, formats=formats)
        best = choice.exact_match[choice.best.name]
        part.sweep.append({**entry, "exact_match": best, "formats": choice.exact_match})
        return best, choice.best
    if dev.height < MIN_SCORED:
        part.sweep.append({**entry, "exact_match": None})
        return 0.0, None
    score = float(predict(system, dev)["exact_match"].mean())
    part.sweep.append({**entry, "exact_match": score})
    return score, None


def _runs(config: CompareConfig) -> Iterator[tuple[str, int]]:
    for name in config.systems:
        for seed in config.seeds if SYSTEMS[name].is_trained else config.seeds[:1]:
            yield name, seed


def _limit(system: System, config: CompareConfig) -> None:
    if hasattr(system, "max_new_tokens"):
        system.max_new_tokens = config.max_new_tokens


def _claim(output: Path, corpus: Corpus, lm: FrozenLM, config: CompareConfig) -> None:
    """Make the folder, or see that it is of the same comparison."""
    own = {
        "llm": asdict(lm.identity),
        "facts": _digest(corpus.facts, FACT_SCHEMA),
        "questions": _digest(corpus.test, QUESTION_SCHEMA),
        "dev": _digest(corpus.dev, QUESTION_SCHEMA),
        "probes": corpus.probes.digest(),
        "num_facts": corpus.facts.height,
        "num_questions": corpus.test.height,
        "config": {**asdict(replace(config, systems=("closed_book",), seeds=(0,))), "systems": None, "seeds": None},
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


def _no_lm() -> FrozenLM:
    raise AssertionError("an unknown system has no LLM")


def names_of(text: str) -> tuple[str, ...]:
    """Names or numbers separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds separated by commas.

    Raises:
        ValueError: one is no whole number.
    """
    return tuple(int(part) for part in names_of(text))


def all_systems(*, without: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of all registered systems."""
    return tuple(name for name in SYSTEMS if name not in without)
