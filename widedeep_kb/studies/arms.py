"""Several systems on the same questions: each prompted one in its best format, and how far one is ahead of the others.

In: systems with their facts, development and test questions. Out: a frame with one row a question and arm, and the
rows of a table: exact match of each arm, and the paired difference of one arm to each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.metrics import Interval, bootstrap_interval, paired_bootstrap
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat
from widedeep_kb.systems.protocol import System
from widedeep_kb.systems.tuning import tune_format

HIGH, NEAR = 0.95, 0.01  # above HIGH nobody can be ahead by much: within NEAR is as good


@runtime_checkable
class Generating(Protocol):
    """A system that writes token by token, up to a limit."""

    max_new_tokens: int


def run_arms(
    arms: Mapping[str, System],
    test: pl.DataFrame,
    *,
    dev: pl.DataFrame,
    formats: Sequence[PromptFormat] = PROMPT_FORMATS,
    batch_size: int = 64,
) -> pl.DataFrame:
    """Ask every arm the test questions, a prompted one in the format that is best on the development questions.

    Args:
        arms: systems by name, with their facts.
        test: a frame in `QUESTION_SCHEMA`.
        dev: the same, for tuning: more rows than the largest format has worked examples.
        formats: tried for each prompted system.
        batch_size: questions in one call of a system.

    Returns:
        `arm`, `prompt_format` (null for a system without one), and `PREDICTION_SCHEMA`; arm after arm, the questions
        of each in the order of `test`.

    Raises:
        ValueError: no questions, or too few development questions.
    """
    parts = []
    for name, system in arms.items():
        chosen = None
        if isinstance(system, PromptedSystem):
            chosen = tune_format(system, dev, formats=formats).best.name
        predictions = predict(system, test, batch_size=batch_size)
        columns = (pl.lit(name).alias("arm"), pl.lit(chosen, dtype=pl.String).alias("prompt_format"))
        parts.append(predictions.select(*columns, pl.all()))
    return pl.concat(parts)


def formats_named(names: str) -> tuple[PromptFormat, ...]:
    """Prompt formats by their names, separated by commas.

    Raises:
        ValueError: no format has one of the names.
    """
    known = {prompt_format.name: prompt_format for prompt_format in PROMPT_FORMATS}
    for name in names.split(","):
        if name not in known:
            raise ValueError(f"no prompt format is called {name!r}; known: {', '.join(known)}")
    return tuple(known[name] for name in names.split(","))


def allow_answers(arms: Mapping[str, System], questions: pl.DataFrame, *, lm: FrozenLM) -> int:
    """Let every arm that generates write as many tokens as the longest accepted answer has, and two more.

    Returns:
        That number of tokens.
    """
    texts = questions["answers"].explode().drop_nulls().unique().to_list()
    most = max((len(row) for row in lm.encode([f" {text}" for text in texts])), default=0) + 2
    for system in arms.values():
        if isinstance(system, Generating):
            system.max_new_tokens = most
    return most


def exact_matches(predictions: pl.DataFrame, arm: str) -> list[float]:
    """0 or 1 for each question of one arm, in order."""
    return predictions.filter(pl.col("arm") == arm)["exact_match"].cast(pl.Float64).to_list()


def arm_scores(predictions: pl.DataFrame) -> list[dict[str, object]]:
    """For each arm: sample size, exact match with its 95 % interval, contains, prompt format and cost."""
    rows = []
    for (arm,), part in predictions.group_by("arm", maintain_order=True):
        interval = bootstrap_interval(exact_matches(part, arm))
        rows.append(
            {
                "arm": arm,
                "num_questions": part.height,
                "exact_match": round(interval.mean, 4),
                "interval": [round(interval.low, 4), round(interval.high, 4)],
                "contains": round(float(part["contains"].mean()), 4),
                "prompt_format": part["prompt_format"][0],
                "ms_per_question": round(float(part["latency_ms"].mean()), 2),
            }
        )
    return rows


def differences(predictions: pl.DataFrame, *, arm: str, others: Sequence[str]) -> list[dict[str, object]]:
    """Exact match of `arm` minus that of each other one, question by question, with a 95 % interval.

    `is_reached` says whether `arm` is ahead with the whole interval, or within 0.01 of a baseline above 0.95.
    """
    ours, rows = exact_matches(predictions, arm), []
    for other in others:
        theirs = exact_matches(predictions, other)
        gap = paired_bootstrap(ours, theirs)
        rows.append(
            {
                "arm": arm,
                "minus": other,
                "num_questions": len(ours),
                "difference": round(gap.mean, 4),
                "interval": [round(gap.low, 4), round(gap.high, 4)],
                "is_reached": is_reached(gap, baseline=sum(theirs) / len(theirs)),
            }
        )
    return rows


def is_reached(gap: Interval, *, baseline: float) -> bool:
    """Whether a paired difference counts as ahead (see `differences`)."""
    return gap.low > 0 or (baseline > HIGH and gap.mean >= -NEAR - 1e-9)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def gap_text(row: Mapping[str, object]) -> str:
    """One row of `differences` in a cell: `+0.120 [+0.080, +0.160] yes`."""
    low, high = row["interval"]
    return f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}] {'yes' if row['is_reached'] else 'no'}"


def score_text(row: Mapping[str, object]) -> str:
    """One row of `arm_scores` in a cell: `0.812 (plain-5)`."""
    format_name = row["prompt_format"]
    return f"{row['exact_match']:.3f}" + (f" ({format_name})" if format_name else "")
