"""Advice follows from the measurements, and says so where they do not decide."""

from __future__ import annotations

import copy

import pytest

from widedeep_kb.report.plots import pareto
from widedeep_kb.studies.advice import advise, break_even


def system(exact: float, ms: float, *, trained: bool = False, build_s: float = 1.0, **changes: object) -> dict:
    """Measurements of one system."""
    own = {
        "trained": trained,
        "overall": {"exact_match": exact, "exact_match_interval": [exact - 0.02, exact + 0.02]},
        "costs": {"ms_per_question": ms, "tune_s": 0.0, "build_s": build_s},
        "update": {"num_changed": 9, "seconds": build_s, "share_right": exact, "share_moved": 0.0},
        "forgetting": {"share_changed": 0.3 if trained else 0.0},
        "by": {"popularity": {}},
    }
    return {**own, **changes}


def metrics() -> dict:
    """A fast and a slow way that are level, one behind, and a ceiling."""
    systems = {
        "wide_deep": system(0.95, 20.0, trained=True, build_s=100.0),
        "key_rag": system(0.94, 60.0),
        "lora": system(0.60, 15.0, trained=True, build_s=300.0),
        "oracle": system(0.99, 1.0),
    }
    differences = [
        {"system": "wide_deep", "minus": "key_rag", "interval": [-0.01, 0.03]},
        {"system": "wide_deep", "minus": "lora", "interval": [0.3, 0.4]},
        {"system": "key_rag", "minus": "lora", "interval": [0.3, 0.4]},
    ]
    return {"systems": systems, "differences": differences}


def by_kind(found: dict) -> dict:
    """Advice by kind of knowledge."""
    return {one.kind: one for one in advise(found)}


def test_of_the_ways_that_are_level_the_fastest_is_advised() -> None:
    advice = by_kind(metrics())["stable, often asked"]
    assert advice.way == "wide_deep" and advice.also == ("key_rag",)
    slower = metrics()
    slower["systems"]["wide_deep"]["costs"]["ms_per_question"] = 70.0
    assert by_kind(slower)["stable, often asked"].way == "key_rag"
    clear = metrics()
    clear["differences"][0]["interval"] = [-0.05, -0.01]  # key_rag is clearly better
    clear["systems"]["key_rag"]["overall"]["exact_match"] = 0.97
    assert by_kind(clear)["stable, often asked"].way == "key_rag"


def test_a_ceiling_is_never_advised() -> None:
    assert "oracle" not in {advice.way for advice in advise(metrics())}


def test_changes_go_to_the_quickest_way_that_answers_them_and_moves_nothing_else() -> None:
    found = metrics()
    assert by_kind(found)["changing"].way == "key_rag"
    found["systems"]["key_rag"]["update"]["share_moved"] = 0.2
    assert by_kind(found)["changing"].way == "wide_deep"
    found["systems"]["wide_deep"]["update"]["share_right"] = 0.5
    advice = by_kind(found)["changing"]
    assert advice.way is None and "no way answered 90%" in advice.reason
    for own in found["systems"].values():
        own["update"] = None
    assert "--num-updates" in by_kind(found)["changing"].reason


def test_private_facts_stay_out_of_shared_weights_and_style_goes_into_them() -> None:
    advice = by_kind(metrics())
    assert advice["private"].way == "key_rag" and advice["behaviour and format"].way == "lora"
    assert advice["rare"].way is None


def test_rare_facts_go_by_the_least_popular_quarter() -> None:
    found = metrics()
    for name, exact in (("wide_deep", 0.7), ("key_rag", 0.9)):
        scores = {"exact_match": exact, "exact_match_interval": [exact - 0.05, exact + 0.05], "num_questions": 40}
        found["systems"][name]["by"]["popularity"]["least quarter"] = scores
    advice = by_kind(found)["rare"]
    assert advice.way == "key_rag" and advice.also == ()


def test_training_pays_after_as_many_questions_as_its_seconds_buy() -> None:
    asked, rate, size = break_even(metrics())
    assert asked.value == pytest.approx(1000 * (100 - 1) / (60 - 20))
    assert rate.value == pytest.approx(1000 * (100 - 1) / (60 - 20))
    assert size.value is None and "not measured" in size.reason
    slow = copy.deepcopy(metrics())
    slow["systems"]["wide_deep"]["costs"]["ms_per_question"] = 80.0
    assert break_even(slow)[0].value is None and "never" in break_even(slow)[0].reason


def test_retrieval_is_slower_from_a_size_on() -> None:
    found = metrics()
    found["sizes"] = [
        {"num_facts": n, "ms_per_question": {"wide_deep": 20.0, "key_rag": ms}}
        for n, ms in ((1000, 10.0), (10_000, 30.0), (100_000, 90.0))
    ]
    assert break_even(found)[2].value == 10_000
    found["sizes"] = found["sizes"][:1]
    assert break_even(found)[2].value is None


def test_the_front_holds_what_no_other_beats_in_both() -> None:
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.9), "d": (3.0, 0.8), "e": (9.0, 0.9)}
    assert pareto(points) == ["a", "c"]
