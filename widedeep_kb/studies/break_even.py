"""Where the better way changes: how many questions pay for training, and from how many facts on retrieval is slower.

In: `metrics.json` of `compare`. Out: `BreakEven`, in a fixed order. What was not measured is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from widedeep_kb.studies.advice import CEILINGS, LOOKUPS, WITHOUT_FACTS, Measured, exact_of, ms_of, shown_score

RETRIEVES_TEXT = ("key_rag", "reflexion", "bm25", "dense_rag", "hybrid_rag", "in_context")
PAID = "questions until training has paid for itself in time"
RATE = "questions between two changes below which the untrained way takes less time"
SLOWER = "facts from which on text retrieval is slower"


@dataclass(frozen=True)
class BreakEven:
    """A point at which the better way changes.

    Attributes:
        question: what it answers.
        value: the number, or None where it does not exist or was not measured.
        unit: of the value.
        reason: how it follows from the measurements.
    """

    question: str
    value: float | None
    unit: str
    reason: str


def break_even(metrics: Mapping) -> list[BreakEven]:
    """Where the better way changes: best trained against best untrained way, and text retrieval against the others."""
    systems = {name: system for name, system in metrics["systems"].items() if name not in (*CEILINGS, WITHOUT_FACTS)}
    measured = Measured(systems, metrics["differences"])
    trained = {name: system for name, system in systems.items() if system["trained"]}
    others = {name: system for name, system in systems.items() if not system["trained"]}
    if trained and others:
        one, other = (max(part, key=lambda n: (exact_of(part[n]), -ms_of(part[n]))) for part in (trained, others))
        found = _trained_against(measured, one, other)
    else:
        reason = f"{'an untrained' if trained else 'a trained'} way was not compared"
        found = [BreakEven(text, None, "questions", reason) for text in (PAID, RATE)]
    return [*found, _slower(metrics, systems)]


def _trained_against(measured: Measured, one: str, other: str) -> list[BreakEven]:
    """Times of a trained way against an untrained one: `seconds + questions x ms` are equal at the break-even."""
    ours, theirs = measured.systems[one], measured.systems[other]
    shown = [f"{name} ({shown_score(own)}, {ms_of(own):.1f} ms)" for name, own in ((one, ours), (other, theirs))]
    pair = " against ".join(shown)
    if measured.is_clear(one, other):
        pair += f"; {one} answers clearly more, whatever the time"
    elif measured.is_clear(other, one):
        pair += f"; {other} answers clearly more, whatever the time"
    saved_ms = ms_of(theirs) - ms_of(ours)
    if saved_ms <= 0:
        return [
            BreakEven(PAID, None, "questions", f"never: {pair}; the trained way saves no time a question"),
            BreakEven(RATE, None, "questions", f"always the untrained way: {pair}"),
        ]
    extra_s = _spent(ours) - _spent(theirs)
    reason = f"{pair}; {abs(extra_s):.1f} s {'more' if extra_s > 0 else 'less'} to tune and build, "
    paid = BreakEven(
        PAID, max(0.0, 1000 * extra_s / saved_ms), "questions", f"{reason}{saved_ms:.1f} ms saved a question"
    )
    if ours["update"] is None or theirs["update"] is None:
        return [paid, BreakEven(RATE, None, "questions", "no change of facts was measured")]
    change_s = [system["update"]["seconds"] for system in (ours, theirs)]
    reason = f"{pair}; a change takes {change_s[0]:.2f} s and {change_s[1]:.2f} s"
    rate = max(0.0, 1000 * (change_s[0] - change_s[1]) / saved_ms)
    return [paid, BreakEven(RATE, rate, "questions", reason)]


def _slower(metrics: Mapping, systems: Mapping[str, Mapping]) -> BreakEven:
    """The least number of facts measured from which on the best text retrieval is slower than the best other way."""
    texts = {name: system for name, system in systems.items() if name in RETRIEVES_TEXT}
    rest = {name: system for name, system in systems.items() if name not in (*RETRIEVES_TEXT, *LOOKUPS)}
    if not texts or not rest:
        missing = "a way that retrieves text" if not texts else "a way that neither retrieves text nor looks up"
        return BreakEven(SLOWER, None, "facts", f"{missing} was not compared")
    one, other = (max(part, key=lambda n: (exact_of(part[n]), -ms_of(part[n]))) for part in (rest, texts))
    points = [
        (size["num_facts"], size["ms_per_question"][one], size["ms_per_question"][other])
        for size in metrics.get("sizes") or ()
        if one in size["ms_per_question"] and other in size["ms_per_question"]
    ]
    if len(points) < 2:
        return BreakEven(SLOWER, None, "facts", "times at several numbers of facts were not measured: compare --sizes")
    shown = ", ".join(f"{num:,} facts: {ours:.1f} and {theirs:.1f} ms" for num, ours, theirs in points)
    if points[-1][2] <= points[-1][1]:
        return BreakEven(SLOWER, None, "facts", f"not at {points[-1][0]:,}: {one} and {other} take {shown}")
    last_faster = max((i for i, (_, ours, theirs) in enumerate(points) if theirs <= ours), default=-1)
    value = points[last_faster + 1][0]
    where = "already there" if last_faster < 0 else f"somewhere above {points[last_faster][0]:,}"
    return BreakEven(SLOWER, float(value), "facts", f"{where}: {one} and {other} take {shown}")


def _spent(system: Mapping) -> float:
    return (system["costs"]["tune_s"] or 0.0) + (system["costs"]["build_s"] or 0.0)
