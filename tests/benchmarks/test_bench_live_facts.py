"""The benchmark of ten times as many facts: what is drawn, and the paired comparison, on a tiny random model."""

import json
import runpy
from pathlib import Path

import pytest

from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_live_facts.py"))
RECORDS = [
    {"subject": f"Tower {i // 2}", "subject_id": f"t{i}", "relation": relation, "object": f"{relation[0]}{i}"}
    for i in range(20)
    for relation in ("height", "colour")
] + [{"subject": f"Keep {i}", "relation": "height", "object": str(i)} for i in range(40)]


def args(*options: str):  # noqa: ANN201
    """The parsed options with small numbers."""
    return SCRIPT["parse_args"](["--few", "30", "--many", "60", "--num-questions", "5", *options])


def test_questions_ask_for_the_few_and_have_one_answer_among_the_many() -> None:
    few, others, questions = SCRIPT["draw"](facts_from_records(RECORDS), args=args())
    assert few.height <= 30 < few.height + others.height <= 60
    assert not set(few["subject_id"]) & set(others["subject_id"])
    assert set(questions) == {"trained", "heldout"}
    assert questions["trained"]["fact_id"].to_list() == questions["heldout"]["fact_id"].to_list()
    asked = few.filter(few["fact_id"].is_in(questions["trained"]["fact_id"].implode()))
    assert asked.height == 5 and asked["subject"].str.starts_with("Keep").all(), "each Tower has a namesake"


def test_the_same_questions_are_asked_with_few_and_with_many(tiny_frozen_lm, capsys: pytest.CaptureFixture) -> None:  # noqa: ANN001
    lm = tiny_frozen_lm("llama")
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    predictions = SCRIPT["run"](memory, facts_from_records(RECORDS), args=args())
    assert predictions["num_facts"].unique().len() == 2 and predictions.height == 2 * 2 * 5
    rows = SCRIPT["compare"](predictions)
    assert [(row["phrasing"], row["num_questions"]) for row in rows] == [("trained", 5), ("heldout", 5)]
    assert len(SCRIPT["table"](rows).splitlines()) == 4
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3


def test_few_must_be_fewer_than_many() -> None:
    with pytest.raises(SystemExit):
        args("--few", "60")
