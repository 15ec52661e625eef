"""The page of a comparison: names that can be read, numbers in order, and what was left out is said."""

from __future__ import annotations

import itertools
import random

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from widedeep_kb.report import plots
from widedeep_kb.report.page import page
from widedeep_kb.studies.measures import GROUPINGS
from widedeep_kb.systems.registry import SYSTEMS


def scores(exact: float) -> dict:
    """Measures of a group of questions."""
    interval = [max(0.0, exact - 0.05), min(1.0, exact + 0.05)]
    found = {name: exact for name in ("exact_match", "contains", "f1")}
    return {**found, "exact_match_interval": interval, "exact_match_by_seed": [exact], "num_questions": 40}


def metrics_of_all() -> dict:
    """Metrics of every registered way, many of them at the same place."""
    rng, systems = random.Random(0), {}
    for name, entry in SYSTEMS.items():
        exact = rng.choice((0.9, 0.91, 0.5))
        costs = {"ms_per_question": rng.choice((0.2, 60.0, 65.0)), "prompt_tokens_per_question": 1234.0}
        costs |= {"build_s": 1.0, "tune_s": 1.0, "bytes_per_fact": 2048.0}
        sweep = [{"setting": {"top_k": 1}, "build_s": 1.0, "exact_match": 0.5, "formats": {"plain-0": 0.5}}]
        sweep += [{"setting": {"top_k": 3}, "build_s": None, "exact_match": None, "skipped": "the budget was spent"}]
        kinds = ("two facts", "comparison", "statement begun", "plain question")
        systems[name] = {
            "trained": entry.is_trained,
            "overall": scores(exact),
            "gain": {"stateless": 0.02, "gain": exact - 0.02, "normalised": exact, "normalised_best": None},
            "costs": costs,
            "forgetting": {"num_questions": 9, "share_answered": 1.0, "share_changed": rng.choice((0.0, 0.02, 0.5))}
            | dict.fromkeys(("f1_bare", "f1", "perplexity_bare", "perplexity")),
            "update": None,
            "tuning": {"setting": {}, "prompt_format": None, "sweep": sweep},
            "by": {**dict.fromkeys(GROUPINGS, {}), "asked": {kind: scores(exact) for kind in kinds}},
        }
    differences = [
        {"system": one, "minus": other, "interval": [-0.1, 0.1]} for one, other in itertools.combinations(systems, 2)
    ]
    about = {"llm": "tiny", "device": "CPU", "num_facts": 9, "num_questions": 40, "seeds": [0], "budget_minutes": 1.0}
    return {**about, "systems": systems, "differences": differences}


def test_the_page_says_what_was_not_tried_and_keeps_the_order_of_what_is_asked() -> None:
    text = page(metrics_of_all())
    assert "not tried: the budget was spent" in text and "<script" not in text
    assert "side by side" not in text and "3 ways side by side" in page({**metrics_of_all(), "num_processes": 3})
    order = [text.index(f"{kind} (40)") for kind in ("plain question", "statement begun", "comparison", "two facts")]
    assert order == sorted(order)
    assert "Comparisons are guessed right half the time" in text and "What the facts added" in text
    assert "Times by number of facts" not in text  # not measured


def test_names_of_all_ways_cover_neither_each_other_nor_the_axis() -> None:
    points = {f"system_{i}": (10.0 ** (i % 3), 0.9 - 0.01 * (i % 4)) for i in range(20)}
    figure, axes = plots._figure()
    axes.plot(*zip(*points.values(), strict=True), "o")
    axes.set_xscale("log")
    axes.set(ylim=(-0.03, 1.03))
    plots._name_points(axes, points)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [Text.get_window_extent(text, renderer) for text in axes.texts]  # without the lines to their points
    assert len(boxes) == 20 and not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert min(box.x0 for box in boxes) >= axes.get_window_extent().x0 - 1


def test_the_same_metrics_give_the_same_page() -> None:
    metrics = metrics_of_all()
    assert page(metrics) == page(metrics)


@pytest.mark.parametrize("draw", [plots.quality_against_cost, plots.learning_against_forgetting])
def test_every_way_is_named_in_the_plot(draw: object) -> None:
    text = draw(metrics_of_all())
    assert text.startswith("<svg") and all(f"<!-- {name} -->" in text for name in SYSTEMS)
