"""Times of answers in turns: which calls count, how a way of generation reaches a system, and the table."""

from __future__ import annotations

import argparse
import json
import runpy
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from widedeep_kb.systems.protocol import Answer

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The benchmark, which takes files and options from another one beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return runpy.run_path(str(BENCHMARKS / "bench_answer_times.py"))


class Scripted:
    """A system that notes how it was asked, and is right in the way of generation named."""

    def __init__(self, right_by: str) -> None:
        self.lm, self.memory = SimpleNamespace(generation="transformers"), SimpleNamespace(generation="auto")
        self.right_by, self.asked = right_by, []

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        self.asked.append((self.lm.generation, self.memory.generation, len(questions)))
        text = "teal" if self.lm.generation == self.right_by else "?"
        return [Answer(text, None, [], 1, 1, 1.0) for _ in questions]


def test_all_are_asked_in_turn_and_the_first_two_runs_do_not_count(script: dict) -> None:
    systems = {"one": Scripted("cuda_graph"), "two": Scripted("transformers")}
    frame = pl.DataFrame({"question": ["q"] * 3, "answers": [["teal"]] * 3})
    args = argparse.Namespace(runs=1, ways=["transformers", "steps"], systems=["one", "two"])
    calls = list(script["in_turns"](systems, [frame[:1], frame], args=args))
    expected = [(way, way, size) for size in (1, 3) for way in ("transformers", "cuda_graph")] * 3
    assert systems["one"].asked == systems["two"].asked == expected
    assert [call[:3] for call in calls] == [
        (name, way, size) for size in (1, 3) for name in ("one", "two") for way in ("transformers", "steps")
    ]
    assert [call[4] for call in calls[:4]] == [[False], [True], [True], [False]]


def test_the_table_has_medians_and_ratios_call_by_call(script: dict) -> None:
    args = argparse.Namespace(ways=["transformers"], systems=["one", "two"])
    times = {"one": (10.0, 20.0, 40.0), "two": (10.0, 10.0, 60.0)}
    calls = [(name, "transformers", 1, own[i], [name == "one"]) for i in range(3) for name, own in times.items()]
    *_, one, two = script["table"](calls, args=args).strip().splitlines()
    assert one == "| one | transformers | 1.000 | 20.00 | 1.000 |"
    assert two == "| two | transformers | 0.000 | 10.00 | 1.000 |"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "lookup"], "holds no 'lookup'; it holds wide"),
        (["--num-facts", "11"], "no comparison at"),
        (["--runs", "0"], "--runs must be at least 1"),
    ],
)
def test_what_cannot_be_timed_is_refused_before_anything_is_loaded(
    script: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    folder = tmp_path / "made-10"
    folder.mkdir()
    (folder / "parts.json").write_text(json.dumps([{"system": "wide", "seed": 0}]))
    fixed = ["--data-dir=x", "--output=x", f"--results={tmp_path}", "--corpus=made", "--num-facts=10", "--systems=wide"]
    assert script["parse_args"](fixed).chosen == {"wide": {"system": "wide", "seed": 0}}
    with pytest.raises(SystemExit, match="2"):
        script["parse_args"]([*fixed, *words])
    assert message in capsys.readouterr().err.splitlines()[-1]
