"""The benchmark of what a look-up cannot serve: its options, its split and its table."""

import runpy
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import QUESTION_SCHEMA

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_unservable.py"))
OPTIONS = ["--output", "p.parquet", "--data-dir", "data", "--num-questions", "4", "--num-dev", "2"]


def asked(count: int) -> pl.DataFrame:
    """Two questions about each fact."""
    rows = [{"question": f"q{i}", "answers": ["a"], "fact_id": f"f{i // 2}", "tags": []} for i in range(2 * count)]
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)


def test_parts_share_no_fact() -> None:
    pair = SCRIPT["split"](asked(12), SCRIPT["parse_args"](OPTIONS))
    assert (pair.dev.height, pair.test.height) == (2 + SCRIPT["NUM_SHOTS"], 4)
    assert not set(pair.dev["fact_id"]) & set(pair.test["fact_id"])
    with pytest.raises(ValueError, match="cannot split 7 development questions off 7"):
        SCRIPT["split"](asked(7), SCRIPT["parse_args"](OPTIONS))


def test_a_missing_arm_is_an_empty_cell() -> None:
    arms = {"first": ["ours", "oracle", "oracle_continued", "lookup", "lookup_vectors"]}
    arms["second"] = [name for name in arms["first"] if name != "oracle_continued"]
    rows = [
        {
            "set": name,
            "arm": arm,
            "exact_match": arm == "ours",
            "contains": True,
            "prompt_format": None,
            "latency_ms": 1.0,
        }
        for name, names in arms.items()
        for arm in names
        for _ in range(3)
    ]
    header, _, first, second = SCRIPT["table"](
        pl.DataFrame(rows, schema_overrides={"prompt_format": pl.String})
    ).splitlines()
    assert header.count("|") == first.count("|") == second.count("|")
    assert first.split(" | ")[4] == "0.000" and second.split(" | ")[4] == ""
    assert "+1.000 [+1.000, +1.000] yes" in second
