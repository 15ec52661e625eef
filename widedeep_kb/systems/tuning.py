"""Find the best prompt format on development questions, which never meet the test questions.

Development questions come from the same file as the test's, split off by fact (`split_questions`), or are made from
facts that no test question asks for (`questions_from_facts`).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from rich.console import Console
from rich.progress import track

from widedeep_kb.metrics import exact_match
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat, Shot
from widedeep_kb.systems.protocol import ask


@dataclass(frozen=True)
class FormatChoice:
    """The outcome of tuning.

    Attributes:
        best: the format with the highest exact match; the earlier one where two are equal.
        exact_match: of every format tried, by its name.
        num_questions: scored for each format.
        num_skipped: formats not tried, for lack of time.
    """

    best: PromptFormat
    exact_match: dict[str, float]
    num_questions: int
    num_skipped: int = 0


@dataclass(frozen=True)
class QuestionSplit:
    """Questions in two parts that share no fact."""

    dev: pl.DataFrame
    test: pl.DataFrame


def split_questions(questions: pl.DataFrame, *, num_dev: int, seed: int) -> QuestionSplit:
    """Split off development questions; all phrasings of one fact land on one side, one of them is used for dev.

    Args:
        questions: a frame in `QUESTION_SCHEMA`.
        num_dev: development questions, each about another fact; those without a fact count as one each.
        seed: of the choice.

    Raises:
        ValueError: `num_dev` is not below the number of facts asked for.
    """
    keyed = questions.with_columns(_group=pl.coalesce("fact_id", "question"))
    groups = keyed["_group"].unique(maintain_order=True)
    if not 0 <= num_dev < len(groups):
        raise ValueError(f"cannot split {num_dev} development questions off {len(groups)} facts asked for")
    is_dev = pl.col("_group").is_in(groups.sample(num_dev, shuffle=True, seed=seed).implode())
    dev = keyed.filter(is_dev).sample(fraction=1.0, shuffle=True, seed=seed)
    dev = dev.unique("_group", keep="first", maintain_order=True)
    return QuestionSplit(dev.drop("_group"), keyed.filter(~is_dev).drop("_group"))


def questions_from_facts(
    facts: pl.DataFrame, *, excluded: Sequence[str], num_questions: int, seed: int
) -> pl.DataFrame:
    """Plain development questions about facts that the test does not ask for, the relations in turn.

    Args:
        facts: a frame in `FACT_SCHEMA`.
        excluded: fact ids the test asks for.
        num_questions: at most so many.
        seed: of the choice.

    Returns:
        A frame in `QUESTION_SCHEMA`, tagged `dev`.
    """
    free = facts.filter(~pl.col("fact_id").is_in(list(excluded)))
    free = free.sample(fraction=1.0, shuffle=True, seed=seed)
    chosen = free.sort(pl.int_range(pl.len()).over("relation"), maintain_order=True).head(num_questions)
    frame = chosen.select(
        question=pl.format("What is the {} of {}?", "relation", "subject"),
        answers=pl.concat_list("object", "object_aliases"),
        fact_id="fact_id",
        tags=pl.lit(["dev"], dtype=pl.List(pl.String)),
    )
    return frame.cast(QUESTION_SCHEMA)


def make_shots(questions: pl.DataFrame) -> tuple[Shot, ...]:
    """Worked examples from questions, answered by their first accepted answer; contexts are still empty."""
    return tuple(
        Shot(row["question"], row["answers"][0], fact_id=row["fact_id"]) for row in questions.iter_rows(named=True)
    )


def take_shots(system: PromptedSystem, dev_questions: pl.DataFrame, *, num_shots: int, seed: int = 0) -> pl.DataFrame:
    """Give `system`, which has its facts, the first development questions after shuffling as worked examples.

    Returns:
        The other questions.

    Raises:
        ValueError: no question is left.
    """
    if dev_questions.height <= num_shots:
        raise ValueError(f"{dev_questions.height} development questions cannot give {num_shots} shots and a score")
    order = list(range(dev_questions.height))
    random.Random(seed).shuffle(order)
    system.shots = system.with_contexts(make_shots(dev_questions[order[:num_shots]]))
    return dev_questions[order[num_shots:]]


def renew_contexts(system: object) -> None:
    """Show in a system's worked examples, if it has any, what it shows with a question now."""
    if isinstance(system, PromptedSystem) and system.shots:
        system.shots = system.with_contexts(system.shots)


def tune_format(
    system: PromptedSystem,
    dev_questions: pl.DataFrame,
    *,
    formats: Sequence[PromptFormat] = PROMPT_FORMATS,
    seed: int = 0,
    max_seconds: float = math.inf,
    num_shots: int | None = None,
) -> FormatChoice:
    """Give `system` the format with the highest exact match on development questions, and its shots.

    The first questions, after shuffling, become the shots; the others are scored. Shows a progress bar on stderr.

    Args:
        system: has its facts already; its `shots` and `prompt_format` are replaced.
        dev_questions: a frame in `QUESTION_SCHEMA`, apart from the test.
        formats: the formats tried.
        seed: of the shuffling.
        max_seconds: formats that will not be done by then are not tried, but for the first.
        num_shots: questions set apart as worked examples; None = as many as the largest format shows.

    Raises:
        ValueError: no question is left to score.
    """
    num_shots = max(f.num_shots for f in formats) if num_shots is None else num_shots
    scored = take_shots(system, dev_questions, num_shots=num_shots, seed=seed)
    scores: dict[PromptFormat, float] = {}
    began, longest = time.perf_counter(), 0.0
    console = Console(stderr=True)
    for prompt_format in track(formats, description="prompt formats", console=console, disable=not console.is_terminal):
        started = time.perf_counter()
        if scores and started - began + longest > max_seconds:
            break
        system.prompt_format = prompt_format
        scores[prompt_format] = _dev_exact_match(system, scored)
        longest = max(longest, time.perf_counter() - started)
    system.prompt_format = max(scores, key=lambda prompt_format: scores[prompt_format])
    return FormatChoice(
        system.prompt_format,
        {tried.name: score for tried, score in scores.items()},
        num_questions=scored.height,
        num_skipped=len(formats) - len(scores),
    )


def _dev_exact_match(system: PromptedSystem, questions: pl.DataFrame) -> float:
    pairs = zip(ask(system, questions), questions["answers"].to_list(), strict=True)
    return sum(exact_match(answer.text, accepted) for answer, accepted in pairs) / questions.height
