"""What a change of facts takes: seconds until the changed facts are answered, and what else moved.

In: a system with its facts, its answers to the test questions. Out: `UpdateCost`. The system is left with the changes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import torch

from widedeep_kb.metrics import bootstrap_interval, clean_prediction, exact_match
from widedeep_kb.schema import facts_from_records
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.protocol import System, Updatable
from widedeep_kb.systems.tuning import renew_contexts

_NUM_OTHERS = 100  # questions about facts that were not changed


@dataclass(frozen=True)
class UpdateCost:
    """What a change took.

    Attributes:
        num_changed: facts whose value was changed, each to the value of another fact of its relation.
        is_whole: all facts were taken in again, because the system knows no other way.
        seconds: of taking in the change, by a system that was answering questions just before; the GPU is waited for.
        answer_ms: of the first answer behind it, to a question that was asked before the change as well.
        share_right: of the questions about changed facts, that got the new value (exact match).
        share_stale: that still got the former one.
        num_others, share_moved: questions that no changed fact answers, drawn from all of them, and the share of their
            answers that changed; both times they are asked in the same batches.
        moved_interval: its 95 % interval.
    """

    num_changed: int
    is_whole: bool
    seconds: float
    answer_ms: float
    share_right: float
    share_stale: float
    num_others: int
    share_moved: float | None
    moved_interval: tuple[float, float] | None


def update_cost(
    system: System, facts: pl.DataFrame, questions: pl.DataFrame, answers: pl.DataFrame, *, num_changed: int, seed: int
) -> UpdateCost | None:
    """Change facts that are asked for, and ask again; None where no fact that is asked for can be changed.

    Args:
        system: has `facts`.
        facts: a frame in `FACT_SCHEMA`.
        questions: in `QUESTION_SCHEMA`.
        answers: the system's to those that may be asked again to see what else moved, in `PREDICTION_SCHEMA`.
        num_changed: at most so many.
        seed: of the choice.
    """
    changed, former_ids = draw_changes(facts, questions, num_changed=num_changed, seed=seed)
    if changed.is_empty():
        return None
    new_values = dict(zip(former_ids, changed["object"].to_list(), strict=True))
    is_about = pl.col("fact_id").is_in(former_ids)
    asked = questions.filter(is_about).unique("fact_id", keep="first", maintain_order=True)
    others = _others(answers.select(*questions.columns), former_ids, seed=seed)
    before = predict(system, others) if others.height else None
    first, is_whole = asked["question"].to_list()[:1], not isinstance(system, Updatable)
    system.generate(first)  # what is made on a first question of its size is there
    if is_whole:
        whole = pl.concat([facts.filter(~is_about), changed])
        seconds = _seconds(lambda: (system.ingest(whole), renew_contexts(system)))
    else:
        seconds = _seconds(lambda: system.update(changed))
    answer_ms = 1000 * _seconds(lambda: system.generate(first))
    given = asked.with_columns(answers=pl.col("fact_id").replace_strict(new_values).reshape((-1, 1)).arr.to_list())
    told = predict(system, given)
    stale = _share_stale(told, asked)
    moved = None if before is None else bootstrap_interval(_moved(before, predict(system, others)))
    return UpdateCost(
        num_changed=changed.height,
        is_whole=is_whole,
        seconds=round(seconds, 4),
        answer_ms=round(answer_ms, 3),
        share_right=float(told["exact_match"].mean()),
        share_stale=stale,
        num_others=others.height,
        share_moved=None if moved is None else moved.mean,
        moved_interval=None if moved is None else (moved.low, moved.high),
    )


def draw_changes(
    facts: pl.DataFrame, questions: pl.DataFrame, *, num_changed: int, seed: int
) -> tuple[pl.DataFrame, list[str]]:
    """Facts asked for, with the value of another fact of their relation that no answer to their question has.

    Only facts that are the one value of their property are changed.

    Returns:
        The changed facts, a frame in `FACT_SCHEMA`, and the ids of the facts in whose place they are.
    """
    rng = random.Random(seed)
    single = facts.filter(pl.len().over("subject_id", "relation") == 1)
    accepted = dict(questions.drop_nulls("fact_id").select("fact_id", "answers").iter_rows())
    asked = single.filter(pl.col("fact_id").is_in(list(accepted)))
    values = {
        relation: sorted(part["object"].unique().to_list())
        for (relation,), part in facts.select("relation", "object").group_by("relation")
    }
    records, former = [], []
    for fact in asked.sample(fraction=1.0, shuffle=True, seed=seed).iter_rows(named=True):
        taken = {text.casefold() for text in [*accepted[fact["fact_id"]], fact["object"]]}
        free = [value for value in values[fact["relation"]] if value.casefold() not in taken]
        if free and len(records) < num_changed:
            former.append(fact["fact_id"])
            kept = {name: fact[name] for name in fact if name not in ("fact_id", "statement", "object_aliases")}
            records.append({**kept, "object": rng.choice(free)})
    return facts_from_records(records) if records else facts.clear(), former


def _others(questions: pl.DataFrame, changed_ids: list[str], *, seed: int) -> pl.DataFrame:
    """At most `_NUM_OTHERS` questions, drawn from those that no changed fact answers, alone or with others."""
    is_about = pl.col("fact_id").str.split(" ").list.eval(pl.element().is_in(changed_ids)).list.any()
    others = questions.filter(~is_about.fill_null(value=False))
    return others.sample(min(_NUM_OTHERS, others.height), shuffle=True, seed=seed)


def _seconds(act: Callable[[], object]) -> float:
    """Seconds that something takes, until the GPU is done with it."""
    _finish()
    began = time.perf_counter()
    act()
    _finish()
    return time.perf_counter() - began


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _share_stale(told: pl.DataFrame, asked: pl.DataFrame) -> float:
    """Share of answers that match the former values."""
    right = [
        exact_match(text, answers) for text, answers in zip(told["prediction"], asked["answers"].to_list(), strict=True)
    ]
    return sum(right) / len(right)


def _moved(before: pl.DataFrame, after: pl.DataFrame) -> list[float]:
    pairs = zip(before["prediction"], after["prediction"], strict=True)
    return [float(clean_prediction(one) != clean_prediction(other)) for one, other in pairs]
