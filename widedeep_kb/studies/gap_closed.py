"""How much of what direct tuning gains a way of steering the frozen LLM gains too (Liu et al. 2024, arXiv 2401.08565).

    share of the gap closed = (steered - base) / (tuned - base)

In: the measures of a comparison, or its answers. Out: the share, and its interval over questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

STEERED, TUNED, BASE = "proxy_tuning", "full_ft", "closed_book"


@dataclass(frozen=True)
class GapClosed:
    """A share of the gap closed.

    Attributes:
        share: 1 = as good as direct tuning, 0 = no better than the base; None where tuning gained nothing.
        interval: its 95 % interval over questions; None where tuning gained nothing in a fortieth of the resamples.
        num_questions: asked of all three.
    """

    share: float | None
    interval: tuple[float, float] | None
    num_questions: int


def gap_closed(
    metrics: Mapping[str, object],
    *,
    steered: str = STEERED,
    tuned: str = TUNED,
    base: str = BASE,
    measure: str = "exact_match",
) -> float | None:
    """Share of the gap closed, by the measures of a comparison; None where tuning gained nothing.

    Args:
        metrics: of `measures.measure`, or `metrics.json`.
        steered, tuned, base: names of systems in it.
        measure: `exact_match`, `contains` or `f1`.

    Raises:
        ValueError: the comparison lacks a system.
    """
    systems = metrics["systems"]
    _refuse_absent((steered, tuned, base), systems)
    means = (systems[name]["overall"][measure] for name in (steered, tuned, base))
    return _share(*means)


def gap_closed_interval(
    predictions: pl.DataFrame,
    *,
    steered: str = STEERED,
    tuned: str = TUNED,
    base: str = BASE,
    num_samples: int = 10_000,
    seed: int = 0,
) -> GapClosed:
    """The same of exact match, with its interval: questions are drawn again, each with the answers of all three.

    Args:
        predictions: `predictions.parquet` of a comparison; several seeds of a system are averaged for each question.
        steered, tuned, base: names of systems in it.
        num_samples: resamples of the questions.
        seed: of the resampling.

    Raises:
        ValueError: the comparison lacks a system, or they were asked different questions.
    """
    names = (steered, tuned, base)
    _refuse_absent(names, predictions["system"].unique().to_list())
    keys = ["question", "fact_id"]
    means = [
        predictions.filter(pl.col("system") == name)
        .group_by(keys)
        .agg(pl.col("exact_match").cast(pl.Float64).mean().alias(str(i)))
        for i, name in enumerate(names)
    ]
    joined = means[0].join(means[1], on=keys, nulls_equal=True).join(means[2], on=keys, nulls_equal=True).sort(keys)
    if any(joined.height != frame.height for frame in means):
        raise ValueError(f"{', '.join(names)} were asked different questions")
    scores = joined.select("0", "1", "2").to_numpy()  # [N, 3]
    outcomes, counts = np.unique(scores, axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(scores), counts / len(scores), size=num_samples)
    sampled = draws @ outcomes / len(scores)  # [samples, 3]
    gaps = sampled[:, 1] - sampled[:, 2]
    share, interval = _share(*scores.mean(axis=0).tolist()), None
    if share is not None and (gaps > 0).mean() > 1 - 1 / 40:
        has_gap = gaps > 0
        low, high = np.quantile((sampled[has_gap, 0] - sampled[has_gap, 2]) / gaps[has_gap], [0.025, 0.975])
        interval = (float(low), float(high))
    return GapClosed(share, interval, len(scores))


def _share(steered: float, tuned: float, base: float) -> float | None:
    return (steered - base) / (tuned - base) if tuned > base else None


def _refuse_absent(names: tuple[str, ...], present: object) -> None:
    for name in names:
        if name not in present:
            raise ValueError(f"the comparison has no system {name!r}")
