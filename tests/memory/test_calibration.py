"""Calibration: as made it tells the raw confidence, fitted it tells frequencies, thresholds keep their precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.calibration import PRECISIONS, Calibration, calibration_features, least_threshold
from widedeep_kb.memory.reader import READER_FILE, Reader, ReaderConfig
from widedeep_kb.memory.signs import AnswerSigns
from widedeep_kb.metrics import expected_calibration_error

MakeLM = Callable[..., FrozenLM]


def some_signs(num: int, *, seed: int = 0) -> list[AnswerSigns]:
    """Random signs; tokens' logarithms are below 0."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(num, len(AnswerSigns._fields), generator=generator)
    table[:, :3] = -table[:, :3]
    return [AnswerSigns(*row) for row in table.tolist()]


def fitted(signs: list[AnswerSigns], is_right: Tensor) -> Calibration:
    """A calibration fitted to answers of equal weight."""
    calibration = Calibration()
    calibration.fit(calibration_features(signs), is_right, weights=torch.ones(len(signs)))
    return calibration


def test_an_unfitted_calibration_tells_the_raw_confidence() -> None:
    signs = some_signs(5)
    expected = [math.exp(shown.mean_log_probability) for shown in signs]
    assert Calibration().probabilities(signs) == pytest.approx(expected)


def test_a_fitted_calibration_tells_how_often_answers_with_such_signs_are_right() -> None:
    signs = some_signs(3000)
    chance = torch.tensor([0.1 + 0.8 * shown.is_object for shown in signs])
    is_right = torch.rand(3000, generator=torch.Generator().manual_seed(1)) < chance
    fresh = some_signs(3000, seed=2)
    fresh_chance = torch.tensor([0.1 + 0.8 * shown.is_object for shown in fresh])
    was_right = torch.rand(3000, generator=torch.Generator().manual_seed(3)) < fresh_chance
    found = fitted(signs, is_right).probabilities(fresh)
    assert expected_calibration_error(found, was_right.numpy()) < 0.05
    assert (torch.tensor(found) - fresh_chance).abs().mean() < 0.1


def test_a_sign_that_never_varies_changes_nothing_where_it_does() -> None:
    signs = [shown._replace(is_guessed=0.0) for shown in some_signs(400)]
    is_right = torch.tensor([shown.attention > 0.5 for shown in signs])
    calibration = fitted(signs, is_right)
    others = [shown._replace(is_guessed=1.0) for shown in signs]
    assert calibration.probabilities(others) == pytest.approx(calibration.probabilities(signs), abs=1e-3)


def test_features_are_finite_where_no_fact_was_read() -> None:
    nothing = AnswerSigns(*[0.0] * len(AnswerSigns._fields))
    features = calibration_features([nothing, *some_signs(3)])
    assert features.shape == (4, len(Calibration().weight))
    assert features.isfinite().all()


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans(), st.integers(1, 3)), min_size=1),
    st.sampled_from([0.4, 0.5, 0.75, 0.95]),
)
def test_the_least_threshold_is_the_one_a_search_finds(rows: list[tuple[float, bool, int]], precision: float) -> None:
    def precision_at(threshold: float) -> float:
        answered = [(right, count) for p, right, count in rows if p >= threshold]
        return sum(count for right, count in answered if right) / sum(count for _, count in answered)

    wanted = [t for t in sorted({p for p, _, _ in rows}) if precision_at(t) >= precision]
    found = least_threshold(
        torch.tensor([p for p, _, _ in rows], dtype=torch.float64),
        torch.tensor([right for _, right, _ in rows]),
        weights=torch.tensor([count for _, _, count in rows], dtype=torch.float64),
        precision=precision,
    )
    assert found == (wanted[0] if wanted else math.inf)


def with_thresholds(values: list[float]) -> Calibration:
    """A calibration that counts as fitted and has these thresholds."""
    calibration = Calibration()
    calibration.weight.fill_(1e-6)
    calibration.thresholds.copy_(torch.tensor(values))
    return calibration


def test_a_precision_between_two_kept_ones_is_read_as_the_higher() -> None:
    calibration = with_thresholds([i / 20 for i in range(len(PRECISIONS))])
    for i, precision in enumerate(PRECISIONS):
        assert calibration.threshold_for(precision) == pytest.approx(i / 20)
    assert calibration.threshold_for(0.93) == calibration.threshold_for(0.95)
    assert calibration.threshold_for(0.01) == calibration.threshold_for(0.5)


@pytest.mark.parametrize("precision", [0.0, 1.0, -0.5, 1.5, math.nan])
def test_what_is_no_precision_is_refused(precision: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_thresholds([0.5] * len(PRECISIONS)).threshold_for(precision)


def test_a_precision_out_of_reach_is_refused_and_so_is_a_reader_without_calibration() -> None:
    calibration = with_thresholds([0.5] * (len(PRECISIONS) - 1) + [math.inf])
    assert calibration.threshold_for(0.98) == 0.5
    for precision in (0.99, 0.995):
        with pytest.raises(ValueError, match=str(precision)):
            calibration.threshold_for(precision)
    with pytest.raises(ValueError, match="no calibration"):
        Calibration().threshold_for(0.95)


def test_a_reader_of_before_there_was_a_calibration_opens_and_knows_none(
    tiny_frozen_lm: MakeLM, tmp_path: Path
) -> None:
    reader = Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=8, num_heads=2, head_dim=4))
    reader.calibration.weight.fill_(0.5)
    reader.save(tmp_path)
    assert Reader.load(tmp_path).calibration.is_set
    path = tmp_path / READER_FILE
    save_file({name: t for name, t in load_file(path).items() if not name.startswith("calibration.")}, path)
    former = Reader.load(tmp_path)
    assert not former.calibration.is_set
    assert former.row_format() == reader.row_format()
    assert former.calibration.probabilities(some_signs(3)) == pytest.approx(Calibration().probabilities(some_signs(3)))


def test_a_damaged_calibration_is_refused(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=8, num_heads=2, head_dim=4)).save(tmp_path)
    tensors = load_file(tmp_path / READER_FILE)
    del tensors["calibration.thresholds"]
    save_file(tensors, tmp_path / READER_FILE)
    with pytest.raises(ValueError, match="cannot be read"):
        Reader.load(tmp_path)
