"""Advice follows from the measurements, and says so where they do not decide."""

from __future__ import annotations

import copy

import pytest

from widedeep_kb.report.plots import pareto
from widedeep_kb.studies.advice import KEEPS_FACTS_IN_WEIGHTS, advise
from widedeep_kb.studies.break_even import break_even
from widedeep_kb.systems.registry import SYSTEMS


def system(exact: float, ms: float, *, trained: bool = False, build_s: float = 1.0, **changes: object) -> dict:
    """Measurements of one system."""
    overall = {"exact_match": exact, "exact_match_interval": [max(0.0, exact - 0.02), exact + 0.02]}
    own = {
        "trained": trained,
        "overall": {**overall, "exact_match_by_seed": [exact]},
        "costs": {"ms_per_question": ms, "tune_s": 0.0, "build_s": build_s},
        "update": {"num_changed": 9, "seconds": build_s, "share_right_least": exact, "share_moved_most": 0.0},
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
    clear["systems"]["key_rag"] = system(0.99, 60.0)
    assert by_kind(clear)["stable, often asked"].way == "key_rag"


def test_a_ceiling_is_never_advised_and_a_look_up_may_be() -> None:
    assert "oracle" not in {advice.way for advice in advise(metrics())}
    found = with_system(metrics(), "lookup", system(0.96, 0.1))
    found["systems"]["lookup"]["by"]["asked"] = {
        "plain question": {"exact_match": 0.9},
        "comparison": {"exact_match": 0},
    }
    advice = by_kind(found)["stable, often asked"]
    assert advice.way == "lookup" and advice.reason.endswith("it writes values and nothing else: comparison 0.00")


def with_system(found: dict, name: str, own: dict) -> dict:
    """The metrics with one more system, whose interval against each other one is its difference and 0.02 about it."""
    for other, theirs in found["systems"].items():
        gap = own["overall"]["exact_match"] - theirs["overall"]["exact_match"]
        found["differences"].append({"system": name, "minus": other, "interval": [gap - 0.02, gap + 0.02]})
    found["systems"][name] = own
    return found


def test_what_answers_no_more_than_the_bare_llm_is_not_advised() -> None:
    found = with_system({"systems": {"bm25": system(0.03, 5.0)}, "differences": []}, "closed_book", system(0.02, 1.0))
    scores = {"exact_match": 0.02, "exact_match_interval": [0.0, 0.04], "num_questions": 40}
    for own in found["systems"].values():
        own["by"]["popularity"]["least quarter"] = scores
    assert {advice.way for advice in advise(found)} == {None}
    reason = by_kind(found)["stable, often asked"].reason
    assert reason == "no way answers clearly more than the bare LLM (0.020 [0.000, 0.040])"
    assert "not clearly above 0.040" in by_kind(found)["rare"].reason
    alone = {"systems": {"bm25": system(0.01, 5.0)}, "differences": []}
    assert by_kind(alone)["stable, often asked"].way is None  # the interval reaches down to nothing


def test_the_bare_llm_is_no_way_of_adding_knowledge_however_few_the_questions() -> None:
    found = with_system(metrics(), "closed_book", system(0.93, 1.0))
    found["differences"][-3:] = [{**row, "interval": [-0.3, 0.3]} for row in found["differences"][-3:]]
    assert by_kind(found)["stable, often asked"].way is None


def test_a_faster_way_far_behind_is_named_but_not_advised_when_questions_are_few() -> None:
    found = metrics()
    found["systems"]["key_rag"] = system(0.80, 5.0)
    found["differences"][0]["interval"] = [-0.05, 0.3]  # not clearly worse, on few questions
    advice = by_kind(found)["stable, often asked"]
    assert advice.way == "wide_deep" and advice.also == ("key_rag",)


def test_equal_ways_go_by_time() -> None:
    for ms, best in ((5.0, "bm25"), (90.0, "key_rag")):
        found = with_system({"systems": {"key_rag": system(0.9, 60.0)}, "differences": []}, "bm25", system(0.9, ms))
        advice = by_kind(found)
        assert advice["stable, often asked"].way == advice["private"].way == advice["changing"].way == best


def test_a_difference_that_seeds_do_not_agree_on_is_not_clear() -> None:
    found = metrics()
    found["differences"][0]["interval"] = [0.005, 0.02]  # averaged over seeds, wide_deep is ahead
    found["systems"]["key_rag"]["costs"]["ms_per_question"] = 10.0
    assert by_kind(found)["stable, often asked"].way == "wide_deep"
    found["systems"]["wide_deep"]["overall"]["exact_match_by_seed"] = [0.99, 0.91]
    assert by_kind(found)["stable, often asked"].way == "key_rag"


def test_a_change_within_a_second_of_the_quickest_goes_by_what_is_answered() -> None:
    found = with_system(metrics(), "wide", system(0.97, 20.0, build_s=1.5))
    assert by_kind(found)["changing"].way == "wide"
    found["systems"]["wide"]["update"]["seconds"] = 2.5  # key_rag takes 1.0
    assert by_kind(found)["changing"].way == "key_rag"


def test_no_trained_way_counts_as_keeping_facts_apart() -> None:
    assert {name for name, entry in SYSTEMS.items() if entry.is_trained} <= set(KEEPS_FACTS_IN_WEIGHTS)


def test_a_tuned_way_that_learned_nothing_is_no_advice_for_style() -> None:
    found = with_system({"systems": {"lora": system(0.02, 5.0, trained=True)}, "differences": []}, "closed_book",
                        system(0.02, 5.0))  # fmt: skip
    advice = by_kind(found)["behaviour and format"]
    assert advice.way is None and "lora: trained, but not clearly better" in advice.reason


def test_changes_go_to_the_quickest_way_that_answers_them_and_moves_nothing_else() -> None:
    found = metrics()
    assert by_kind(found)["changing"].way == "key_rag"
    found["systems"]["key_rag"]["update"]["share_moved_most"] = 0.2
    assert by_kind(found)["changing"].way == "wide_deep"
    found["systems"]["wide_deep"]["update"]["share_right_least"] = 0.5
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
    quick = copy.deepcopy(metrics())
    quick["systems"]["wide_deep"]["costs"]["build_s"] = 0.5
    assert break_even(quick)[0].value == 0 and "0.5 s less to tune and build" in break_even(quick)[0].reason


def test_time_is_not_all_where_one_of_the_two_answers_clearly_more() -> None:
    found = metrics()
    assert "clearly more" not in break_even(found)[0].reason
    found["systems"]["key_rag"] = system(0.5, 60.0)
    found["differences"][0]["interval"] = [0.4, 0.5]
    assert "wide_deep answers clearly more, whatever the time" in break_even(found)[0].reason


def sized(*points: tuple[int, float]) -> dict:
    """The metrics with the time of `key_rag` at numbers of facts; `wide_deep` always takes 20 ms."""
    sizes = [{"num_facts": n, "ms_per_question": {"wide_deep": 20.0, "key_rag": ms}} for n, ms in points]
    return {**metrics(), "sizes": sizes}


def test_retrieval_is_slower_from_a_size_on() -> None:
    assert break_even(sized((1000, 10.0), (10_000, 30.0), (100_000, 90.0)))[2].value == 10_000
    assert break_even(sized((1000, 10.0)))[2].value is None
    assert break_even(sized((1000, 30.0), (10_000, 10.0), (100_000, 90.0)))[2].value == 100_000  # not from 1,000 on
    assert break_even(sized((1000, 30.0), (10_000, 10.0)))[2].value is None
    assert "already there" in break_even(sized((1000, 30.0), (10_000, 40.0)))[2].reason
    without = metrics()
    del without["systems"]["key_rag"]
    assert "a way that retrieves text was not compared" in break_even(without)[-1].reason


def test_the_front_holds_what_no_other_beats_in_both() -> None:
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.9), "d": (3.0, 0.8), "e": (9.0, 0.9)}
    assert pareto(points) == ["a", "c"]
