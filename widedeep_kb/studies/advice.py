"""Which way for which kind of knowledge: rules over the measurements of a comparison, each with the numbers behind it.

In: `metrics.json` of `compare`. Out: `Advice`, one for each kind of knowledge, and the break-even points. A rule that
the measurements do not decide says so, and says what would.

The rules, in one place:

    stable    stable, often asked   the best exact match; of those not clearly worse, the fewest ms a question
    changing  changes every day     of the ways that answer a changed fact (0.9 of them), the fewest seconds a change
    rare      asked seldom          the best exact match on the least popular quarter of the facts
    private   may not leak          only ways that keep facts apart from weights, so that erasing is complete
    style     behaviour and format  only ways that change how the LLM writes; what they broke stands beside
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CEILINGS = ("oracle",)
KEEPS_FACTS_IN_WEIGHTS = (
    "lora",
    "full_ft",
    "proxy_tuning",
    "memo",
    "deep",
    "wide_deep",
    "wide_deep_rag",
    "wide_deep_ensemble",
)
CHANGES_THE_WRITING = ("lora", "full_ft", "proxy_tuning")
ANSWERS_CHANGES = 0.9  # least share of changed facts that count as answered
MOVED = 0.05  # most other answers that a change may move


@dataclass(frozen=True)
class Advice:
    """What to use for one kind of knowledge.

    Attributes:
        kind: of knowledge.
        way: name of a system; None: the measurements do not decide.
        reason: one sentence with the numbers that decide it, or what is missing.
        also: ways that the measurements do not tell from it.
    """

    kind: str
    way: str | None
    reason: str
    also: tuple[str, ...] = ()


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


def advise(metrics: Mapping) -> list[Advice]:
    """One `Advice` for each kind of knowledge, in a fixed order."""
    systems = {name: system for name, system in metrics["systems"].items() if name not in CEILINGS}
    rules: tuple[Callable[[Mapping, Sequence[Mapping]], Advice], ...] = (_stable, _changing, _rare, _private, _style)
    return [rule(systems, metrics["differences"]) for rule in rules]


def _stable(systems: Mapping, differences: Sequence[Mapping]) -> Advice:
    kind = "stable, often asked"
    best = max(systems, key=lambda name: _exact(systems[name]))
    level = [name for name in systems if name == best or not _is_worse(name, best, differences)]
    way = min(level, key=lambda name: systems[name]["costs"]["ms_per_question"])
    also = tuple(name for name in level if name != way)
    own, top = systems[way], systems[best]
    reason = f"{way}: exact match {_shown(own)}, {own['costs']['ms_per_question']:.1f} ms a question"
    if way != best:
        reason += f"; {best} has {_shown(top)}, which is not clearly more, and takes {_ms(top):.1f} ms"
    return Advice(kind, way, reason, also)


def _changing(systems: Mapping, _differences: Sequence[Mapping]) -> Advice:
    kind = "changing"
    measured = {name: system["update"] for name, system in systems.items() if system["update"] is not None}
    if not measured:
        return Advice(kind, None, "no change of facts was measured: compare with --num-updates")
    able = {
        name: update
        for name, update in measured.items()
        if update["share_right"] >= ANSWERS_CHANGES and (update["share_moved"] or 0.0) <= MOVED
    }
    if not able:
        best = max(measured, key=lambda name: measured[name]["share_right"])
        share = measured[best]["share_right"]
        return Advice(
            kind, None, f"no way answered {ANSWERS_CHANGES:.0%} of the changed facts; the best, {best}, {share:.0%}"
        )
    way = min(able, key=lambda name: able[name]["seconds"])
    update = able[way]
    reason = (
        f"{way}: {update['num_changed']} changes took {update['seconds']:.2f} s, {update['share_right']:.0%} of them"
    )
    reason += " were answered right"
    slower = sorted(set(able) - {way}, key=lambda name: able[name]["seconds"])
    if slower:
        reason += f"; next {slower[0]} with {able[slower[0]]['seconds']:.2f} s"
    return Advice(kind, way, reason)


def _rare(systems: Mapping, _differences: Sequence[Mapping]) -> Advice:
    kind, group = "rare", "least quarter"
    found = {
        name: system["by"]["popularity"][group]
        for name, system in systems.items()
        if group in system["by"]["popularity"]
    }
    if not found:
        return Advice(
            kind, None, "the facts have no popularity, or too few questions ask for the least popular quarter"
        )
    way = max(found, key=lambda name: found[name]["exact_match"])
    low = found[way]["exact_match_interval"][0]
    also = tuple(name for name in found if name != way and found[name]["exact_match_interval"][1] >= low)
    scores = found[way]
    reason = f"{way}: exact match {scores['exact_match']:.3f} on {scores['num_questions']} questions about the least"
    return Advice(kind, way, f"{reason} popular quarter of the facts", also)


def _private(systems: Mapping, _differences: Sequence[Mapping]) -> Advice:
    kind = "private"
    apart = {name: system for name, system in systems.items() if name not in KEEPS_FACTS_IN_WEIGHTS}
    apart.pop("closed_book", None)
    if not apart:
        return Advice(kind, None, "no way was compared that keeps facts apart from shared weights")
    way = max(apart, key=lambda name: _exact(apart[name]))
    reason = f"{way}: of the ways that keep each fact in a place of its own, the best exact match, {_shown(apart[way])}"
    return Advice(kind, way, reason)


def _style(systems: Mapping, _differences: Sequence[Mapping]) -> Advice:
    kind = "behaviour and format"
    able = {name: system for name, system in systems.items() if name in CHANGES_THE_WRITING}
    if not able:
        return Advice(kind, None, "no way was compared that changes how the LLM writes: lora, full_ft or proxy_tuning")
    broken = {name: (system["forgetting"] or {}).get("share_changed") for name, system in able.items()}
    known = {name: share for name, share in broken.items() if share is not None}
    if not known:
        return Advice(kind, None, "what fine-tuning broke was not measured: compare with --unrelated FILE")
    way = min(known, key=known.get)
    return Advice(kind, way, f"{way}: of the fine-tuned ways it changed the fewest unrelated answers, {known[way]:.1%}")


def break_even(metrics: Mapping) -> list[BreakEven]:
    """Where the better way changes: best trained against best untrained way."""
    systems = {name: system for name, system in metrics["systems"].items() if name not in CEILINGS}
    trained = {name: system for name, system in systems.items() if system["trained"]}
    others = {name: system for name, system in systems.items() if not system["trained"] and name != "closed_book"}
    asked = "questions until training has paid for itself in time"
    rate = "questions between two changes below which the untrained way takes less time"
    size = "facts above which retrieval is slower"
    if not trained or not others:
        missing = "a trained way" if not trained else "an untrained way"
        reason = f"{missing} was not compared"
        return [BreakEven(text, None, unit, reason) for text, unit in ((asked, "questions"), (rate, "questions"))]
    one, other = (max(part, key=lambda name: _exact(part[name])) for part in (trained, others))
    saved_ms = _ms(others[other]) - _ms(trained[one])
    pair = f"{one} ({_shown(trained[one])}, {_ms(trained[one]):.1f} ms) against {other} ({_shown(others[other])}, "
    pair += f"{_ms(others[other]):.1f} ms)"
    found = []
    extra_s = _spent(trained[one]) - _spent(others[other])
    if saved_ms <= 0:
        found.append(BreakEven(asked, None, "questions", f"never: {pair}; the trained way saves no time a question"))
        found.append(BreakEven(rate, None, "questions", f"always the untrained way: {pair}"))
    else:
        reason = f"{pair}; {extra_s:.1f} s more to tune and build, {saved_ms:.1f} ms saved a question"
        found.append(BreakEven(asked, max(0.0, 1000 * extra_s / saved_ms), "questions", reason))
        updates = [systems[name]["update"] for name in (one, other)]
        if None in updates:
            found.append(BreakEven(rate, None, "questions", "no change of facts was measured"))
        else:
            extra_s = updates[0]["seconds"] - updates[1]["seconds"]
            reason = f"{pair}; a change takes {updates[0]['seconds']:.2f} s and {updates[1]['seconds']:.2f} s"
            found.append(BreakEven(rate, max(0.0, 1000 * extra_s / saved_ms), "questions", reason))
    found.append(_slower(metrics.get("sizes"), one, other, size))
    return found


def _slower(sizes: Sequence[Mapping] | None, one: str, other: str, question: str) -> BreakEven:
    """From times at several numbers of facts: `sizes` holds `num_facts` and `ms_per_question` by system."""
    points = [
        (size["num_facts"], size["ms_per_question"][one], size["ms_per_question"][other])
        for size in sizes or ()
        if one in size["ms_per_question"] and other in size["ms_per_question"]
    ]
    if len(points) < 2:
        return BreakEven(question, None, "facts", "times at several numbers of facts were not measured")
    slower = [num for num, ours, theirs in points if theirs > ours]
    shown = ", ".join(f"{num:,} facts: {ours:.1f} and {theirs:.1f} ms" for num, ours, theirs in points)
    if not slower:
        return BreakEven(question, None, "facts", f"not up to {points[-1][0]:,}: {one} and {other} take {shown}")
    return BreakEven(question, float(min(slower)), "facts", f"{one} and {other} take {shown}")


def _is_worse(name: str, best: str, differences: Sequence[Mapping]) -> bool:
    """Whether a system is behind another with the whole 95 % interval."""
    for row in differences:
        if (row["system"], row["minus"]) == (name, best):
            return row["interval"][1] < 0
        if (row["system"], row["minus"]) == (best, name):
            return row["interval"][0] > 0
    raise ValueError(f"{name} and {best} were not compared")


def _exact(system: Mapping) -> float:
    return system["overall"]["exact_match"]


def _ms(system: Mapping) -> float:
    return system["costs"]["ms_per_question"]


def _spent(system: Mapping) -> float:
    return (system["costs"]["tune_s"] or 0.0) + (system["costs"]["build_s"] or 0.0)


def _shown(system: Mapping) -> str:
    low, high = system["overall"]["exact_match_interval"]
    return f"{_exact(system):.3f} [{low:.3f}, {high:.3f}]"
