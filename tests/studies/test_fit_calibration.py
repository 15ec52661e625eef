"""Fitting a calibration: domains judged by the others, thresholds that hold, a reader that is else unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.calibration import PRECISIONS
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.signs import AnswerSigns
from widedeep_kb.metrics import expected_calibration_error
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records
from widedeep_kb.studies.calibration import abstaining, calibration_errors, curve_rows, kind_weights, with_confidence
from widedeep_kb.studies.calibration_answers import ANSWERED_SCHEMA, answer_domain, answers_of
from widedeep_kb.studies.calibration_questions import ASKED_SCHEMA, KINDS, AskedDomain
from widedeep_kb.studies.fit_calibration import fit_calibration
from widedeep_kb.studies.fit_gate import replace_part

MakeLM = Callable[..., FrozenLM]


def some_answers(num: int, *, seed: int, num_domains: int = 4) -> pl.DataFrame:
    """Random answers: right as often as the attention on facts says."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.random(num) for name in AnswerSigns._fields}
    for name in ("mean_log_probability", "least_log_probability", "first_log_probability"):
        columns[name] = -columns[name]
    frame = pl.DataFrame(columns).with_columns(
        domain=pl.Series([f"d{i}" for i in rng.integers(0, num_domains, num)]),
        kind=pl.Series(rng.choice(KINDS, num)),
        question=pl.lit("?"),
        answers=pl.lit(["a"]),
        phrasing=pl.lit("own"),
        prediction=pl.lit("b"),
        is_right=pl.Series(rng.random(num) < 1 / (1 + np.exp(-12 * (columns["attention"] - 0.5)))),
        **{f"read_{name}": pl.lit(None, pl.String) for name in ("subject", "relation", "object")},
    )
    return frame.select(*ANSWERED_SCHEMA).cast(ANSWERED_SCHEMA)


def test_confidence_is_calibrated_on_domains_not_fitted_and_thresholds_keep_their_precision() -> None:
    calibration, told = fit_calibration(some_answers(3000, seed=0))
    assert set(told.columns) >= {"confidence", "raw_confidence"}
    fresh = with_confidence(some_answers(4000, seed=1), calibration)
    error = expected_calibration_error(fresh["confidence"].to_numpy(), fresh["is_right"].to_numpy())
    raw = expected_calibration_error(fresh["raw_confidence"].to_numpy(), fresh["is_right"].to_numpy())
    assert error < 0.06 < raw
    thresholds = [t for t in calibration.thresholds.tolist() if t <= 1]
    assert len(thresholds) >= len(PRECISIONS) - 1
    assert thresholds == sorted(thresholds)
    for precision in (0.8, 0.9, 0.95):
        given = fresh.filter(pl.col("confidence") >= calibration.threshold_for(precision))
        assert given.height > 200
        assert given["is_right"].mean() == pytest.approx(precision, abs=0.04)


def test_a_domain_is_judged_by_the_others_alone() -> None:
    answered = some_answers(600, seed=0)
    _, told = fit_calibration(answered)
    is_last = pl.col("domain") == "d3"
    inverted = answered.with_columns(is_right=pl.when(is_last).then(~pl.col("is_right")).otherwise("is_right"))
    _, others = fit_calibration(inverted)
    assert told.filter(is_last)["confidence"].equals(others.filter(is_last)["confidence"])
    assert not told.filter(~is_last)["confidence"].equals(others.filter(~is_last)["confidence"])
    with pytest.raises(ValueError, match="two domains at least"):
        fit_calibration(answered.filter(is_last))


def test_half_of_the_weight_is_on_stored_facts_however_many_are_asked() -> None:
    answered = some_answers(500, seed=0).filter((pl.col("kind") != "stored") | (pl.int_range(pl.len()) % 7 == 0))
    weights = kind_weights(answered).numpy()
    is_stored = answered["kind"].to_numpy() == "stored"
    assert weights.sum() == pytest.approx(1.0)
    assert weights[is_stored].sum() == pytest.approx(0.5)


def test_abstaining_worked_by_hand() -> None:
    told = pl.DataFrame(
        {
            "kind": ["stored", "stored", "stored", "unknown_subject", "unknown_subject"],
            "domain": ["x"] * 5,
            "confidence": [0.9, 0.8, 0.3, 0.8, 0.1],
            "raw_confidence": [0.5] * 5,
            "is_right": [True, True, True, False, False],
        }
    )
    total, *rows = abstaining(told, threshold=0.8)
    assert total["num_answered"] == 3
    assert [total[name][0] for name in ("precision", "recall", "right_kept")] == pytest.approx([2 / 3] * 3, abs=1e-4)
    assert total["precision_at_mix"] == pytest.approx(0.8, abs=1e-4)  # 2/3 of 1/2 against 1/2 of 1/6
    refused = {row["of"]: row["refused"][0] for row in rows}
    assert refused["stored"] == pytest.approx(1 / 3, abs=1e-4)
    assert refused["unknown_subject"] == refused["x, unknown_subject"] == 0.5
    none = next(iter(abstaining(told, threshold=1.5)))
    assert none["precision"] is None and none["recall"][0] == 0
    errors = {row["of"]: row for row in calibration_errors(told)}
    assert errors["all"]["error_raw_confidence"] == pytest.approx(0.1)
    assert errors["unknown_subject"]["error_confidence"] == pytest.approx(0.45)
    assert sum(row["num_answers"] for row in curve_rows(told)) == 5


def test_answers_of_a_memory_become_rows_and_are_kept(
    tiny_frozen_lm: MakeLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    memory = KnowledgeMemory(
        tiny_frozen_lm(), Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=32, num_heads=4, head_dim=16))
    )
    facts = facts_from_records([{"subject": "Aurora", "relation": "port", "object": "8443"}])
    rows = [("port of Aurora?", ["8443"], "stored", "own"), ("who?", [], "unrelated", "own")]
    asked = AskedDomain("ports", facts, pl.DataFrame(rows, schema=ASKED_SCHEMA, orient="row"))
    found = answer_domain(memory, asked)
    assert found.schema == pl.Schema(ANSWERED_SCHEMA)
    assert len(memory.store) == 0
    assert found["read_object"].to_list() == ["8443", None]
    assert found["num_facts"].to_list() == [1.0, 0.0]
    module = "widedeep_kb.studies.calibration_answers.draw_asked"
    monkeypatch.setattr(module, lambda *_args, **_kwargs: asked)
    options = {"folders": (tmp_path, tmp_path), "kept": tmp_path / "kept", "num_questions": 1, "seed": 0}
    assert answers_of(memory, ("ports",), **options).equals(found)
    monkeypatch.setattr(module, lambda *_args, **_kwargs: pytest.fail("asked again"))
    assert answers_of(memory, ("ports",), **options).equals(found)
    found.drop("named").write_parquet(tmp_path / "kept" / "ports.parquet")
    with pytest.raises(ValueError, match=r"ports\.parquet was made by another version"):
        answers_of(memory, ("ports",), **options)


def test_a_replaced_calibration_changes_nothing_else_of_a_reader(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    reader = Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=32, num_heads=4, head_dim=16))
    reader.save(tmp_path)
    calibration, _ = fit_calibration(some_answers(300, seed=0))
    replace_part(tmp_path, "calibration", calibration)
    found = Reader.load(tmp_path)
    assert found.row_format() == reader.row_format()
    assert torch.equal(found.calibration.thresholds, calibration.thresholds)
    for name, tensor in reader.state_dict().items():
        assert name.startswith("calibration.") or torch.equal(found.state_dict()[name], tensor)
