"""What a comparison is of: its settings, the facts and questions that all systems are given, what is noted of each."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.studies.forgetting import Forgetting, Probes
from widedeep_kb.studies.kinds import ASKED_SCHEMA
from widedeep_kb.studies.updates import UpdateCost
from widedeep_kb.systems.protocol import System
from widedeep_kb.systems.registry import SYSTEMS, make_system

_LEAST = {"num_dev": 0, "num_updates": 0, "num_unservable": 0, "max_new_tokens": 1, "batch_size": 1}


@dataclass(frozen=True)
class CompareConfig:
    """What is compared.

    Attributes:
        systems: names of the registry.
        seeds: each trained system is trained once a seed, in the setting that was best with the first one; the others
            are asked once.
        budget_minutes: that tuning and building one system may take; None = as long as its recipe says.
        num_dev: development questions, about facts that no test question asks for; for settings, prompt formats
            and practice.
        num_updates: facts changed to see what a change takes; 0 = none.
        num_unservable: most questions of each kind that a look-up cannot serve (see `asked`), made of the facts.
        sizes: numbers of facts at which times are measured (see `sizes`), ascending.
        max_new_tokens: longest answer.
        batch_size: questions in one call of a system.

    Raises:
        ValueError: an unknown system, no seed, or a number out of range.
    """

    systems: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    budget_minutes: float | None = None
    num_dev: int = 40
    num_updates: int = 20
    num_unservable: int = 20
    sizes: tuple[int, ...] = ()
    max_new_tokens: int = 32
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in self.systems:
            if name not in SYSTEMS:
                make_system(name, _no_lm)  # raises, and names the closest one
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.budget_minutes is not None and self.budget_minutes <= 0:
            raise ValueError(f"budget_minutes must be above 0, got {self.budget_minutes}")
        if not self.systems or not self.seeds:
            raise ValueError("name at least one system and one seed")
        if len(set(self.systems)) < len(self.systems) or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a system or a seed is named twice")
        if list(self.sizes) != sorted(set(self.sizes)) or (self.sizes and self.sizes[0] < 1):
            raise ValueError(f"sizes must ascend from 1 or more, got {','.join(map(str, self.sizes))}")


@dataclass(frozen=True)
class Corpus:
    """What all systems are given.

    Attributes:
        facts: a frame in `FACT_SCHEMA`.
        test: questions, a frame in `QUESTION_SCHEMA`.
        dev: development questions, none about a fact of `test`.
        probes: what must not change.
        unservable: questions that a look-up cannot serve, in `ASKED_SCHEMA`, none about a fact of `dev`.
    """

    facts: pl.DataFrame
    test: pl.DataFrame
    dev: pl.DataFrame
    probes: Probes
    unservable: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ASKED_SCHEMA))


@dataclass
class Part:
    """One system with one seed.

    Attributes:
        system, seed: which.
        prompt_format: the one chosen, for a system that shows text.
        setting: the one chosen, of those in the `sweep` of the first seed.
        sweep: every setting and format tried, with its exact match on the development questions and its seconds; none
            of another seed than the first.
        train_limit_s: seconds that a trained system was trained for at most; None = as long as its recipe says.
        tune_s, build_s: seconds of tuning, and of taking in the facts with the setting chosen.
        size_bytes: kept to answer, the LLM's own aside.
        stateless_exact_match: of its stateless self, on the test questions (see `stateless`).
        history: what a system noted of its training or practice.
        forgetting, update: see there; what a change takes is seen with the first seed.
    """

    system: str
    seed: int
    prompt_format: str | None = None
    setting: dict[str, object] = field(default_factory=dict)
    sweep: list[dict[str, object]] = field(default_factory=list)
    train_limit_s: float | None = None
    tune_s: float = 0.0
    build_s: float = 0.0
    size_bytes: int = 0
    stateless_exact_match: float | None = None
    history: object = None
    forgetting: Forgetting | None = None
    update: UpdateCost | None = None


def limit_answers(system: System, config: CompareConfig) -> None:
    """Set the longest answer of a system that has one, and on a GPU how many prompts its LLM reads at once.

    On a CPU more prompts at once take no less time, and all of them wait for the longest answer.
    """
    if hasattr(system, "max_new_tokens"):
        system.max_new_tokens = config.max_new_tokens
    lm: FrozenLM | None = getattr(system, "lm", None)
    if lm is not None and lm.device.type == "cuda" and hasattr(system, "batch_size"):
        system.batch_size = config.batch_size


def _no_lm() -> FrozenLM:
    raise AssertionError("an unknown system has no LLM")
