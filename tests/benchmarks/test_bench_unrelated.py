"""The benchmark of silence: its options, its questions and its table."""

import runpy
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.studies.silence import HOLDERS

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_unrelated.py"))


def test_questions_are_all_or_a_seeded_part(tmp_path: Path) -> None:
    path = tmp_path / "dev.parquet"
    pl.DataFrame({"question": [f"q{i}" for i in range(9)], "answer": [[f"a{i}"] for i in range(9)]}).write_parquet(path)
    assert SCRIPT["read_nq_open"](path, num_questions=None, seed=0).columns == ["question", "answers"]
    part = SCRIPT["read_nq_open"](path, num_questions=4, seed=0)
    assert part.height == 4 and part.equals(SCRIPT["read_nq_open"](path, num_questions=4, seed=0))


@pytest.mark.parametrize(("changed", "is_reached"), [(0.009, True), (0.02, False), (None, False)])
def test_the_table_tells_whether_targets_are_reached(changed: float | None, is_reached: bool) -> None:
    shares = {"num_questions": 100, "share_with_hit": 0.6, "share_name_met": 0.8, "share_kept": 0.97}
    scores = {"exact_match_bare": 0.1, "exact_match_memory": 0.098, "difference": -0.002, "interval": [-0.01, 0.0]}
    holders = [{"holder": name, "num_questions": 9, "num_changed": 1, "share_changed": changed} for name in HOLDERS]
    lines = SCRIPT["table"]([shares, scores, *holders]).splitlines()
    assert len(lines) == 2 + 7
    assert lines[2].endswith(">= 0.5: True |") and lines[5].endswith(">= -0.003: True |")
    assert lines[-1].endswith(f"<= 0.01: {is_reached} |")
