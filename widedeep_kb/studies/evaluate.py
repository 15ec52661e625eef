"""Ask a system every question of a file, score the answers, and keep one row a question and one summary.

In: a system with its facts and a frame in `QUESTION_SCHEMA`. Out: a parquet file in `PREDICTION_SCHEMA` and the JSON
object that `widedeep-kb evaluate` prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import NotRequired, TypedDict

import polars as pl
from rich.console import Console
from rich.progress import track

from widedeep_kb.metrics import score_frame
from widedeep_kb.systems.protocol import Answer, System, ask
from widedeep_kb.tables import write_table

PREDICTION_SCHEMA: dict[str, pl.DataType] = {
    "question": pl.String(),
    "answers": pl.List(pl.String()),
    "prediction": pl.String(),
    "exact_match": pl.Boolean(),
    "contains": pl.Boolean(),
    "f1": pl.Float64(),
    "confidence": pl.Float64(),
    "evidence": pl.List(pl.String()),
    "fact_id": pl.String(),
    "tags": pl.List(pl.String()),
    "prompt_tokens": pl.Int64(),
    "generated_tokens": pl.Int64(),
    "latency_ms": pl.Float64(),
    "is_guessed": pl.Boolean(),
    "is_abstained": pl.Boolean(),
}


class TagScores(TypedDict):
    """Mean scores, from 0 to 1, of the questions with one tag."""

    num_questions: int
    exact_match: float
    contains: float
    f1: float


class Summary(TagScores):
    """Mean scores and costs of all questions, and the scores by tag.

    Where a question was not answered, also the share that was, and the exact match of the answers given (None: none).
    """

    ms_per_question: float
    prompt_tokens_per_question: float
    by_tag: dict[str, TagScores]
    share_answered: NotRequired[float]
    precision: NotRequired[float | None]


def evaluate(
    system: System, questions: pl.DataFrame, *, output: str | Path | None = None, batch_size: int = 64
) -> Summary:
    """Ask and score; shows a progress bar on stderr.

    Args:
        system: has its facts already.
        questions: a frame in `QUESTION_SCHEMA`.
        output: a .parquet file to write, whole or not at all; None writes nothing.
        batch_size: questions in one call of the system.

    Returns:
        The summary, ready for JSON.

    Raises:
        ValueError: no questions, or `output` is no .parquet file.
    """
    if output is not None and Path(output).suffix != ".parquet":
        raise ValueError(f"{output}: predictions are written to a .parquet file")
    predictions = predict(system, questions, batch_size=batch_size)
    if output is not None:
        write_table(predictions, output)
    return summarise(predictions)


def predict(
    system: System, questions: pl.DataFrame, *, batch_size: int = 64, description: str = "asking"
) -> pl.DataFrame:
    """Ask and score every question: one row each in `PREDICTION_SCHEMA`, in order.

    Args:
        system: has its facts already.
        questions: a frame in `QUESTION_SCHEMA`.
        batch_size: questions in one call of the system.
        description: of the progress bar.

    Raises:
        ValueError: no questions.
    """
    if questions.is_empty():
        raise ValueError("there are no questions to ask")
    batches = list(questions.iter_slices(batch_size))
    console = Console(stderr=True)
    answers: list[Answer] = []
    for batch in track(batches, description=description, console=console, disable=not console.is_terminal):
        answers.extend(ask(system, batch))
    columns = pl.DataFrame(
        {
            "prediction": pl.Series([a.text for a in answers], dtype=pl.String),
            "confidence": pl.Series([a.confidence for a in answers], dtype=pl.Float64),
            "evidence": pl.Series([a.evidence for a in answers], dtype=pl.List(pl.String)),
            "prompt_tokens": pl.Series([a.prompt_tokens for a in answers], dtype=pl.Int64),
            "generated_tokens": pl.Series([a.generated_tokens for a in answers], dtype=pl.Int64),
            "latency_ms": pl.Series([a.latency_ms for a in answers], dtype=pl.Float64),
            "is_guessed": pl.Series([a.is_guessed for a in answers], dtype=pl.Boolean),
            "is_abstained": pl.Series([a.is_abstained for a in answers], dtype=pl.Boolean),
        }
    )
    assert columns.height == questions.height, "a system must answer every question once"
    return score_frame(pl.concat([questions, columns], how="horizontal")).select(*PREDICTION_SCHEMA)


def summarise(predictions: pl.DataFrame) -> Summary:
    """Means over a frame in `PREDICTION_SCHEMA`, and over the rows of each tag, tags sorted.

    Raises:
        ValueError: no rows.
    """
    if predictions.is_empty():
        raise ValueError("there are no predictions to summarise")
    tagged = predictions.select("tags", "exact_match", "contains", "f1").explode("tags").drop_nulls("tags")
    groups = tagged.group_by("tags").agg(_means()).sort("tags")
    (totals,) = predictions.select(
        _means(),
        ms_per_question=pl.mean("latency_ms"),
        prompt_tokens_per_question=pl.mean("prompt_tokens"),
    ).to_dicts()
    summary = {**totals, "by_tag": {row.pop("tags"): row for row in groups.to_dicts()}}
    given = predictions.filter(~pl.col("is_abstained"))
    if given.height < predictions.height:
        summary |= {"share_answered": given.height / predictions.height, "precision": given["exact_match"].mean()}
    return summary


def _means() -> list[pl.Expr]:
    scores = [pl.col(name).cast(pl.Float64).mean() for name in ("exact_match", "contains", "f1")]
    return [pl.len().cast(pl.Int64).alias("num_questions"), *scores]
