"""`--abstain`: doubtful answers are "unknown", what cannot be judged is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from outcomes import Disk, Run

from widedeep_kb.answers import MemoryAnswer
from widedeep_kb.cli.calibrate import choose_thresholds
from widedeep_kb.memory.config import read_config
from widedeep_kb.memory.reader import Reader
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.fit_gate import replace_part

ASKED = ("Which port does Aurora use?", "--max-new-tokens", "3")


def calibrate(memory: Path, threshold: float) -> None:
    """Give the reader of a memory folder a calibration that answers 0.5 to everything."""
    folder = read_config(memory).snapshot / "reader"
    calibration = Reader.load(folder).calibration
    calibration.weight.fill_(1e-12)
    calibration.thresholds.fill_(threshold)
    replace_part(folder, "calibration", calibration)


@pytest.mark.parametrize(("threshold", "is_unknown"), [(0.4, False), (0.6, True)])
def test_ask_says_unknown_and_keeps_the_evidence(run: Run, memory: Path, threshold: float, is_unknown: bool) -> None:
    calibrate(memory, threshold)
    plain = json.loads(run("ask", "--memory", memory, *ASKED, "--json").out)
    answer = json.loads(run("ask", "--memory", memory, *ASKED, "--json", "--abstain").out)
    assert answer["confidence"] == plain["confidence"] == pytest.approx(0.5, abs=1e-6)
    assert answer["evidence"] == plain["evidence"]
    assert ("abstained" in answer, answer["text"] == "unknown") == (is_unknown, is_unknown)
    assert "abstained" not in plain
    printed = run("ask", "--memory", memory, *ASKED, "--abstain", "0.9").out
    assert printed.startswith("unknown\n") == is_unknown


def test_a_memory_without_calibration_cannot_abstain(run: Run, disk: Disk) -> None:
    result = run("ask", "--memory", disk.memory, *ASKED, "--abstain")
    assert result.code == 1 and result.out == ""
    assert "no calibration" in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("word", ["0", "1", "-0.5", "nan", "95", "high"])
def test_what_is_no_precision_is_a_mistake_on_the_command_line(run: Run, disk: Disk, word: str) -> None:
    result = run("ask", "--memory", disk.memory, *ASKED, f"--abstain={word}")
    assert result.code == 2
    assert f"'{word}' is not a precision" in result.err


def test_a_precision_out_of_reach_is_named(run: Run, memory: Path) -> None:
    calibrate(memory, torch.inf)
    assert "reaches a precision of answering of 0.97" in run("ask", "--memory", memory, *ASKED, "--abstain", "0.97").err


def test_evaluate_scores_what_is_answered(run: Run, memory: Path, tmp_path: Path) -> None:
    calibrate(memory, 0.6)
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": ASKED[0], "answers": ["8443"]}))
    scored = ["evaluate", "--questions", questions, "--output", tmp_path / "out.parquet"]
    summary = json.loads(run(*scored, "--memory", memory, "--abstain").out.splitlines()[-1])
    assert (summary["share_answered"], summary["precision"], summary["exact_match"]) == (0.0, None, 0.0)
    (row,) = pl.read_parquet(tmp_path / "out.parquet").to_dicts()
    assert (row["prediction"], row["is_abstained"]) == ("unknown", True)
    assert "share_answered" not in json.loads(run(*scored, "--memory", memory).out.splitlines()[-1])
    assert "--abstain goes with --memory" in run(*scored, "--system", "lookup", "--facts", questions, "--abstain").err


def test_calibrate_chooses_the_thresholds_that_ones_own_questions_ask_for(
    run: Run, memory: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [{"question": f"Which port does Aurora use? {i}", "answers": ["unknown"]} for i in range(100)]
    questions.write_text("\n".join(map(json.dumps, rows[:99])))
    words = ["calibrate", "--memory", memory, "--questions", questions]
    assert "99 questions, at least 100 are needed" in run(*words).err
    questions.write_text("\n".join(map(json.dumps, rows)))
    assert "no calibration" in run(*words).err
    calibrate(memory, 0.4)
    result = run(*words)
    assert result.code == 0
    found = json.loads(result.out.splitlines()[-1])
    assert (found["num_questions"], found["exact_match"]) == (100, 0.0)
    assert found["expected_calibration_error"] == pytest.approx(0.5, abs=1e-3)
    assert set(found["share_answered"].values()) == {None}
    assert "no threshold of this reader" in run("ask", "--memory", memory, *ASKED, "--abstain").err


def test_thresholds_follow_the_answers(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = KnowledgeMemory.from_pretrained(memory)
    opened.reader.calibration.weight.fill_(1e-12)
    confidences = [i / 100 for i in range(100)]
    answers = [MemoryAnswer("yes" if c >= 0.6 else "no", c, (), 1, 1, 1.0) for c in confidences]
    monkeypatch.setattr(opened, "ask_many", lambda _texts: answers)
    questions = pl.DataFrame({"question": ["?"] * 100, "answers": [["yes"]] * 100})
    found = choose_thresholds(opened, questions)
    assert found["exact_match"] == pytest.approx(0.4)
    assert found["share_answered"]["0.99"] == pytest.approx(0.4)
    assert found["share_answered"]["0.5"] == pytest.approx(0.8)
    assert opened.reader.calibration.threshold_for(0.5) == pytest.approx(0.2)
