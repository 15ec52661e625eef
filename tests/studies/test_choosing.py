"""Settings within a budget: a slow system stops trying in time, says so, and trained ones keep fair shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies import choosing
from widedeep_kb.studies import compare as compare_module
from widedeep_kb.studies.choosing import OUT_OF_TIME, Budget, build, tune
from widedeep_kb.studies.comparison import CompareConfig, Corpus, Part
from widedeep_kb.studies.forgetting import Probes
from widedeep_kb.studies.stateless import Stateless
from widedeep_kb.systems import tuning
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.prompts import Context
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.tuning import questions_from_facts

BUDGET_S = 60.0


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Thirty facts, twenty of them for development."""
    facts = facts_from_records([{"subject": f"Zorvan{i}x", "relation": "code", "object": f"Q{i}"} for i in range(30)])
    dev = questions_from_facts(facts, excluded=[], num_questions=20, seed=0)
    return Corpus(facts, dev, dev, Probes(pl.DataFrame(schema=QUESTION_SCHEMA), ()))


class Clock:
    """A clock that only a system at work moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In the place of the one that a comparison reads."""
    clock = Clock()
    for module in (choosing, compare_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))
    return clock


class Slow:
    """A stand-in with many settings that takes its time for each; the later setting is the better one."""

    def __init__(self, clock: Clock, *, build_s: float, answer_s: float) -> None:
        self.clock = clock
        self.build_s, self.answer_s, self.number, self.num_builds = build_s, answer_s, -1, 0

    def settings(self) -> Sequence[Mapping[str, object]]:
        return [{"number": number} for number in range(20)]

    def use(self, setting: Mapping[str, object]) -> bool:
        self.number = int(setting["number"])
        return True

    def ingest(self, facts: pl.DataFrame) -> None:
        self.num_builds += 1
        self.clock.now += self.build_s
        values = dict(facts.select("subject", "object").iter_rows())
        self.answers = {f"What is the code of {subject}?": value for subject, value in values.items()}

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        self.clock.now += self.answer_s
        right = 3 * (self.number + 1) if self.number < 2 else 0
        return [Answer(self.answers[q] if i < right else "", None, [], 1, 1, 1.0) for i, q in enumerate(questions)]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        return [0.0] * len(questions)

    def size_bytes(self) -> int:
        return 1


class SlowTrained(Slow):
    """Takes all the time that it is given for training."""

    seed, max_seconds = 0, None

    def ingest(self, facts: pl.DataFrame) -> None:
        self.build_s = self.max_seconds
        super().ingest(facts)


def test_an_untrained_way_stops_trying_settings_in_time_to_build_the_best(
    corpus: Corpus, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, told = Slow(clock, build_s=7.0, answer_s=5.0), []
    monkeypatch.setattr(compare_module, "make_system", lambda *_args, **_options: system)
    config = CompareConfig(systems=("lookup",), budget_minutes=BUDGET_S / 60, num_updates=0)
    stateless = Stateless(corpus.test, batch_size=64)
    part, answers = compare_module.run_system("slow", 0, corpus, _no_lm, config, stateless, told.append)
    assert part.tune_s + part.build_s == 4 * (7.0 + 5.0) + 7.0 < BUDGET_S  # another one would have taken 67 s
    assert [entry.get("skipped") for entry in part.sweep] == [None] * 4 + [OUT_OF_TIME] * 16
    assert all(entry["exact_match"] is None for entry in part.sweep[4:])
    assert told[-1] == f"slow: 16 of 20 settings not tried, {OUT_OF_TIME}"
    assert part.setting == {"number": 1} and system.number == 1 and answers["exact_match"].sum() == 6


def _no_lm() -> FrozenLM:
    raise AssertionError("the stand-in has no LLM")


def test_a_trained_way_has_equal_shares_and_ends_in_time(corpus: Corpus, clock: Clock) -> None:
    system, part = SlowTrained(clock, build_s=0.0, answer_s=0.1), Part("slow", 0)
    assert tune(system, corpus, part, seconds=BUDGET_S) is False
    system.ingest(corpus.facts)
    assert clock.now <= BUDGET_S + 0.5 and system.num_builds == 21
    assert not any("skipped" in entry for entry in part.sweep)
    builds = [entry["build_s"] for entry in part.sweep]
    assert max(builds) == pytest.approx(BUDGET_S / 21, abs=0.01) and min(builds) > 0.9 * max(builds)


def test_a_trained_way_with_slow_answers_gets_fewer_settings_not_shorter_trainings(
    corpus: Corpus, clock: Clock
) -> None:
    system, part = SlowTrained(clock, build_s=0.0, answer_s=20.0), Part("slow", 0)
    assert tune(system, corpus, part, seconds=BUDGET_S) is True
    assert clock.now < BUDGET_S and system.num_builds == 1
    assert sum("skipped" in entry for entry in part.sweep) == 19


@pytest.mark.parametrize(("shots_first", "tried"), [(True, ["plain-2", "chat-2"]), (False, ["plain-0", "chat-0"])])
def test_prompt_formats_that_there_is_no_time_for_are_not_tried(
    corpus: Corpus,
    clock: Clock,
    tiny_frozen_lm: Callable[..., FrozenLM],
    monkeypatch: pytest.MonkeyPatch,
    *,
    shots_first: bool,
    tried: list[str],
) -> None:
    system, part = ClosedBook(tiny_frozen_lm("llama", max_position_embeddings=2048)), Part("closed_book", 0)
    monkeypatch.setattr(tuning, "time", SimpleNamespace(perf_counter=clock))
    monkeypatch.setattr(system, "shots_first", shots_first)

    def generate(questions: Sequence[str], **_options: object) -> list[Answer]:
        clock.now += 25.0
        return [Answer("", None, [], 1, 1, 1.0) for _ in questions]

    monkeypatch.setattr(system, "generate", generate)
    tune(system, corpus, part, seconds=BUDGET_S)
    (entry,) = part.sweep
    assert list(entry["formats"]) == tried and clock.now == 50.0
    assert entry["skipped"] == f"4 formats: {OUT_OF_TIME}"


class Sensitive(ClosedBook):
    """A stand-in that is right in its second setting, and there more often in chats."""

    number = 0

    def settings(self) -> Sequence[Mapping[str, object]]:
        return [{"number": 0}, {"number": 1}]

    def use(self, setting: Mapping[str, object]) -> bool:
        self.number = int(setting["number"])
        return False

    def generate(self, questions: Sequence[str], **_options: object) -> list[Answer]:
        name = self.prompt_format.name
        right = {(0, "plain-5"): 4, (1, "plain-5"): 5, (1, "chat-0"): 9}.get((self.number, name), 0)
        return [Answer(f"Q{i}" if i < right else "", None, [], 1, 1, 1.0) for i, _ in enumerate(questions)]


def test_formats_are_tried_with_the_first_setting_and_again_with_the_best(
    corpus: Corpus, tiny_frozen_lm: Callable[..., FrozenLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, part = Sensitive(tiny_frozen_lm("llama", max_position_embeddings=2048)), Part("sensitive", 0)
    monkeypatch.setattr(tuning, "exact_match", lambda text, _accepted: bool(text))
    assert tune(system, corpus, part, seconds=None) is True
    first, second = part.sweep
    assert len(first["formats"]) == 6 and first["exact_match"] == first["formats"]["plain-5"] == 4 / 15
    assert list(second["formats"])[0] == "plain-5" and len(second["formats"]) == 6, "15 questions, whatever the formats"
    assert second["exact_match"] == second["formats"]["chat-0"] == 9 / 15
    assert (part.setting, part.prompt_format, system.prompt_format.name) == ({"number": 1}, "chat-0", "chat-0")
    few = Part("sensitive", 0)
    tune(system, corpus, few, seconds=0.0)
    assert list(few.sweep[0]["formats"]) == ["plain-2"] and few.sweep[1]["skipped"] == OUT_OF_TIME


class Showing(Sensitive):
    """A stand-in that shows its setting with each question, and is right in its first one."""

    must_build = False

    def use(self, setting: Mapping[str, object]) -> bool:
        return super().use(setting) or self.must_build

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        return [Context((f"Setting {self.number}.",))] * len(questions)

    def generate(self, questions: Sequence[str], **_options: object) -> list[Answer]:
        right = self.number == 0
        return [Answer("Q" * right, None, [], 1, 1, 1.0) for _ in questions]


@pytest.mark.parametrize("must_build", [False, True])
def test_worked_examples_show_what_the_best_setting_shows(
    corpus: Corpus, tiny_frozen_lm: Callable[..., FrozenLM], monkeypatch: pytest.MonkeyPatch, *, must_build: bool
) -> None:
    system, part = Showing(tiny_frozen_lm("llama", max_position_embeddings=2048)), Part("showing", 0)
    monkeypatch.setattr(tuning, "exact_match", lambda text, _accepted: bool(text))
    monkeypatch.setattr(system, "must_build", must_build)
    assert tune(system, corpus, part, seconds=None) is not must_build
    if must_build:
        build(system, corpus)
    assert part.setting == {"number": 0}
    assert len(system.shots) == 5 and {shot.context.statements for shot in system.shots} == {("Setting 0.",)}


def test_without_a_budget_all_settings_are_tried(corpus: Corpus, clock: Clock) -> None:
    part = Part("slow", 0)
    assert tune(Slow(clock, build_s=1.0, answer_s=1.0), corpus, part, seconds=None) is False
    assert len(part.sweep) == 20 and not any("skipped" in entry for entry in part.sweep)


def test_the_seconds_of_a_build_that_serves_several_settings_are_those_of_that_build(
    corpus: Corpus, clock: Clock
) -> None:
    class Once(Slow):
        def use(self, setting: Mapping[str, object]) -> bool:
            super().use(setting)
            return False

    system, part = Once(clock, build_s=2.0, answer_s=0.0), Part("once", 0)
    assert tune(system, corpus, part, seconds=None) is True
    assert system.num_builds == 1 and part.setting == {"number": 1} and part.build_s == 2.0


def test_shares_are_equal_and_none_is_longer_than_the_first() -> None:
    budget = Budget(80.0)
    assert budget.share(3) == pytest.approx(20.0, abs=0.1)
    budget.first_share = budget.share(3)
    assert budget.share(2) == budget.share(1) == budget.first_share  # nothing was spent
    budget.longest_rest = 20.0
    assert budget.share(3) == pytest.approx(5.0, abs=0.1) and not budget.has_room(3, is_trained=True, needs_build=True)
    assert Budget(80.0).share(1) == pytest.approx(80.0, abs=0.1)


class Indexed(Slow):
    """Its first two settings need an index of their own, the third one needs none, the fourth that of the first."""

    def settings(self) -> Sequence[Mapping[str, object]]:
        return [{"index": index, "number": number} for index, number in ((0, 0), (1, 3), (1, 4), (0, 1))]

    def use(self, setting: Mapping[str, object]) -> bool:
        self.number, index = int(setting["number"]), int(setting["index"])
        needs_build, self.index = index != getattr(self, "index", None), index
        return needs_build


def test_what_needs_no_other_index_is_tried_behind_a_long_build(corpus: Corpus, clock: Clock) -> None:
    system, part = Indexed(clock, build_s=BUDGET_S / 2, answer_s=1.0), Part("indexed", 0)
    assert tune(system, corpus, part, seconds=BUDGET_S) is True
    assert [entry.get("skipped") for entry in part.sweep] == [None, OUT_OF_TIME, OUT_OF_TIME, None]
    assert part.setting == {"index": 0, "number": 1}, "tried, although another build would not have fitted"
    assert (system.num_builds, system.index, system.number) == (1, 0, 1)


def test_what_was_best_with_a_former_index_is_built_again(corpus: Corpus, clock: Clock) -> None:
    system, part = Indexed(clock, build_s=1.0, answer_s=1.0), Part("indexed", 0)
    assert tune(system, corpus, part, seconds=None) is True and system.num_builds == 3
    assert part.setting == {"index": 0, "number": 1}

    class Otherwise(Indexed):
        def settings(self) -> Sequence[Mapping[str, object]]:
            return [{"index": 0, "number": 1}, {"index": 1, "number": 4}]

    system, part = Otherwise(clock, build_s=1.0, answer_s=1.0), Part("otherwise", 0)
    assert tune(system, corpus, part, seconds=None) is False and system.num_builds == 2
    assert part.setting == {"index": 0, "number": 1} and system.index == 0
