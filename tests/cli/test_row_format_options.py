"""`--row-format`, `rewrite`, and what `stats` and `fit` say of a format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outcomes import Disk, Run, contents, error_line


def stats(run: Run, memory: Path) -> dict:
    """What `stats --json` prints."""
    return json.loads(run("stats", "--memory", memory, "--json").out)


@pytest.mark.parametrize("row_format", ["fp32", "int4", "compact"])
def test_a_new_memory_in_a_format(run: Run, disk: Disk, tmp_path: Path, row_format: str) -> None:
    facts = tmp_path / "facts.csv"
    facts.write_text("subject,relation,object\nAurora,port,8443\n")
    start = ("write", "--memory", tmp_path / "m", "--facts", facts, "--llm", disk.llm, "--reader", disk.reader)
    assert run(*start, "--row-format", row_format).code == 0
    figures = stats(run, tmp_path / "m")
    row_bytes = {"fp32": 4 * 256, "int4": 128 + 8 * 4, "compact": 8 + 4 + 2 * 11 + 2}[row_format]
    assert (figures["row_format"], figures["row_bytes_per_fact"]) == (row_format, row_bytes * figures["rows"])
    assert "8443" in run("ask", "--memory", tmp_path / "m", "--json", "The port of Aurora is").out
    before = contents(tmp_path / "m")
    line = error_line(run("write", "--memory", tmp_path / "m", "--facts", facts, "--row-format", "bf16"))
    assert f"stores its rows as {row_format}, not as bf16: `widedeep-kb rewrite" in line
    assert contents(tmp_path / "m") == before


def test_rewrite(run: Run, memory: Path) -> None:
    assert stats(run, memory)["row_format"] == "fp16"
    result = run("rewrite", "--memory", memory, "--row-format", "compact")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == ["4 rows of 36 bytes, stored as compact (before: fp16)"]
    assert stats(run, memory)["row_format"] == "compact"
    result = run("rewrite", "--memory", memory, "--row-format", "fp32")
    assert (
        result.out.splitlines()[0] == "note: rows were stored as compact: fp32 does not bring back what that left out"
    )
    assert stats(run, memory)["row_format"] == "fp32"


def test_packed_rows_are_not_trained(run: Run, memory: Path, tmp_path: Path, disk: Disk) -> None:
    assert run("rewrite", "--memory", memory, "--row-format", "int8").code == 0
    before, facts = contents(memory), tmp_path / "facts.csv"
    facts.write_text("subject,relation,object\nAurora,port,1\n")
    wanted = "rows stored as int8 cannot be trained"
    for words in (
        ("refine", "--memory", memory, "--facts", facts),
        ("fit", "--memory", memory, "--output", memory, "--fit.steps", "1"),
    ):
        line = error_line(run(*words))
        assert wanted in line and "widedeep-kb rewrite --memory DIR --row-format" in line
    assert contents(memory) == before
    result = run("fit", "--facts", facts, "--output", tmp_path / "new", "--row_format", "int8", "--llm", disk.llm)
    assert result.code != 0 and wanted in result.err and not (tmp_path / "new").exists()
