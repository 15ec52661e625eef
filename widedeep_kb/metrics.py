"""Score short answers: exact match, contains and token F1, and intervals for their means.

In: a generated text and its accepted answers, or a frame with columns `prediction` and `answers`. Out: booleans and
numbers between 0 and 1.

Two normalisations are used. *Strict* (NFKC, case-fold, collapsed whitespace) where either side holds a digit, or is
nothing or one character once loosely normalised: `-12.5` is not `125` and `C++` is not `C#`. *Loose* (SQuAD: case,
articles, punctuation, whitespace; Rajpurkar et al. 2016, evaluate-v1.1) everywhere else.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from widedeep_kb.schema import normalise_text

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
# What may touch a strictly compared answer inside a sentence without being part of it: not `%`, `-`, `.5` or `+`.
_BEFORE = r"(?<!\S)[\"'“‘«(\[]*"
_AFTER = r"[.,;:!?\"'”’»)\]]*(?!\S)"


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose confidence lies between `low` and `high`: how many, how confident, how often right."""

    low: float
    high: float
    num_answers: int
    confidence: float
    accuracy: float


def clean_prediction(text: str) -> str:
    """The answer inside a generated text: up to the first line break, outer whitespace and one final full stop off."""
    line = text.lstrip().split("\n", 1)[0].rstrip()
    return line.removesuffix(".").rstrip()


def normalise_loose(text: str) -> str:
    """SQuAD normalisation after NFKC: case-folded, no ASCII punctuation, no a/an/the, whitespace collapsed."""
    text = normalise_text(text).translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(prediction: str, answers: Iterable[str]) -> bool:
    """Whether a generated text equals one of the accepted answers.

    A final full stop counts on neither side, so `Acme 3 Inc.` can be answered at all.
    """
    prediction = clean_prediction(prediction)
    return bool(prediction) and any(_is_equal(prediction, clean_prediction(answer)) for answer in answers)


def contains(prediction: str, answers: Iterable[str]) -> bool:
    """Whether a generated text holds one of the accepted answers as whole tokens."""
    prediction = clean_prediction(prediction)
    return bool(prediction) and any(_is_inside(clean_prediction(answer), prediction) for answer in answers)


def f1(prediction: str, answers: Iterable[str]) -> float:
    """Largest SQuAD token F1 between a generated text and an accepted answer, from 0 to 1.

    Where either side has no tokens after loose normalisation it is the exact match.
    """
    prediction = clean_prediction(prediction)
    return max((_token_f1(prediction, clean_prediction(answer)) for answer in answers), default=0.0)


def score_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Add `exact_match` (Boolean), `contains` (Boolean) and `f1` (Float64) to rows of predictions.

    Args:
        frame: has `prediction` (String) and `answers` (List(String)).

    Raises:
        ValueError: one of the two columns is absent, or a prediction or an answer list is null.
    """
    for name in ("prediction", "answers"):
        if name not in frame.columns:
            raise ValueError(f"cannot score a frame without the column {name!r}")
        if frame[name].null_count():
            raise ValueError(f"cannot score a null in the column {name!r}")
    pairs = list(zip(frame["prediction"].to_list(), frame["answers"].to_list(), strict=True))
    return frame.with_columns(
        pl.Series("exact_match", [exact_match(p, a) for p, a in pairs], dtype=pl.Boolean),
        pl.Series("contains", [contains(p, a) for p, a in pairs], dtype=pl.Boolean),
        pl.Series("f1", [f1(p, a) for p, a in pairs], dtype=pl.Float64),
    )


def bootstrap_interval(
    scores: Sequence[float] | np.ndarray, *, confidence: float = 0.95, num_samples: int = 10_000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of the mean of `scores` (Efron and Tibshirani 1993, chapter 13).

    Args:
        scores: one number a question, shape [N].
        confidence: mass inside the interval, between 0 and 1.
        num_samples: resamples of N questions with replacement.
        seed: of the resampling.

    Raises:
        ValueError: no scores, not a vector, a score that is not finite, or `confidence` outside (0, 1).
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(f"scores must be a vector with at least one entry, not of shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores must be finite, got {scores[~np.isfinite(scores)][0]}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    # Resampling N questions is drawing how often each distinct score turns up: three counts for exact match.
    values, counts = np.unique(scores, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(scores.size, counts / scores.size, size=num_samples)  # [samples, V]
    low, high = np.quantile(draws @ values / scores.size, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(scores.mean()), float(low), float(high))


def paired_bootstrap(
    scores: Sequence[float] | np.ndarray,
    baseline: Sequence[float] | np.ndarray,
    *,
    confidence: float = 0.95,
    num_samples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the mean of `scores - baseline`, question by question.

    Args:
        scores: one number a question, shape [N].
        baseline: the other system's number for the same questions in the same order, shape [N].
        confidence, num_samples, seed: as in `bootstrap_interval`.

    Raises:
        ValueError: the two differ in shape, or as in `bootstrap_interval`.
    """
    scores, baseline = np.asarray(scores, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if scores.shape != baseline.shape:
        raise ValueError(f"paired scores differ in shape: {scores.shape} and {baseline.shape}")
    return bootstrap_interval(scores - baseline, confidence=confidence, num_samples=num_samples, seed=seed)


def reliability_curve(
    confidences: Sequence[float] | np.ndarray, is_right: Sequence[bool] | np.ndarray, *, num_bins: int = 10
) -> list[ReliabilityBin]:
    """Confidence against accuracy in bins of equal width, lowest first; empty bins are left out.

    Args:
        confidences: of N answers, 0 to 1.
        is_right: of the same answers.
        num_bins: a confidence on a border belongs to the upper bin, 1 to the last.

    Raises:
        ValueError: no answers, shapes that differ, a confidence outside 0 to 1, or less than one bin.
    """
    confidences, is_right = np.asarray(confidences, dtype=np.float64), np.asarray(is_right, dtype=np.float64)
    if confidences.shape != is_right.shape or confidences.ndim != 1 or not confidences.size:
        raise ValueError(f"a curve needs vectors of one length, not of shapes {confidences.shape} and {is_right.shape}")
    outside = ~((confidences >= 0) & (confidences <= 1))
    if outside.any():
        raise ValueError(f"a confidence lies between 0 and 1, not at {confidences[outside][0]}")
    if num_bins < 1:
        raise ValueError(f"a curve needs at least one bin, not {num_bins}")
    places = np.minimum((confidences * num_bins).astype(np.int64), num_bins - 1)
    return [
        ReliabilityBin(
            low=i / num_bins,
            high=(i + 1) / num_bins,
            num_answers=int((places == i).sum()),
            confidence=float(confidences[places == i].mean()),
            accuracy=float(is_right[places == i].mean()),
        )
        for i in np.unique(places).tolist()
    ]


def expected_calibration_error(
    confidences: Sequence[float] | np.ndarray, is_right: Sequence[bool] | np.ndarray, *, num_bins: int = 10
) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, by answers in them (Guo et al. 2017, eq. 3).

    Args:
        confidences, is_right, num_bins: see `reliability_curve`.

    Raises:
        ValueError: as `reliability_curve`.
    """
    curve = reliability_curve(confidences, is_right, num_bins=num_bins)
    total = sum(part.num_answers for part in curve)
    return sum(part.num_answers * abs(part.confidence - part.accuracy) for part in curve) / total


def _is_strict(*texts: str) -> bool:
    """Whether one of `texts` is too fragile for the loose normalisation."""
    return any(_has_digit(text) or len(normalise_loose(text)) <= 1 for text in texts)


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in unicodedata.normalize("NFKC", text))


def _is_equal(prediction: str, answer: str) -> bool:
    normalise = normalise_text if _is_strict(prediction, answer) else normalise_loose
    return normalise(prediction) == normalise(answer)


def _is_inside(answer: str, prediction: str) -> bool:
    if not answer:
        return False
    if _is_strict(prediction, answer):
        pattern = _BEFORE + re.escape(normalise_text(answer)) + _AFTER
        return re.search(pattern, normalise_text(prediction)) is not None
    return f" {normalise_loose(answer)} " in f" {normalise_loose(prediction)} "


def _token_f1(prediction: str, answer: str) -> float:
    predicted, wanted = normalise_loose(prediction).split(), normalise_loose(answer).split()
    if not predicted or not wanted:
        return float(bool(prediction) and _is_equal(prediction, answer))
    num_shared = sum((Counter(predicted) & Counter(wanted)).values())
    return 2 * num_shared / (len(predicted) + len(wanted))
