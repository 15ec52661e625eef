"""Finding a prompt format without touching the test."""

from collections.abc import Sequence

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.systems.oracle import Oracle
from widedeep_kb.systems.prompts import PROMPT_FORMATS, PromptFormat
from widedeep_kb.systems.tuning import make_shots, questions_from_facts, split_questions, tune_format


@pytest.fixture
def dev(facts: pl.DataFrame) -> pl.DataFrame:
    """One question a fact."""
    return questions_from_facts(facts, excluded=[], num_questions=9, seed=0)


def test_questions_from_facts_take_relations_in_turn_and_leave_out_the_excluded(facts: pl.DataFrame) -> None:
    excluded = facts["fact_id"][:3].to_list()
    questions = questions_from_facts(facts, excluded=excluded, num_questions=3, seed=0)
    assert questions.schema == pl.Schema(QUESTION_SCHEMA)
    assert not set(questions["fact_id"]) & set(excluded)
    chosen = facts.filter(pl.col("fact_id").is_in(questions["fact_id"].to_list()))
    assert chosen["relation"].n_unique() == 3
    row = questions.join(facts, on="fact_id").row(0, named=True)
    assert row["question"] == f"What is the {row['relation']} of {row['subject']}?"
    assert row["answers"] == [row["object"]]


def test_a_split_shares_no_fact(dev: pl.DataFrame) -> None:
    doubled = pl.concat([dev, dev.with_columns(question=pl.lit("Another phrasing of ") + pl.col("question"))])
    split = split_questions(doubled, num_dev=4, seed=1)
    assert not set(split.dev["fact_id"]) & set(split.test["fact_id"])
    assert split.dev["fact_id"].n_unique() == split.dev.height == 4
    assert split.test.height == 10
    assert split.dev.equals(split_questions(doubled, num_dev=4, seed=1).dev)


def test_a_split_needs_questions_for_both_sides(dev: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="split 9 development questions off 9"):
        split_questions(dev, num_dev=9, seed=0)


def test_shots_are_answered_by_the_first_accepted_answer(dev: pl.DataFrame) -> None:
    (shot,) = make_shots(dev[:1])
    assert (shot.question, shot.answer, shot.fact_id) == (dev["question"][0], dev["answers"][0][0], dev["fact_id"][0])


def test_the_format_that_answers_best_is_chosen(
    tiny_lm: FrozenLM, facts: pl.DataFrame, dev: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in LLM that copies the last statement's object, but only after two shots of plain text."""

    def generate_texts(prompts: Sequence[str], **options: object) -> list[Generation]:
        copied = [p.rsplit("\nQuestion:", 1)[0].rsplit("is ", 1)[-1].removesuffix(".") for p in prompts]
        good = [p.count("Answer:") == 3 and "<|im_start|>" not in p for p in prompts]
        return [Generation(c if g else "no", 1, 1) for c, g in zip(copied, good, strict=True)]

    monkeypatch.setattr(tiny_lm, "generate_texts", generate_texts)
    system = Oracle(tiny_lm)
    system.ingest(facts.with_columns(statement=pl.lit(None, dtype=pl.String)))
    choice = tune_format(system, dev)
    assert choice.best == system.prompt_format == PromptFormat(2, is_chat=False)
    assert choice.exact_match == {f.name: float(f.name == "plain-2") for f in PROMPT_FORMATS}
    assert choice.num_questions == 4
    assert len(system.shots) == 5
    assert all(shot.context.statements for shot in system.shots)


def test_tuning_needs_more_questions_than_shots(tiny_lm: FrozenLM, facts: pl.DataFrame, dev: pl.DataFrame) -> None:
    system = Oracle(tiny_lm)
    system.ingest(facts)
    with pytest.raises(ValueError, match="5 development questions cannot give 5 shots"):
        tune_format(system, dev[:5])
