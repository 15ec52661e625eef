"""Evaluation: the per-question file and the summary, of a system whose answers are known."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies.evaluate import PREDICTION_SCHEMA, evaluate, summarise
from widedeep_kb.systems.protocol import Answer

QUESTIONS = pl.DataFrame(
    {
        "question": ["a", "b", "c", "d"],
        "answers": [["Paris"], ["42", "43"], ["red"], ["-12.5"]],
        "fact_id": ["f1", None, "f3", "f4"],
        "tags": [["city", "easy"], ["easy"], [], ["number"]],
    },
    schema=QUESTION_SCHEMA,
)
TEXTS = {"a": " Paris.\nQuestion:", "b": "it is 43", "c": "", "d": "125"}


class Scripted:
    """A system that answers from a table and records what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def ingest(self, facts: pl.DataFrame) -> None:
        """Not used."""

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """The scripted answers."""
        self.calls.append(list(questions))
        confidences = {"c": None}
        return [Answer(TEXTS[q], confidences.get(q, 0.5), [f"fact-{q}"], 10 * (q == "a"), 3, 2.0) for q in questions]


class Told(Scripted):
    """The same, but told the facts."""

    is_told = True

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Answers with the fact id."""
        return [Answer(str(f), None, [], 0, 0, 1.0) for f in fact_ids or []]


def test_the_summary_keeps_its_contract(tmp_path: Path) -> None:
    system = Scripted()
    summary = evaluate(system, QUESTIONS, output=tmp_path / "out.parquet", batch_size=3)
    assert system.calls == [["a", "b", "c"], ["d"]]
    assert json.loads(json.dumps(summary)) == {
        "num_questions": 4,
        "exact_match": 0.25,
        "contains": 0.5,
        "f1": pytest.approx((1.0 + 0.5 + 0.0 + 1.0) / 4),
        "ms_per_question": 2.0,
        "prompt_tokens_per_question": 2.5,
        "by_tag": {
            "city": {"num_questions": 1, "exact_match": 1.0, "contains": 1.0, "f1": 1.0},
            "easy": {"num_questions": 2, "exact_match": 0.5, "contains": 1.0, "f1": 0.75},
            "number": {"num_questions": 1, "exact_match": 0.0, "contains": 0.0, "f1": 1.0},
        },
    }


def test_the_file_has_a_row_a_question(tmp_path: Path) -> None:
    evaluate(Scripted(), QUESTIONS, output=tmp_path / "out.parquet")
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame.schema == pl.Schema(PREDICTION_SCHEMA)
    assert frame["question"].to_list() == ["a", "b", "c", "d"]
    assert frame["prediction"].to_list() == list(TEXTS.values())
    assert frame["exact_match"].to_list() == [True, False, False, False]
    assert frame["confidence"].to_list() == [0.5, 0.5, None, 0.5]
    assert frame["evidence"].to_list() == [["fact-a"], ["fact-b"], ["fact-c"], ["fact-d"]]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_only_a_told_system_learns_the_facts() -> None:
    questions = QUESTIONS.with_columns(answers=pl.Series([["f1"], ["x"], ["f3"], ["f4"]]))
    assert evaluate(Told(), questions)["exact_match"] == 0.75


def test_a_failing_system_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    evaluate(Scripted(), QUESTIONS, output=path)
    before = path.read_bytes()
    with pytest.raises(KeyError):
        evaluate(Scripted(), QUESTIONS.with_columns(question=pl.lit("unknown")), output=path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.parquet"]


def test_no_questions_and_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no questions"):
        evaluate(Scripted(), QUESTIONS[:0])
    with pytest.raises(ValueError, match=r"out\.csv: predictions are written to a \.parquet"):
        evaluate(Scripted(), QUESTIONS, output=tmp_path / "out.csv")
    with pytest.raises(ValueError, match="no predictions"):
        summarise(pl.DataFrame(schema=PREDICTION_SCHEMA))


def test_stdout_stays_empty(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Scripted(), QUESTIONS)
    assert capsys.readouterr().out == ""


def test_what_is_not_answered_is_told_apart() -> None:
    class Careful(Scripted):
        def generate(self, questions: Sequence[str]) -> list[Answer]:
            found = super().generate(questions)
            return [replace(a, is_abstained=q in "bc") for q, a in zip(questions, found, strict=True)]

    summary = evaluate(Careful(), QUESTIONS)
    assert (summary["share_answered"], summary["precision"], summary["exact_match"]) == (0.5, 0.5, 0.25)
