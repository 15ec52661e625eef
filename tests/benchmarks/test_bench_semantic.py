"""The benchmarks of the semantic fallback on a domain of made-up names, from reading to the tables."""

from __future__ import annotations

import json
import random
import runpy
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.sources.questions import TEMPLATE_SCHEMA
from widedeep_kb.tables import write_table

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A domain of 60 subjects in `gapminder/`, and two sets of questions about nothing in it."""
    rng = random.Random(0)
    names = [
        "".join(rng.choice("bdfglmnprstvz") + rng.choice("aeiou") for _ in range(5)).capitalize() for _ in range(60)
    ]
    facts = facts_from_records(
        [{"subject": name, "relation": "mayor", "object": f"M{i}"} for i, name in enumerate(names)]
    )
    questions = pl.DataFrame(
        {
            "question": [f"Who runs {name}?" for name in names],
            "answers": [[f"M{i}"] for i in range(60)],
            "fact_id": facts["fact_id"],
            "tags": [["mayor"]] * 60,
        },
        schema=QUESTION_SCHEMA,
    )
    (tmp_path / "gapminder").mkdir()
    write_table(facts, tmp_path / "gapminder" / "facts.parquet")
    write_table(questions, tmp_path / "gapminder" / "questions.parquet")
    write_table(pl.DataFrame(schema=TEMPLATE_SCHEMA), tmp_path / "gapminder" / "templates.parquet")
    for name in ("nq_open", "entityquestions"):
        (tmp_path / name).mkdir()
        write_table(pl.DataFrame({"question": ["who painted it", "where is it"]}), tmp_path / name / "dev.parquet")
    return tmp_path


def test_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(BENCHMARKS / "bench_semantic.py"))
    words = ["--data-dir", folder, "--public-dir", folder, "--corpora", "gapminder"]
    script["main"]([str(word) for word in words])
    lines = capsys.readouterr().out.splitlines()
    rows = {row["kind"]: row for row in map(json.loads, (line for line in lines if '"kind"' in line))}
    assert rows["one typing error"]["num_questions"] == 30
    assert rows["one typing error"]["exact_right"] == 0.0 < 0.8 < rows["one typing error"]["with_guesses_right"]
    assert rows["NQ-open"]["guesses"] == 0.0 and rows["NQ-open"]["num_questions"] == 2
    assert rows["the same, of subjects not stored"]["num_questions"] == 30
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(rows) and {line.count("|") for line in table} == {8}


def test_index(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(str(BENCHMARKS / "bench_semantic_index.py"))
    words = ["--data-dir", folder, "--corpora", "gapminder", "--num-names", "60", "200", "--num-queries", "32"]
    script["main"]([*map(str, words), "--repeats", "2"])
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in lines if '"searched"' in line]
    assert [row["names"] for row in rows if row["device"] == "cpu"] == [60, 200]
    assert all(row["wanted_among_candidates"] > 0.9 and row["largest_error"] < 2e-3 for row in rows)
    assert lines[-1].startswith("| 200 | all, ")
