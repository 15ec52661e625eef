"""What each way costs with more and more facts: seconds to take them in, bytes, milliseconds and prompt tokens.

In: a comparison that was run. Out: `parts/SIZE/SYSTEM.json`, a way with a number of facts each, and `metrics["sizes"]`:

    [{num_facts, num_questions, build_s: {SYSTEM: ...}, bytes_per_fact, ms_per_question, prompt_tokens, exact_match}]

Smaller numbers of facts are parts of larger ones. Ways that are trained and answer from their weights alone take as
long whatever they were trained on: their time is taken from the comparison itself, they are not trained again, and
their seconds, bytes and exact match are left out. A memory's facts are written at each size and its deep part is new,
trained for one step; its exact match would be that of an untrained one, and is left out too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.studies.choosing import practise, use_format
from widedeep_kb.studies.comparison import CompareConfig, Corpus, limit_answers
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.protocol import Closable, Practising, Tunable, ask
from widedeep_kb.systems.registry import SYSTEMS, make_system
from widedeep_kb.tables import write_text

NUM_TIMED = 100  # questions asked at each size
MEMORIES = ("deep", "wide_deep", "wide_deep_ensemble", "wide_deep_rag")  # trained, and written to
MEASURES = ("build_s", "bytes_per_fact", "ms_per_question", "prompt_tokens", "exact_match")


def measured_once(names: Sequence[str]) -> list[str]:
    """The ways whose time does not depend on the number of facts."""
    return [name for name in names if SYSTEMS[name].is_trained and name not in MEMORIES]


def draw_sizes(corpus: Corpus, sizes: Sequence[int], *, seed: int = 0) -> tuple[pl.DataFrame, dict[int, pl.DataFrame]]:
    """The questions asked at every size, and the facts of each size.

    The facts that the questions and the worked examples are about are in each of them; the rest is drawn.

    Args:
        corpus: of the comparison.
        sizes: numbers of facts, ascending.
        seed: of the draw.

    Returns:
        Questions in `QUESTION_SCHEMA`, and size -> facts in `FACT_SCHEMA`.

    Raises:
        ValueError: a size above the number of facts, or below the number of those that are asked for.
    """
    asked = corpus.test.sample(min(NUM_TIMED, corpus.test.height), shuffle=True, seed=seed)
    ids = pl.concat([asked["fact_id"], corpus.dev["fact_id"]]).drop_nulls().str.split(" ").explode()
    is_asked = corpus.facts["fact_id"].is_in(ids.implode())
    for size in sizes:
        if size > corpus.facts.height:
            raise ValueError(f"there are {corpus.facts.height} facts: times cannot be measured with {size}")
        if size < is_asked.sum():
            raise ValueError(f"{is_asked.sum()} facts are asked for or shown: {size} are too few to measure times with")
    shuffled = corpus.facts.with_columns(_asked=is_asked).sample(fraction=1.0, shuffle=True, seed=seed)
    ordered = shuffled.sort("_asked", descending=True, maintain_order=True).drop("_asked")
    return asked, {size: ordered.head(size) for size in sizes}


def measure_sizes(
    corpus: Corpus,
    lm: Callable[[], FrozenLM],
    config: CompareConfig,
    *,
    parts: Sequence[Mapping],
    output: Path,
    tell: Callable[[str], None] = lambda _line: None,
) -> None:
    """Measure what is not there yet, a file each.

    Args:
        corpus, lm, config: of the comparison.
        parts: its parts, as JSON says: they name each way's setting and prompt format.
        output: its folder.
        tell: takes a line as each measurement ends.

    Raises:
        ValueError: a size out of range.
    """
    asked, facts_of = draw_sizes(corpus, config.sizes)
    chosen = {part["system"]: part for part in reversed(parts)}
    once = measured_once(config.systems)
    for size, facts in facts_of.items():
        for name in config.systems:
            path = output / "parts" / str(size) / f"{name}.json"
            if name in once or path.exists():
                continue
            path.parent.mkdir(exist_ok=True)
            record = _measured(chosen[name], facts, asked, corpus.dev, lm, config)
            write_text(json.dumps(record, indent=1), path)
            tell(f"{size:,} facts, {name}: {record['build_s']:.2f} s to build, {record['ms_per_question']:.2f} ms")


def sizes_of(output: Path, config: CompareConfig, systems: Mapping[str, Mapping]) -> dict[str, object]:
    """`sizes` and `measured_once`, for `metrics.json`; nothing without sizes.

    Args:
        output: folder of the comparison.
        config: its systems and sizes.
        systems: the measures of each, which give the time of those of `measured_once`.
    """
    if not config.sizes:
        return {}
    names = {"ms_per_question": "ms_per_question", "prompt_tokens": "prompt_tokens_per_question"}
    once = {
        name: {measure: systems[name]["costs"][cost] for measure, cost in names.items()}
        for name in measured_once(config.systems)
    }
    sizes = []
    for size in config.sizes:
        files = {name: output / "parts" / str(size) / f"{name}.json" for name in config.systems if name not in once}
        records = {name: json.loads(path.read_text()) for name, path in files.items()}
        by_measure = {
            measure: {name: row[measure] for name, row in {**records, **once}.items() if row.get(measure) is not None}
            for measure in MEASURES
        }
        num_questions = max((record["num_questions"] for record in records.values()), default=0)
        sizes.append({"num_facts": size, "num_questions": num_questions, **by_measure})
    return {"sizes": sizes, "measured_once": sorted(once)}


def _measured(
    part: Mapping,
    facts: pl.DataFrame,
    asked: pl.DataFrame,
    dev: pl.DataFrame,
    lm: Callable[[], FrozenLM],
    config: CompareConfig,
) -> dict[str, object]:
    """One way with some of the facts, in the setting and prompt format that the comparison chose for it."""
    name, setting = part["system"], dict(part["setting"])
    system = make_system(name, lm, seed=part["seed"])
    try:
        limit_answers(system, config)
        if name in MEMORIES:
            setting["steps"] = 1
        if isinstance(system, Tunable) and setting:
            system.use(setting)
        began = time.perf_counter()
        system.ingest(facts)
        build_s = time.perf_counter() - began
        use_format(system, part["prompt_format"], dev)
        if isinstance(system, Practising) and dev.height:
            build_s += practise(system, dev)
        ask(system, asked.head(1))  # the first question pays for what is made ready once
        answers = predict(system, asked, batch_size=config.batch_size, description=f"{facts.height:,} facts, {name}")
        return {
            "num_facts": facts.height,
            "num_questions": answers.height,
            "build_s": round(build_s, 3),
            "bytes_per_fact": round(system.size_bytes() / facts.height, 1),
            "ms_per_question": round(float(answers["latency_ms"].mean()), 3),
            "prompt_tokens": round(float(answers["prompt_tokens"].mean()), 2),
            "exact_match": None if name in MEMORIES else round(float(answers["exact_match"].mean()), 4),
        }
    finally:
        if isinstance(system, Closable):
            system.close()
