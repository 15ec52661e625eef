"""The scorer against cases worked by hand, and its intervals against known ones."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep_kb.metrics import (
    bootstrap_interval,
    clean_prediction,
    contains,
    exact_match,
    expected_calibration_error,
    f1,
    normalise_loose,
    paired_bootstrap,
    reliability_curve,
    score_frame,
)

# prediction, answers, exact match, contains, f1
CASES = [
    # Words: SQuAD normalisation.
    ("Paris", ["Paris"], True, True, 1.0),
    (" \n Paris", ["Paris"], True, True, 1.0),
    ("paris", ["Paris"], True, True, 1.0),
    ("Paris.", ["Paris"], True, True, 1.0),
    ("Paris. ", ["Paris"], True, True, 1.0),
    ("Paris\nQuestion: what else", ["Paris"], True, True, 1.0),
    ("Paris\r\nLondon", ["Paris"], True, True, 1.0),
    ("The Beatles", ["Beatles"], True, True, 1.0),
    ("rock 'n' roll", ["Rock n Roll"], True, True, 1.0),
    ("Europe/Lisbon", ["Europe/Lisbon"], True, True, 1.0),
    ("São Paulo", ["Sa\u0303o Paulo"], True, True, 1.0),
    ("Ｔｏｋｙｏ", ["Tokyo"], True, True, 1.0),
    ("STRASSE", ["Straße"], True, True, 1.0),
    ("北京", ["北京"], True, True, 1.0),
    ("The capital is Paris", ["Paris"], False, True, 0.5),
    ("Paris is the capital", ["Paris"], False, True, 0.5),
    ("New York", ["New York City"], False, False, 0.8),
    ("Parisian", ["Paris"], False, False, 0.0),
    ("London", ["Paris", "London"], True, True, 1.0),
    ("London", ["Paris", "Greater London"], False, False, 2 / 3),
    # Nothing is never right.
    ("", ["Paris"], False, False, 0.0),
    ("", [""], False, False, 0.0),
    (".", ["."], False, False, 0.0),
    (" \n\n ", ["the"], False, False, 0.0),
    ("Paris", [], False, False, 0.0),
    # Digits on either side: nothing but case, width and whitespace is forgiven.
    ("-12.5", ["125"], False, False, 1.0),
    ("-12.5", ["-12.5"], True, True, 1.0),
    ("12.5", ["-12.5"], False, False, 1.0),
    ("1.2.3", ["123"], False, False, 1.0),
    ("1.2.3", ["1.2"], False, False, 0.0),
    ("10%", ["10"], False, False, 1.0),
    ("10", ["10%"], False, False, 1.0),
    ("10.", ["10"], True, True, 1.0),
    ("１０", ["10"], True, True, 1.0),
    ("007", ["7"], False, False, 0.0),
    ("1,234", ["1234"], False, False, 1.0),
    ("It is 42, I think", ["42"], False, True, 1 / 3),
    ("It is (42)!", ["42"], False, True, 0.5),
    ("It is 421", ["42"], False, False, 0.0),
    ("the 2nd", ["2nd"], False, True, 1.0),
    ("Version 2 BETA", ["version  2 beta"], True, True, 1.0),
    ("Acme 3 Inc.", ["Acme 3 Inc."], True, True, 1.0),
    ("2021-05-04", ["2021-05-04"], True, True, 1.0),
    ("1bc0:1001", ["1bc01001"], False, False, 1.0),
    # One character or nothing left after SQuAD normalisation: the same strictness.
    ("C++", ["C#"], False, False, 1.0),
    ("c++", ["C++"], True, True, 1.0),
    ("C", ["C++"], False, False, 1.0),
    ("It is C++, really", ["C++"], False, True, 0.4),
    ("It is C++", ["C"], False, False, 0.5),
    ("!!!", ["???"], False, False, 0.0),
    ("!!!", ["!!!"], True, True, 1.0),
    ("The The", ["The"], False, True, 0.0),
    ("The", ["the"], True, True, 1.0),
    ("A", ["an"], False, False, 0.0),
    ("O", ["Oxygen"], False, False, 0.0),
]


@pytest.mark.parametrize(("prediction", "answers", "is_exact", "is_contained", "score"), CASES)
def test_hand_worked_cases(
    prediction: str, answers: list[str], is_exact: bool, is_contained: bool, score: float
) -> None:
    assert exact_match(prediction, answers) is is_exact
    assert contains(prediction, answers) is is_contained
    assert f1(prediction, answers) == pytest.approx(score)


def test_clean_prediction_drops_one_full_stop_only() -> None:
    assert clean_prediction("  Acme Inc..\nmore") == "Acme Inc."
    assert clean_prediction("\n\nParis") == "Paris"


def test_normalise_loose_removes_case_articles_punctuation_and_whitespace() -> None:
    assert normalise_loose("  An 'Apple', a DAY;\tthe theory ") == "apple day theory"


@given(st.text(max_size=12), st.text(max_size=12))
def test_an_exact_match_is_contained_and_has_full_f1(prediction: str, answer: str) -> None:
    if exact_match(prediction, [answer]):
        assert contains(prediction, [answer])
        assert f1(prediction, [answer]) == 1.0


@given(st.text(max_size=12))
def test_every_answer_with_content_matches_itself(text: str) -> None:
    assert exact_match(text, [clean_prediction(text)]) is bool(clean_prediction(text))


def test_score_frame_adds_typed_columns_and_keeps_the_rest() -> None:
    frame = pl.DataFrame(
        {"question": ["a", "b"], "prediction": ["Paris.", "It is 42"], "answers": [["Paris"], ["42", "43"]]}
    )
    scored = score_frame(frame)
    assert scored.columns == ["question", "prediction", "answers", "exact_match", "contains", "f1"]
    assert scored["exact_match"].to_list() == [True, False]
    assert scored["contains"].to_list() == [True, True]
    assert scored["f1"].to_list() == pytest.approx([1.0, 0.5])
    assert scored.schema["exact_match"] == pl.Boolean


def test_score_frame_of_no_rows_keeps_its_types() -> None:
    empty = pl.DataFrame(schema={"prediction": pl.String, "answers": pl.List(pl.String)})
    assert score_frame(empty).schema["f1"] == pl.Float64


def test_score_frame_refuses_absent_columns_and_nulls() -> None:
    with pytest.raises(ValueError, match="'answers'"):
        score_frame(pl.DataFrame({"prediction": ["x"]}))
    with pytest.raises(ValueError, match="'prediction'"):
        score_frame(
            pl.DataFrame({"prediction": [None], "answers": [["x"]]}, schema_overrides={"prediction": pl.String})
        )


def test_bootstrap_interval_agrees_with_the_normal_approximation() -> None:
    scores = np.repeat([1.0, 0.0], [300, 700])
    interval = bootstrap_interval(scores)
    half_width = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert interval.mean == pytest.approx(0.3)
    assert interval.low == pytest.approx(0.3 - half_width, abs=0.003)
    assert interval.high == pytest.approx(0.3 + half_width, abs=0.003)


def test_bootstrap_interval_is_seeded_and_widens_with_confidence() -> None:
    scores = np.arange(50) % 7 / 7
    assert bootstrap_interval(scores, seed=3) == bootstrap_interval(scores, seed=3)
    narrow, wide = bootstrap_interval(scores, confidence=0.5), bootstrap_interval(scores, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(0)
    baseline = rng.random(400) < 0.5
    better = baseline | (rng.random(400) < 0.05)
    paired = paired_bootstrap(better, baseline)
    assert 0.0 < paired.low < paired.mean < paired.high < 0.06
    assert bootstrap_interval(better.astype(float)).low < bootstrap_interval(baseline.astype(float)).high


@pytest.mark.parametrize("scores", [[], [[1.0]], [float("nan")]])
def test_bootstrap_refuses_what_it_cannot_resample(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="scores"):
        bootstrap_interval(scores)


def test_paired_bootstrap_refuses_different_lengths() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        paired_bootstrap([1, 0], [1, 0, 1])


def test_confidence_is_checked() -> None:
    with pytest.raises(ValueError, match=r"1\.5"):
        bootstrap_interval([1.0], confidence=1.5)


def test_a_reliability_curve_worked_by_hand() -> None:
    confidences = [0.0, 0.1, 0.45, 0.55, 0.5, 0.95, 1.0, 0.9]
    is_right = [False, True, False, True, False, True, True, False]
    found = reliability_curve(confidences, is_right, num_bins=2)
    assert [(part.low, part.high, part.num_answers) for part in found] == [(0.0, 0.5, 3), (0.5, 1.0, 5)]
    assert [part.accuracy for part in found] == pytest.approx([1 / 3, 3 / 5])
    assert [part.confidence for part in found] == pytest.approx([0.55 / 3, 3.9 / 5])
    # 3/8 |0.18333 - 0.33333| + 5/8 |0.78 - 0.6|
    assert expected_calibration_error(confidences, is_right, num_bins=2) == pytest.approx(0.05625 + 0.1125)


def test_empty_bins_are_left_out_and_one_bin_is_the_difference_of_the_means() -> None:
    confidences, is_right = [0.05, 0.95, 0.95, 0.9], [True, True, True, False]
    assert [part.low for part in reliability_curve(confidences, is_right)] == pytest.approx([0.0, 0.9])
    assert expected_calibration_error(confidences, is_right) == pytest.approx((0.95 + 3 * (2.8 / 3 - 2 / 3)) / 4)
    assert expected_calibration_error(confidences, is_right, num_bins=1) == pytest.approx(0.75 - 2.85 / 4)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 12))
def test_the_curve_is_what_a_slow_loop_finds(answers: list[tuple[float, bool]], num_bins: int) -> None:
    total = 0.0
    for i in range(num_bins):
        part = [a for a in answers if min(int(a[0] * num_bins), num_bins - 1) == i]
        total += abs(sum(c for c, _ in part) - sum(r for _, r in part))
    found = expected_calibration_error([c for c, _ in answers], [r for _, r in answers], num_bins=num_bins)
    assert found == pytest.approx(total / len(answers), abs=1e-9)


@pytest.mark.parametrize(
    ("confidences", "is_right", "bins", "words"),
    [
        ([], [], 10, "one length"),
        ([0.5], [True, False], 10, "one length"),
        ([1.5], [True], 10, "1.5"),
        ([float("nan")], [True], 10, "nan"),
        ([0.5], [True], 0, "at least one bin"),
    ],
)
def test_a_curve_of_what_is_no_confidence_is_refused(
    confidences: list[float], is_right: list[bool], bins: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        expected_calibration_error(confidences, is_right, num_bins=bins)
