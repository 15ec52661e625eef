"""The setting and the prompt format of a system that are best on the development questions, within its time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from widedeep_kb.metrics import exact_match
from widedeep_kb.studies.comparison import Corpus, Part
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat
from widedeep_kb.systems.protocol import Practising, System, Trained, Tunable
from widedeep_kb.systems.tuning import FormatChoice, renew_contexts, take_shots, tune_format

MIN_SCORED = 10  # development questions behind the worked examples
OUT_OF_TIME = "the budget was spent"


@dataclass
class Budget:
    """The seconds in which a system's settings are tried and the best one is built.

    Attributes:
        seconds: of all; None = as many as it takes.
        longest_build, longest_rest: most seconds that a setting tried so far took to build, and beside that.
        first_share: training of the first setting, seconds.
    """

    seconds: float | None
    longest_build: float = 0.0
    longest_rest: float = 0.0
    first_share: float = 0.0
    _began: float = field(default_factory=lambda: time.perf_counter())

    def left(self) -> float:
        """Seconds that are left."""
        return math.inf if self.seconds is None else self.seconds - (time.perf_counter() - self._began)

    def share(self, num_left: int) -> float:
        """Seconds of training for each of so many settings, and for the last build behind several.

        No setting gets more than the first one did.
        """
        parts = num_left + 1 if num_left > 1 or self.first_share else 1
        return min((self.left() - num_left * self.longest_rest) / parts, self.first_share or math.inf)

    def build(self, system: System, corpus: Corpus, *, num_left: int) -> float:
        """Let a system take in the facts within its share; the seconds it took."""
        share = self.share(num_left)
        self.first_share = self.first_share or share
        if isinstance(system, Trained) and self.seconds is not None:
            system.max_seconds = share
        build_s = build(system, corpus)
        self.longest_build = max(self.longest_build, build_s)
        if isinstance(system, Trained):
            self.longest_rest = max(self.longest_rest, build_s - share)
        return build_s

    def has_room(self, num_left: int, *, is_trained: bool, needs_build: bool) -> bool:
        """Whether another setting can be tried, and the best one be built behind it if that has to be.

        One that is trained must get at least half as long as the first one did, or the comparison would be unfair.
        """
        if self.seconds is None:
            return True
        if not needs_build:
            return self.left() >= self.longest_rest
        if is_trained:
            return self.share(num_left) >= self.first_share / 2
        return self.left() >= 2 * self.longest_build + self.longest_rest


@dataclass(frozen=True)
class _Tried:
    """A setting with its exact match on the development questions."""

    score: float
    setting: dict[str, object]
    prompt_format: PromptFormat | None
    build_s: float
    train_limit_s: float | None
    number: int = 0  # of the build that it was tried with


def tune(
    system: System,
    corpus: Corpus,
    part: Part,
    *,
    seconds: float | None,
    tell: Callable[[str], None] = lambda _line: None,
) -> bool:
    """Give a system the setting and the prompt format that are best on the development questions.

    Prompt formats are tried with the first setting, for half of the time where others follow; the other settings are
    tried in the format that was best, and the other formats again with the best setting where it still is in place. Of
    a trained system each setting is trained for an equal share of `seconds`, and so is the last one. What there is no
    time for is not tried, and its line in the sweep says so; what the facts need not be taken in again for still is.
    Noted in `part`, with the seconds of the build that is kept.

    Args:
        system: without facts.
        corpus: its facts and development questions are used.
        part: filled in.
        seconds: for all of it and, where the facts must be taken in again, for that; None = no limit.
        tell: takes a line as each of several settings was tried.

    Returns:
        Whether the system has the facts, with the setting chosen.
    """
    settings = list(system.settings()) if isinstance(system, Tunable) else [{}]
    if corpus.dev.height < MIN_SCORED:
        settings = settings[:1]
    budget = Budget(seconds)
    tried = _try_all(system, corpus, part, settings, budget=budget, tell=tell)
    best = max(tried, key=lambda one: one.score)
    part.setting, part.build_s, part.train_limit_s = best.setting, best.build_s, best.train_limit_s
    is_kept = best.number == tried[-1].number
    if best is not tried[-1]:
        system.use(best.setting)
        if is_kept:
            renew_contexts(system)
    if isinstance(system, PromptedSystem) and best.prompt_format is not None:
        if is_kept and best is not tried[0]:
            best = _try_other_formats(system, corpus, _line_of(part, best), best, seconds=budget.left())
        system.prompt_format, part.prompt_format = best.prompt_format, best.prompt_format.name
    if is_kept:
        return True
    if isinstance(system, Trained) and seconds is not None:
        system.max_seconds = min(budget.first_share, max(budget.left(), budget.first_share / 2))
        part.train_limit_s = system.max_seconds
    return False


def _try_all(
    system: System,
    corpus: Corpus,
    part: Part,
    settings: Sequence[Mapping[str, object]],
    *,
    budget: Budget,
    tell: Callable[[str], None],
) -> list[_Tried]:
    """Try the settings that there is time for; the system then holds what the last one of them was tried with."""
    tried, number, is_spent = [], 0, False  # number of the build; no time for another
    for i, setting in enumerate(settings):
        num_left = len(settings) - i
        needs_build = (isinstance(system, Tunable) and system.use(setting)) or not tried
        has_room = not tried or budget.has_room(
            num_left, is_trained=isinstance(system, Trained), needs_build=needs_build
        )
        if not has_room or (is_spent and needs_build):
            is_spent |= needs_build
            part.sweep.append(_left_out(setting))
            system.use(tried[-1].setting)  # that of what it holds
            continue
        if needs_build:
            built_s, number = budget.build(system, corpus, num_left=num_left), number + 1
        began = time.perf_counter()
        formats = (tried[0].prompt_format,) if tried and tried[0].prompt_format else None
        seconds_here = budget.left() / (1 if num_left == 1 else 2)
        scored = _try(system, corpus, part, setting, built_s=built_s, seconds=seconds_here, formats=formats)
        tried.append(replace(scored, number=number))
        num_passes = max(1, len(part.sweep[-1].get("formats", ())))  # several formats are tried but once
        budget.longest_rest = max(budget.longest_rest, (time.perf_counter() - began) / num_passes)
        if len(settings) > 1:
            tell(f"{part.system}: setting {i + 1} of {len(settings)}, {dict(setting)}: {tried[-1].score:.3f}")
    if len(tried) < len(settings):
        tell(f"{part.system}: {len(settings) - len(tried)} of {len(settings)} settings not tried, {OUT_OF_TIME}")
    return tried


def train_limit_s(system: System) -> float | None:
    """Seconds that a system is trained for at most; None = it is not, or as long as its recipe says."""
    return system.max_seconds if isinstance(system, Trained) else None


def settle(system: System, corpus: Corpus, part: Part, *, chosen: Mapping) -> None:
    """Let a system take in the facts in the setting and prompt format that another part chose, as long trained.

    Args:
        system: without facts.
        corpus: its facts, and the development questions that are worked examples.
        part: filled in.
        chosen: `setting`, `prompt_format` and `train_limit_s` of the other part, and `where` that was tuned, if its
            sweep is in another comparison.
    """
    part.setting, part.prompt_format = dict(chosen["setting"]), chosen["prompt_format"]
    part.train_limit_s = chosen.get("train_limit_s")
    if chosen.get("where"):
        part.sweep = [{**_left_out(part.setting), "skipped": f"others here; this one was best {chosen['where']}"}]
    if isinstance(system, Tunable) and part.setting:
        system.use(part.setting)
    if isinstance(system, Trained):
        system.max_seconds = part.train_limit_s
    part.build_s = build(system, corpus)
    use_format(system, part.prompt_format, corpus.dev)


def use_format(system: System, name: str | None, dev: pl.DataFrame) -> None:
    """Give a system that shows text the prompt format of this name, and the worked examples that it was chosen with."""
    if not isinstance(system, PromptedSystem) or name is None:
        return
    (system.prompt_format,) = [one for one in PROMPT_FORMATS if one.name == name]
    if system.prompt_format.num_shots:
        take_shots(system, dev, num_shots=system.prompt_format.num_shots)


def _line_of(part: Part, tried: _Tried) -> dict:
    """The line of a setting that was tried."""
    return next(line for line in part.sweep if line["setting"] == tried.setting)


def _left_out(setting: Mapping[str, object]) -> dict[str, object]:
    """The line of a setting that was not tried."""
    return {"setting": dict(setting), "build_s": None, "exact_match": None, "skipped": OUT_OF_TIME}


def build(system: System, corpus: Corpus) -> float:
    """Let a system take in the facts and, where it can, practise; the seconds of both."""
    began = time.perf_counter()
    system.ingest(corpus.facts)
    renew_contexts(system)
    build_s = time.perf_counter() - began
    if isinstance(system, Practising) and corpus.dev.height:
        build_s += practise(system, corpus.dev)
    return round(build_s, 3)


def practise(system: Practising, dev: pl.DataFrame) -> float:
    """Practice on the development questions that are not worked examples; the seconds of it.

    Of the accepted answers a system learns no more than whether its own is among them. The search for the prompt
    format that it practises in is not practice.
    """
    if isinstance(system, PromptedSystem) and not system.shots:
        _choose_format(system, dev)
    shown = [shot.question for shot in getattr(system, "shots", ())]
    tried = dev.filter(~pl.col("question").is_in(shown))
    answers = tried["answers"].to_list()
    began = time.perf_counter()
    system.practise(tried["question"].to_list(), lambda i, text: exact_match(text, answers[i]))
    return time.perf_counter() - began


def _try(
    system: System,
    corpus: Corpus,
    part: Part,
    setting: Mapping[str, object],
    *,
    built_s: float,
    seconds: float,
    formats: Sequence[PromptFormat] | None,
) -> _Tried:
    """Score a system with its facts on the development questions, a prompted one in the best of `formats`.

    None = all formats.
    """
    dev, entry = corpus.dev, {"setting": dict(setting), "build_s": built_s, "exact_match": None}
    part.sweep.append(entry)
    if isinstance(system, PromptedSystem):
        choice = _choose_format(system, dev, seconds=seconds, formats=formats)
        entry |= {"exact_match": choice.exact_match.get(choice.best.name), "formats": choice.exact_match}
        if choice.num_skipped:
            entry["skipped"] = f"{choice.num_skipped} formats: {OUT_OF_TIME}"
        return _Tried(entry["exact_match"] or 0.0, dict(setting), choice.best, built_s, train_limit_s(system))
    if dev.height >= MIN_SCORED:
        entry["exact_match"] = float(predict(system, dev, description=f"tuning {part.system}")["exact_match"].mean())
    return _Tried(entry["exact_match"] or 0.0, dict(setting), None, built_s, train_limit_s(system))


def _try_other_formats(system: PromptedSystem, corpus: Corpus, entry: dict, best: _Tried, *, seconds: float) -> _Tried:
    """The best setting in the best of all formats; those tried now are added to its line of the sweep."""
    others = [f for f in _formats(system, corpus.dev) if f != best.prompt_format]
    if not others or seconds <= 0:
        return best
    choice = _choose_format(system, corpus.dev, seconds=seconds, formats=others)
    entry["formats"] = {**entry["formats"], **choice.exact_match}
    score = choice.exact_match[choice.best.name]
    if score <= best.score:
        return best
    entry["exact_match"] = score
    return replace(best, score=score, prompt_format=choice.best)


def _formats(system: PromptedSystem, dev: pl.DataFrame) -> list[PromptFormat]:
    """The formats that there are development questions for, the most promising first, as time may run out."""
    has_chat = system.lm.tokenizer.chat_template is not None
    found = [f for f in PROMPT_FORMATS if f.num_shots + MIN_SCORED <= dev.height and (has_chat or not f.is_chat)]
    return sorted(found, key=lambda f: ((f.num_shots == 0) == system.shots_first, f.num_shots, f.is_chat))


def _choose_format(
    system: PromptedSystem,
    dev: pl.DataFrame,
    *,
    seconds: float = math.inf,
    formats: Sequence[PromptFormat] | None = None,
) -> FormatChoice:
    """The format that is best on the development questions; plain, without examples, where they are too few.

    Whatever formats are tried, the same questions are worked examples, and the others are scored.
    """
    known = _formats(system, dev)
    if known:
        num_shots = max(f.num_shots for f in known)
        return tune_format(system, dev, formats=formats or known, max_seconds=seconds, num_shots=num_shots)
    system.prompt_format = PromptFormat(num_shots=0, is_chat=False)
    return FormatChoice(system.prompt_format, {}, num_questions=0)
