"""Which way for which kind of knowledge: rules over the measurements of a comparison, each with the numbers behind it.

In: `metrics.json` of `compare`. Out: `Advice`, one for each kind of knowledge. A rule that the measurements do not
decide says so, and says what would.

A ceiling that is told the right fact is never advised, a look-up without an LLM may be. A way is advised only if it
answers clearly more than the bare LLM, `closed_book`, or without that measurement clearly more than nothing. "Clearly":
the whole 95 % interval of the difference, question by question, and every seed against every seed. Not to be told apart
is not to be equal: a way that is cheaper is preferred only where it is at most `NEAR` behind as well.

The rules, in one place:

    stable    stable, often asked   the best exact match; of those near it, the fewest ms a question
    changing  changes every day     of the ways that answer a changed fact (0.9 of them, with every seed) and move few
                                    other answers, the fewest seconds a change; of those at most `INSTANT` s slower,
                                    the best exact match
    rare      asked seldom          the best exact match on the least popular quarter of the facts, if its interval lies
                                    above the bare LLM's
    private   may not leak          as `stable`, of the ways that keep each fact apart from weights, so that erasing one
                                    can be complete
    style     behaviour and format  of the ways that change how the LLM writes and clearly learned their facts, the
                                    fewest unrelated answers changed; style itself is not measured
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from widedeep_kb.studies.kinds import PLAIN

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
WITHOUT_FACTS = "closed_book"
LOOKUPS = ("lookup", "lookup_twice", "lookup_vectors")
CHANGES_THE_WRITING = ("lora", "full_ft", "proxy_tuning")
ANSWERS_CHANGES = 0.9  # least share of changed facts that count as answered
MOVED = 0.05  # most other answers that a change may move
NEAR = 0.05  # of exact match
INSTANT = 1.0  # seconds


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
class Measured:
    """The systems that may be advised, the bare LLM, and the differences between all."""

    systems: Mapping[str, Mapping]
    differences: Sequence[Mapping]

    def kept(self, names: Sequence[str]) -> dict[str, Mapping]:
        """Some of the systems that are worth advising: they answer clearly more than the bare LLM."""
        return {name: self.systems[name] for name in names if name in self.systems and self.answers(name)}

    def answers(self, name: str) -> bool:
        """Whether a system answers clearly more than the bare LLM, or than nothing where that was not compared."""
        if name == WITHOUT_FACTS:
            return False
        if WITHOUT_FACTS not in self.systems:
            return self.systems[name]["overall"]["exact_match_interval"][0] > 0
        return self.is_clear(name, WITHOUT_FACTS)

    def is_clear(self, better: str, worse: str) -> bool:
        """Whether one system is ahead of another: the whole interval, and its worst seed of the other's best.

        Raises:
            ValueError: the two were not compared.
        """
        own, other = self.systems[better]["overall"], self.systems[worse]["overall"]
        if min(_by_seed(own)) <= max(_by_seed(other)):
            return False
        for row in self.differences:
            if (row["system"], row["minus"]) == (better, worse):
                return row["interval"][0] > 0
            if (row["system"], row["minus"]) == (worse, better):
                return row["interval"][1] < 0
        raise ValueError(f"{better} and {worse} were not compared")


def advise(metrics: Mapping) -> list[Advice]:
    """One `Advice` for each kind of knowledge, in a fixed order."""
    systems = {name: system for name, system in metrics["systems"].items() if name not in CEILINGS}
    measured = Measured(systems, metrics["differences"])
    rules: tuple[Callable[[Measured], Advice], ...] = (_stable, _changing, _rare, _private, _style)
    return [rule(measured) for rule in rules]


def _stable(measured: Measured) -> Advice:
    return _best_and_fast("stable, often asked", measured.kept(list(measured.systems)), measured)


def _best_and_fast(kind: str, systems: Mapping[str, Mapping], measured: Measured) -> Advice:
    """The best exact match, or the fastest of those near it."""
    if not systems:
        return Advice(kind, None, f"no way answers clearly more than {_floor(measured)}")
    best = max(systems, key=lambda name: (exact_of(systems[name]), -ms_of(systems[name])))
    alike = [name for name in systems if name == best or not measured.is_clear(best, name)]
    near = [name for name in alike if exact_of(systems[best]) - exact_of(systems[name]) <= NEAR]
    way = min(near, key=lambda name: ms_of(systems[name]))
    own, top = systems[way], systems[best]
    reason = f"{way}: exact match {shown_score(own)}, {ms_of(own):.1f} ms a question"
    if way != best:
        reason += f"; {best} has {shown_score(top)}, which is not clearly more, and takes {ms_of(top):.1f} ms"
    if way in LOOKUPS:
        reason += _unserved(own)
    return Advice(kind, way, reason, tuple(name for name in alike if name != way))


def _changing(measured: Measured) -> Advice:
    kind = "changing"
    updates = {name: system["update"] for name, system in measured.systems.items() if system["update"] is not None}
    if not updates:
        return Advice(kind, None, "no change of facts was measured: compare with --num-updates")
    right = {name: update["share_right_least"] for name, update in updates.items()}
    able = {
        name: measured.systems[name]
        for name, update in updates.items()
        if name != WITHOUT_FACTS and right[name] >= ANSWERS_CHANGES and (update["share_moved_most"] or 0.0) <= MOVED
    }
    if not able:
        best = max(right, key=right.get)
        moved = updates[best]["share_moved_most"]
        reason = (
            f"no way answered {ANSWERS_CHANGES:.0%} of the changed facts and moved at most {MOVED:.0%} of the others"
        )
        reason += f"; the best, {best}, answered {right[best]:.0%}"
        return Advice(kind, None, reason + ("" if moved is None else f" and moved {moved:.0%}"))
    seconds = {name: updates[name]["seconds"] for name in able}
    quick = [name for name in able if seconds[name] <= min(seconds.values()) + INSTANT]
    way = max(quick, key=lambda name: (exact_of(able[name]), -ms_of(able[name])))
    reason = (
        f"{way}: {updates[way]['num_changed']:.0f} changes took {seconds[way]:.2f} s, {right[way]:.0%} of them were"
    )
    reason += f" answered right; exact match {shown_score(able[way])}"
    others = sorted(set(able) - {way}, key=seconds.get)
    if others:
        reason += f"; {others[0]} took {seconds[others[0]]:.2f} s and has {shown_score(able[others[0]])}"
    return Advice(kind, way, reason, tuple(name for name in quick if name != way and not measured.is_clear(way, name)))


def _rare(measured: Measured) -> Advice:
    kind, group = "rare", "least quarter"
    found = {
        name: system["by"]["popularity"][group]
        for name, system in measured.systems.items()
        if group in system["by"]["popularity"]
    }
    bare = found.pop(WITHOUT_FACTS, None)
    if not found:
        return Advice(
            kind, None, "the facts have no popularity, or too few questions ask for the least popular quarter"
        )
    way = max(found, key=lambda name: (found[name]["exact_match"], -ms_of(measured.systems[name])))
    scores, low = found[way], found[way]["exact_match_interval"][0]
    floor = 0.0 if bare is None else bare["exact_match_interval"][1]
    shown = f"exact match {scores['exact_match']:.3f} on {scores['num_questions']} questions about the least popular"
    if low <= floor:
        return Advice(kind, None, f"the best, {way}, has {shown} quarter of the facts: not clearly above {floor:.3f}")
    also = tuple(name for name in found if name != way and found[name]["exact_match_interval"][1] >= low)
    return Advice(kind, way, f"{way}: {shown} quarter of the facts", also)


def _private(measured: Measured) -> Advice:
    kind = "private"
    apart = [name for name in measured.systems if name not in (*KEEPS_FACTS_IN_WEIGHTS, WITHOUT_FACTS)]
    if not apart:
        return Advice(kind, None, "no way was compared that keeps facts apart from shared weights")
    found = _best_and_fast(kind, measured.kept(apart), measured)
    if found.way is None:
        return found
    return Advice(kind, found.way, f"of the ways that keep each fact in a place of its own, {found.reason}", found.also)


def _style(measured: Measured) -> Advice:
    kind = "behaviour and format"
    able = [name for name in measured.systems if name in CHANGES_THE_WRITING]
    if not able:
        ways = ", ".join(CHANGES_THE_WRITING[:-1])
        return Advice(
            kind, None, f"no way was compared that changes how the LLM writes: {ways} or {CHANGES_THE_WRITING[-1]}"
        )
    learned = measured.kept(able)
    if not learned:
        return Advice(kind, None, f"{', '.join(able)}: trained, but not clearly better than {_floor(measured)}")
    broken = {name: (system["forgetting"] or {}).get("share_changed") for name, system in learned.items()}
    known = {name: share for name, share in broken.items() if share is not None}
    if not known:
        return Advice(kind, None, "what fine-tuning broke was not measured: compare with --unrelated FILE")
    way = min(known, key=lambda name: (known[name], -exact_of(learned[name])))
    reason = (
        f"{way}: of the tuned ways that learned their facts (exact match {shown_score(learned[way])}) it changed the"
    )
    reason += f" fewest unrelated answers, {known[way]:.1%}; style itself was not measured"
    return Advice(kind, way, reason)


def _unserved(system: Mapping) -> str:
    """What a look-up answered of the questions that it cannot serve."""
    groups = {name: one for name, one in system["by"].get("asked", {}).items() if name != PLAIN}
    if not groups:
        return "; it writes values and nothing else"
    shown = ", ".join(f"{name} {one['exact_match']:.2f}" for name, one in groups.items())
    return f"; it writes values and nothing else: {shown}"


def _floor(measured: Measured) -> str:
    if WITHOUT_FACTS not in measured.systems:
        return "nothing"
    return f"the bare LLM ({shown_score(measured.systems[WITHOUT_FACTS])})"


def _by_seed(overall: Mapping) -> Sequence[float]:
    return overall["exact_match_by_seed"]


def exact_of(system: Mapping) -> float:
    """Mean exact match of a system."""
    return system["overall"]["exact_match"]


def ms_of(system: Mapping) -> float:
    """Milliseconds a question of a system."""
    return system["costs"]["ms_per_question"]


def shown_score(system: Mapping) -> str:
    """Exact match and its interval, as text."""
    low, high = system["overall"]["exact_match_interval"]
    return f"{exact_of(system):.3f} [{low:.3f}, {high:.3f}]"
