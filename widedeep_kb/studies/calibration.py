"""How well confidence is calibrated, and what abstaining does: figures from answers known to be right or wrong.

In: a frame in `ANSWERED_SCHEMA` and a calibration. Out: rows for JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import polars as pl
import torch
from torch import Tensor

from widedeep_kb.memory.calibration import Calibration
from widedeep_kb.memory.signs import AnswerSigns
from widedeep_kb.metrics import bootstrap_interval, expected_calibration_error, reliability_curve
from widedeep_kb.studies.calibration_questions import KINDS

SHARES = {"stored": 0.5} | dict.fromkeys(KINDS[1:], 0.5 / 3)
"""Of the questions that a calibration is fitted for."""


def signs_of(answered: pl.DataFrame) -> list[AnswerSigns]:
    """The signs of the answers of a frame in `ANSWERED_SCHEMA`."""
    return [AnswerSigns(*row) for row in answered.select(AnswerSigns._fields).iter_rows()]


def with_confidence(answered: pl.DataFrame, calibration: Calibration) -> pl.DataFrame:
    """The frame with columns `confidence` and `raw_confidence`, Float64 from 0 to 1."""
    signs = signs_of(answered)
    return answered.with_columns(
        confidence=pl.Series(calibration.probabilities(signs), dtype=pl.Float64),
        raw_confidence=pl.Series([shown.raw_confidence for shown in signs], dtype=pl.Float64),
    )


def calibration_errors(told: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Expected calibration error (10 bins) of raw and calibrated confidence: of all answers, by kind, by domain.

    Args:
        told: what `with_confidence` returns.
    """
    groups = [("all", told)]
    groups += [(kind, told.filter(pl.col("kind") == kind)) for kind in KINDS]
    groups += [(str(name), part) for (name,), part in told.group_by("domain", maintain_order=True)]
    for name, part in groups:
        if part.is_empty():
            continue
        is_right = part["is_right"].to_numpy()
        errors = {
            f"error_{column}": round(expected_calibration_error(part[column].to_numpy(), is_right), 4)
            for column in ("raw_confidence", "confidence")
        }
        yield {"of": name, "num_questions": part.height, "right": round(float(is_right.mean()), 4), **errors}


def curve_rows(told: pl.DataFrame, *, column: str = "confidence") -> list[dict[str, float]]:
    """The reliability curve of a column of confidences, see `ReliabilityBin`."""
    curve = reliability_curve(told[column].to_numpy(), told["is_right"].to_numpy())
    return [{name: round(value, 4) for name, value in asdict(part).items()} for part in curve]


def abstaining(told: pl.DataFrame, *, threshold: float) -> Iterator[dict[str, object]]:
    """What is answered where confidence is at least `threshold`, with 95 % bootstrap intervals.

    First row: all answers: `precision` of those given, the same for the mix of kinds that thresholds are chosen for
    (see `kind_weights`), `recall`, the share of questions with a stored fact that are answered, and `right_kept`, the
    share of right answers that are given. Then a row for each kind and each domain: the share of its questions refused.
    """
    is_given = pl.Series(told["confidence"] >= threshold)
    given = told.filter(is_given)
    yield {
        "of": "all",
        "threshold": round(threshold, 4),
        "num_questions": told.height,
        "num_answered": given.height,
        "precision": _share(given["is_right"]) if given.height else None,
        "precision_at_mix": _weighted_precision(told, is_given) if given.height else None,
        "recall": _share(is_given.filter(told["kind"] == "stored")),
        "right_kept": _share(is_given.filter(told["is_right"])),
    }
    groups = [(kind, told["kind"] == kind) for kind in KINDS]
    groups += [
        (f"{name}, {kind}", (told["domain"] == name) & (told["kind"] == kind))
        for name in told["domain"].unique(maintain_order=True)
        for kind in KINDS
    ]
    for name, is_member in groups:
        if is_member.any():
            yield {"of": name, "num_questions": int(is_member.sum()), "refused": _share(~is_given.filter(is_member))}


def kind_weights(answered: pl.DataFrame) -> Tensor:
    """[N] float64, what each question counts: a kind by its share (`SHARES`), however many questions it has."""
    sizes = dict(answered["kind"].value_counts().iter_rows())
    return torch.tensor([SHARES[kind] / sizes[kind] for kind in answered["kind"]], dtype=torch.float64)


def _weighted_precision(told: pl.DataFrame, is_given: pl.Series) -> float:
    weights = kind_weights(told).numpy() * is_given.to_numpy()
    return round(float(weights @ told["is_right"].to_numpy() / weights.sum()), 4)


def _share(flags: pl.Series) -> list[float]:
    """Mean, and low and high end of its interval."""
    found = bootstrap_interval(flags.to_numpy().astype(np.float64))
    return [round(value, 4) for value in (found.mean, found.low, found.high)]
