"""Arms side by side: which format is used, the paired difference, and when a target counts as reached."""

from collections.abc import Sequence

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.metrics import Interval
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.studies.arms import (
    allow_answers,
    arm_scores,
    differences,
    formats_named,
    gap_text,
    is_reached,
    markdown_table,
    run_arms,
    score_text,
)
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.protocol import Answer


def asked(count: int, *, prefix: str = "q") -> pl.DataFrame:
    """Questions whose right answer is `yes`, about facts of their own."""
    rows = [
        {"question": f"{prefix}{i}", "answers": ["yes"], "fact_id": f"{prefix}{i}", "tags": []} for i in range(count)
    ]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


class Fixed:
    """Answers the first `num_right` questions right, by their number."""

    def __init__(self, num_right: int) -> None:
        self.num_right = num_right

    def ingest(self, facts: pl.DataFrame) -> None:
        """Not used."""

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """`yes` for the first ones."""
        texts = ["yes" if int(q[1:]) < self.num_right else "no" for q in questions]
        return [Answer(text, 1.0, [], 0, 1, 2.0) for text in texts]


def test_arms_are_paired_question_by_question() -> None:
    predictions = run_arms({"ours": Fixed(9), "other": Fixed(5)}, asked(10), dev=asked(1), batch_size=3)
    assert predictions["arm"].to_list() == ["ours"] * 10 + ["other"] * 10
    assert predictions["question"].to_list() == asked(10)["question"].to_list() * 2
    scores = {row["arm"]: row for row in arm_scores(predictions)}
    assert (scores["ours"]["exact_match"], scores["other"]["exact_match"]) == (0.9, 0.5)
    (gap,) = differences(predictions, arm="ours", others=("other",))
    assert gap["difference"] == 0.4
    assert gap["interval"][0] > 0 and gap["is_reached"]
    (gap,) = differences(predictions, arm="other", others=("ours",))
    assert gap["difference"] == -0.4 and not gap["is_reached"]


@pytest.mark.parametrize(
    ("gap", "baseline", "wanted"),
    [
        (Interval(0.1, 0.01, 0.2), 0.5, True),
        (Interval(0.1, 0.0, 0.2), 0.5, False),
        (Interval(-0.01, -0.03, 0.01), 0.96, True),
        (Interval(-0.02, -0.03, 0.01), 0.96, False),
        (Interval(-0.01, -0.03, 0.01), 0.95, False),
    ],
)
def test_reached_is_ahead_or_as_good_as_a_high_baseline(gap: Interval, baseline: float, wanted: bool) -> None:
    assert is_reached(gap, baseline=baseline) == wanted


def test_a_prompted_arm_tells_its_format(tiny_frozen_lm) -> None:  # noqa: ANN001 - a fixture's factory
    lm: FrozenLM = tiny_frozen_lm("llama")
    system = ClosedBook(lm)
    arms = {"closed_book": system, "fixed": Fixed(1)}
    assert allow_answers(arms, asked(2), lm=lm) == len(lm.encode([" yes"])[0]) + 2 == system.max_new_tokens
    predictions = run_arms(arms, asked(2), dev=asked(4, prefix="d"), formats=formats_named("plain-2"))
    assert predictions["prompt_format"].to_list() == ["plain-2"] * 2 + [None] * 2
    assert score_text(arm_scores(predictions)[0]).endswith(" (plain-2)")


def test_an_unknown_format_is_named() -> None:
    assert [f.name for f in formats_named("chat-5,plain-0")] == ["chat-5", "plain-0"]
    with pytest.raises(ValueError, match="no prompt format is called 'plain-3'"):
        formats_named("plain-0,plain-3")


def test_tables_are_markdown() -> None:
    gap = {"difference": 0.1, "interval": [-0.05, 0.25], "is_reached": False}
    text = markdown_table(["set", "gap"], [["a", gap_text(gap)]])
    assert text == "| set | gap |\n| --- | --- |\n| a | +0.100 [-0.050, +0.250] no |"
