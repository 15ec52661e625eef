"""`compare` from the command line: files, going on, the page, and mistakes in one line."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from outcomes import Disk, Run

SUBJECTS = ("Zorvania", "Quillfax", "Brontel", "Mirabix", "Tessaly", "Ophandor", "Calidrex", "Vantoria")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Facts and questions of eight subjects."""
    rows = [
        f"{s},{r},{r[:2].upper()}-{i}" for i, s in enumerate(SUBJECTS) for r in ("area code", "pin code", "zip code")
    ]
    (tmp_path / "facts.csv").write_text("subject,relation,object\n" + "\n".join(rows) + "\n")
    questions = [{"question": f"What is the area code of {s}?", "answers": [f"AR-{i}"]} for i, s in enumerate(SUBJECTS)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, questions)))
    return tmp_path / "facts.csv", tmp_path / "questions.jsonl"


class Tags(HTMLParser):
    """Tags and links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def test_a_comparison_is_written_and_gone_on_with(
    run: Run, disk: Disk, files: tuple[Path, Path], tmp_path: Path
) -> None:
    facts, questions = files
    words = ["compare", "--facts", facts, "--questions", questions, "--output", tmp_path / "c", "--llm", disk.llm]
    words += ["--num-dev", 0, "--num-updates", 0, "--max-new-tokens", 4]
    first = run(*words, "--systems", "lookup")
    assert first.code == 0, first.err
    second = run(*words, "--systems", "closed_book,lookup", "--unrelated", questions)
    assert second.code == 1 and "its probes differ" in second.err
    second = run(*words, "--systems", "closed_book,lookup")
    assert second.code == 0 and "lookup, seed 0: there already" in second.err
    assert json.loads(second.out.splitlines()[-1])["exact_match"]["lookup"] == 1.0
    predictions = pl.read_parquet(tmp_path / "c" / "predictions.parquet")
    assert predictions.height == 2 * len(SUBJECTS)
    metrics = json.loads((tmp_path / "c" / "metrics.json").read_text())
    assert (
        metrics["systems"]["lookup"]["gain"]["gain"]
        == 1.0 - metrics["systems"]["closed_book"]["overall"]["exact_match"]
    )
    tags = Tags()
    tags.feed((tmp_path / "c" / "report.html").read_text())
    assert "svg" in tags.tags and "table" in tags.tags and "script" not in tags.tags
    assert all(link.startswith("#") for link in tags.links)  # nothing outside the page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "lokup"], "did you mean 'lookup'"),
        (["--seeds", "0,x"], "'x'"),
        (["--budget-minutes", "0"], "budget_minutes must be above 0"),
        (["--systems", ""], "at least one system"),
    ],
)
def test_mistakes_are_told_in_one_line_before_anything_is_made(
    run: Run, files: tuple[Path, Path], tmp_path: Path, words: list[str], message: str
) -> None:
    facts, questions = files
    result = run("compare", "--facts", facts, "--questions", questions, "--output", tmp_path / "c", *words)
    assert result.code != 0 and message in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_a_folder_of_something_else_is_left_alone(
    run: Run, disk: Disk, files: tuple[Path, Path], tmp_path: Path
) -> None:
    facts, questions = files
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "notes.txt").write_text("mine")
    result = run("compare", "--facts", facts, "--questions", questions, "--output", tmp_path / "c", "--llm", disk.llm)
    assert result.code == 1 and "holds no comparison" in result.err
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["notes.txt"]
