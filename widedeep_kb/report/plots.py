"""Plots of a comparison as SVG texts: quality against cost, by popularity, by corpus size, and against forgetting.

In: `metrics.json` of `compare`. Out: an SVG element each, or None where the measurements for it are missing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C564B", "#7F7F7F")
MARKERS = "osD^vP*Xh"
OURS = ("wide", "deep", "wide_deep", "wide_deep_ensemble", "wide_deep_rag")
QUARTERS = ("least quarter", "second quarter", "third quarter", "most quarter")
LEAST_MS = 0.01  # a log axis has no zero
NAME_SIZE = 8  # typographic points


def quality_against_cost(metrics: Mapping) -> str:
    """Exact match with its interval over ms a question; the line joins the ways that no other beats in both."""
    figure, axes = _figure()
    points = {
        name: (max(LEAST_MS, system["costs"]["ms_per_question"]), system["overall"]["exact_match"])
        for name, system in metrics["systems"].items()
    }
    front = pareto(points)
    axes.plot(*zip(*[points[name] for name in front], strict=True), color="#999999", linewidth=1.2, zorder=1)
    for name, (ms, exact) in points.items():
        low, high = metrics["systems"][name]["overall"]["exact_match_interval"]
        colour, marker = style_of(name, metrics)
        axes.errorbar(
            ms, exact, yerr=[[max(0.0, exact - low)], [max(0.0, high - exact)]], color=colour, fmt=marker, capsize=2
        )
    axes.set_xscale("log")
    axes.set(xlabel="ms a question (log)", ylabel="exact match", ylim=(-0.03, 1.03))
    _name_points(axes, points)
    return svg(figure)


def quality_by_popularity(metrics: Mapping) -> str | None:
    """Exact match in the four quarters of popularity."""
    found = {
        name: [(QUARTERS.index(group), scores["exact_match"]) for group, scores in system["by"]["popularity"].items()]
        for name, system in metrics["systems"].items()
    }
    found = {name: sorted(points) for name, points in found.items() if len(points) > 1}
    if not found:
        return None
    figure, axes = _figure()
    for name, points in found.items():
        colour, marker = style_of(name, metrics)
        width = 2.2 if name in OURS else 1.2
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linewidth=width, label=name)
    axes.set_xticks(range(len(QUARTERS)), [quarter.replace(" quarter", "") for quarter in QUARTERS])
    axes.set(xlabel="popularity of the fact, quarters", ylabel="exact match", ylim=(-0.03, 1.03))
    _legend(axes)
    return svg(figure)


def time_by_corpus_size(metrics: Mapping) -> str | None:
    """Ms a question over the number of facts, both logarithmic; dashed: measured once."""
    once = metrics.get("measured_once") or ()
    sizes: Sequence[Mapping] = metrics.get("sizes") or ()
    if len(sizes) < 2:
        return None
    figure, axes = _figure()
    for name in metrics["systems"]:
        points = [
            (size["num_facts"], max(LEAST_MS, size["ms_per_question"][name]))
            for size in sizes
            if name in size["ms_per_question"]
        ]
        if len(points) > 1:
            colour, marker = style_of(name, metrics)
            line = "--" if name in once else "-"
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, linestyle=line, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel="facts (log)", ylabel="ms a question (log)")
    _legend(axes)
    return svg(figure)


def learning_against_forgetting(metrics: Mapping) -> str | None:
    """Exact match over the share of unrelated answers that changed: the upper left corner is best."""
    points = {
        name: (system["forgetting"]["share_changed"], system["overall"]["exact_match"])
        for name, system in metrics["systems"].items()
        if system["forgetting"] and system["forgetting"]["share_changed"] is not None
    }
    if len(points) < 2:
        return None
    figure, axes = _figure()
    for name, point in points.items():
        colour, marker = style_of(name, metrics)
        axes.plot(*point, color=colour, marker=marker, linestyle="none")
    axes.set(xlabel="unrelated answers changed, share", ylabel="exact match", ylim=(-0.03, 1.03))
    axes.set_xlim(left=-0.02)
    _name_points(axes, points)
    return svg(figure)


def pareto(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names that no other beats in both cost (first, lower is better) and quality (second), the cheapest first."""
    front: list[str] = []
    for name, (_, quality) in sorted(points.items(), key=lambda pair: (pair[1][0], -pair[1][1])):
        if not front or quality > points[front[-1]][1]:
            front.append(name)
    return front


def style_of(name: str, metrics: Mapping) -> tuple[str, str]:
    """Colour and marker of a system, the same in all plots."""
    index = list(metrics["systems"]).index(name)
    return COLOURS[index % len(COLOURS)], MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def svg(figure: Figure) -> str:
    """The figure as an SVG element; the same figure gives the same text."""
    figure.tight_layout()
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "widedeep_kb"}):  # ids that do not change from call to call
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.2))
    figure.patch.set_alpha(0.0)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _name_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each point's name at the nearest place where it covers no point and no other name.

    The axes must have their scales and limits.
    """
    axes.figure.tight_layout()
    per_point = axes.figure.dpi / 72  # pixels in a typographic point
    places = {name: axes.transData.transform(point) / per_point for name, point in points.items()}
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in places.values()]
    edges = [edge / per_point for edge in axes.get_window_extent().extents]
    for name, (x, y) in sorted(places.items(), key=lambda pair: -pair[1][1]):
        width, height = 0.6 * NAME_SIZE * len(name) + 2, 1.1 * NAME_SIZE
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in _offsets(width, height)]
        inside = [box for box in boxes if edges[0] <= box[0] and box[2] <= edges[2] and edges[1] <= box[1]]
        free = [box for box in inside if not any(_overlap(box, other) for other in taken)]
        box = (free or inside or boxes)[0]
        taken.append(box)
        offset = (box[0] - x, box[1] - y)
        is_far = abs(offset[1]) > 2 * height
        line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5} if is_far else None
        axes.annotate(
            name, points[name], xytext=offset, textcoords="offset points", fontsize=NAME_SIZE, arrowprops=line
        )


def _offsets(width: float, height: float) -> list[tuple[float, float]]:
    """Where a name may begin, from its point: beside it, above or below it, and further and further away."""
    sides = (5.0, -5.0 - width)
    rows = sorted((row * height - height / 2 for row in range(-9, 10)), key=lambda dy: abs(dy + height / 2))
    return [(dx, dy) for dy in rows for dx in sides]


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes (left, bottom, right, top) overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
