"""What a change takes: which questions are asked again, that both times are alike, and that the clock starts warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.studies.updates import _others, update_cost
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.prompts import Context, Shot
from widedeep_kb.systems.protocol import Answer


def facts_of(num_facts: int) -> pl.DataFrame:
    """Facts of one relation, each with a value of its own."""
    return facts_from_records(
        [{"subject": f"Town {i}", "relation": "mayor", "object": f"Ann {i}"} for i in range(num_facts)]
    )


def questions_of(facts: pl.DataFrame) -> pl.DataFrame:
    """A question about each fact."""
    rows = [
        {
            "question": f"Who is the mayor of {r['subject']}?",
            "answers": [r["object"]],
            "fact_id": r["fact_id"],
            "tags": [],
        }
        for r in facts.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


class Rounding:
    """A system whose answer depends on its batch, and that is slow the first time it sees a batch of some size."""

    def __init__(self) -> None:
        self.sizes: set[int] = set()
        self.num_updates = 0

    def ingest(self, facts: pl.DataFrame) -> None:
        """Nothing to do."""

    def update(self, facts: pl.DataFrame) -> None:
        """Note that there was one."""
        self.num_updates += 1

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """The number of questions."""
        if len(questions) not in self.sizes:
            time.sleep(0.3)
        self.sizes.add(len(questions))
        return [Answer(str(len(questions)), None, [], 1, 1, 1.0) for _ in questions]

    def loglikelihood(self, questions: Sequence[str], continuations: Sequence[str]) -> list[float]:
        """Never asked."""
        raise AssertionError(questions)

    def size_bytes(self) -> int:
        """None."""
        return 0


def test_what_moved_and_how_long_it_took_do_not_depend_on_batches_or_a_cold_start() -> None:
    facts, system = facts_of(12), Rounding()
    questions = questions_of(facts)
    answers = predict(system, questions, batch_size=5)
    cost = update_cost(system, facts, questions, answers, num_changed=4, seed=0)
    assert system.num_updates == 1 and not cost.is_whole
    assert (cost.num_changed, cost.num_others, cost.share_moved) == (4, 8, 0.0)
    assert cost.answer_ms < 200 and cost.seconds < 0.2


class Building(ClosedBook):
    """A stand-in that takes in everything anew, and shows how often it has."""

    num_builds = 0

    def ingest(self, facts: pl.DataFrame) -> None:
        self.num_builds += 1

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        return [Context((f"Build {self.num_builds}.",))] * len(questions)

    def generate(self, questions: Sequence[str], **_options: object) -> list[Answer]:
        return [Answer("", None, [], 1, 1, 1.0) for _ in questions]


def test_worked_examples_show_what_is_so_after_the_change(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    facts, system = facts_of(6), Building(tiny_frozen_lm("llama"))
    questions = questions_of(facts)
    system.ingest(facts)
    system.shots = system.with_contexts([Shot("Who?", "Ann")])
    assert update_cost(system, facts, questions, predict(system, questions), num_changed=2, seed=0).is_whole
    assert [shot.context.statements for shot in system.shots] == [("Build 2.",)]


def test_questions_that_a_changed_fact_helps_to_answer_are_no_others() -> None:
    facts = facts_of(300)
    ids = facts["fact_id"].to_list()
    questions = questions_of(facts)
    both = questions.head(1).with_columns(question=pl.lit("Who, of both?"), fact_id=pl.lit(f"{ids[5]} {ids[0]}"))
    apart = questions.head(1).with_columns(question=pl.lit("Who, of others?"), fact_id=pl.lit(f"{ids[5]} {ids[6]}"))
    unknown = questions.head(1).with_columns(question=pl.lit("Who?"), fact_id=pl.lit(None, dtype=pl.String))
    few = _others(pl.concat([questions.head(3), both, apart, unknown]), ids[:2], seed=0)
    assert sorted(few["question"]) == ["Who is the mayor of Town 2?", "Who, of others?", "Who?"]
    drawn = [_others(questions, ids[:2], seed=seed)["question"].to_list() for seed in (0, 0, 1)]
    assert len(set(drawn[0])) == 100 and drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) != sorted(questions["question"].to_list()[2:102])  # not the first ones
