"""The share of direct tuning's gain that steering has too: by hand, and its interval over questions."""

import numpy as np
import polars as pl
import pytest

from widedeep_kb.studies.gap_closed import gap_closed, gap_closed_interval


def metrics_of(**exact_match: float) -> dict[str, object]:
    """As much of `metrics.json` as is needed."""
    overall = {name: {"overall": {"exact_match": value, "f1": value / 2}} for name, value in exact_match.items()}
    return {"systems": overall}


def predictions_of(num_questions: int, *, seed: int, **shares: float) -> pl.DataFrame:
    """Answers of systems, right with the given probabilities, two seeds for the tuned one."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, share in shares.items():
        for one in (0, 1) if name == "full_ft" else (0,):
            order = rng.permutation(num_questions)
            frame = pl.DataFrame(
                {
                    "system": name,
                    "seed": one,
                    "question": [f"question {i}" for i in order],
                    "fact_id": [None if i % 2 else f"fact {i}" for i in order],
                    "exact_match": rng.random(num_questions) < share,
                },
                schema_overrides={"fact_id": pl.String},
            )
            parts.append(frame)
    return pl.concat(parts)


def test_the_share_by_hand() -> None:
    metrics = metrics_of(closed_book=0.1, full_ft=0.9, proxy_tuning=0.7, lora=0.5)
    assert gap_closed(metrics) == pytest.approx(0.75)
    assert gap_closed(metrics, measure="f1") == pytest.approx(0.75)
    assert gap_closed(metrics, tuned="lora") == pytest.approx(1.5)
    assert gap_closed(metrics, steered="closed_book") == 0.0
    assert gap_closed(metrics_of(closed_book=0.5, full_ft=0.5, proxy_tuning=0.7)) is None


def test_an_absent_system_is_named() -> None:
    with pytest.raises(ValueError, match="no system 'full_ft'"):
        gap_closed(metrics_of(closed_book=0.1, proxy_tuning=0.7))
    with pytest.raises(ValueError, match="no system 'proxy_tuning'"):
        gap_closed_interval(predictions_of(4, seed=0, closed_book=0.1, full_ft=0.7))


def test_the_interval_is_that_of_drawing_questions_again() -> None:
    predictions = predictions_of(300, seed=1, closed_book=0.1, full_ft=0.9, proxy_tuning=0.6)
    found = gap_closed_interval(predictions)
    scores = np.stack(
        [
            predictions.filter(pl.col("system") == name)
            .group_by("question")
            .agg(pl.col("exact_match").mean())
            .sort("question")["exact_match"]
            .to_numpy()
            for name in ("proxy_tuning", "full_ft", "closed_book")
        ],
        axis=1,
    )
    rng, shares = np.random.default_rng(5), []
    for _ in range(4000):
        steered, tuned, base = scores[rng.integers(300, size=300)].mean(axis=0)
        shares.append((steered - base) / (tuned - base))
    assert found.num_questions == 300
    assert found.interval == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=0.01)
    means = {name: frame["exact_match"].mean() for (name,), frame in predictions.group_by("system")}
    assert found.share == pytest.approx(gap_closed(metrics_of(**means)))


def test_without_a_gain_there_is_no_share() -> None:
    nothing = gap_closed_interval(predictions_of(50, seed=2, closed_book=1.0, full_ft=0.5, proxy_tuning=0.7))
    assert (nothing.share, nothing.interval, nothing.num_questions) == (None, None, 50)
    doubtful = gap_closed_interval(predictions_of(40, seed=3, closed_book=0.5, full_ft=0.55, proxy_tuning=0.5))
    assert doubtful.interval is None


def test_other_questions_are_refused() -> None:
    both = predictions_of(20, seed=4, closed_book=0.1, full_ft=0.9)
    with pytest.raises(ValueError, match="different questions"):
        gap_closed_interval(pl.concat([both, predictions_of(21, seed=4, proxy_tuning=0.5)]))
