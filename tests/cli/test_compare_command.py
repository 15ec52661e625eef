"""`compare` from the command line: files, going on, the page, and mistakes in one line."""

from __future__ import annotations

import argparse
import json
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from outcomes import Disk, Run

from widedeep_kb.cli.compare import config_of, read_corpus, settled
from widedeep_kb.schema import read_facts

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


def test_options_come_from_a_file_and_the_command_line_before_it(
    run: Run, disk: Disk, files: tuple[Path, Path], tmp_path: Path
) -> None:
    facts, questions = files
    lines = [f"facts: {facts}", f"questions: {questions}", f"output: {tmp_path / 'c'}", f"llm: {disk.llm}"]
    lines += ["systems: [lookup, closed_book]", "num_dev: 0", "num-updates: 0", "max_questions: 5", "unrelated: null"]
    (tmp_path / "job.yaml").write_text("\n".join(lines))
    done = run("compare", "--config", tmp_path / "job.yaml", "--systems", "lookup", "--max-questions", 6)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1 and json.loads(done.out)["exact_match"] == {"lookup": 1.0}
    metrics = json.loads((tmp_path / "c" / "metrics.json").read_text())
    assert metrics["num_questions"] == 6 and list(metrics["systems"]) == ["lookup"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("systms: lookup", 2, "--systms"),
        ("num_dev: many", 2, "'many'"),
        ("- lookup", 1, "holds no options"),
        ("a: b: c", 1, "is no YAML file"),
        ("systems: lookup", 2, "are required: --facts, --questions, --output"),
    ],
)
def test_mistakes_in_the_file_are_told_in_one_line(
    run: Run, tmp_path: Path, text: str, code: int, message: str
) -> None:
    (tmp_path / "job.yaml").write_text(text)
    result = run("compare", "--config", tmp_path / "job.yaml")
    assert result.code == code and message in result.err and result.err.count("\n") == 1


def test_the_quickstart_file_is_read(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "configs" / "compare" / "quickstart.yaml"
    args = settled(argparse.Namespace(config=path, output=tmp_path / "c"))
    assert args.output == tmp_path / "c" and args.max_facts == 500 and args.batch_size == 64
    config = config_of(args)
    assert config.systems == ("closed_book", "oracle", "lookup", "key_rag", "bm25", "wide") and not config.sizes


def test_whole_subjects_are_drawn_with_the_questions_about_them(files: tuple[Path, Path], tmp_path: Path) -> None:
    facts, _ = files
    known = read_facts(facts)
    rows = [{"question": f"Code {i}?", "answers": ["x"], "fact_id": one} for i, one in enumerate(known["fact_id"])]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, rows)))
    args = settled(argparse.Namespace(facts=facts, questions=tmp_path / "asked.jsonl", output=tmp_path, max_facts=7))
    corpus = read_corpus(args)
    assert corpus.facts.height == 6 and corpus.facts["subject"].n_unique() == 2  # three facts each
    assert set(corpus.test["fact_id"]) == set(corpus.facts["fact_id"])


def test_sizes_and_what_a_look_up_cannot_serve_are_measured_and_logged_offline(
    run: Run, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    rows = [f"{s},crew,{10 + i}\n{s},motto,Ever onward {'abcdefgh'[i]}" for i, s in enumerate(SUBJECTS)]
    (tmp_path / "facts.csv").write_text("subject,relation,object\n" + "\n".join(rows) + "\n")
    asked = [{"question": f"What is the crew of {s}?", "answers": [str(10 + i)]} for i, s in enumerate(SUBJECTS)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, asked)))
    words = ["compare", "--facts", tmp_path / "facts.csv", "--questions", tmp_path / "questions.jsonl"]
    words += ["--output", tmp_path / "c", "--llm", disk.llm, "--systems", "lookup", "--num-dev", 0, "--num-updates", 0]
    done = run(*words, "--sizes", "8,16", "--unservable", 5, "--wandb")
    assert done.code == 0, done.err
    assert wandb.run is None  # finished
    (log,) = (tmp_path / "c").glob("wandb/offline-run-*/*.wandb")
    assert log.stat().st_size
    metrics = json.loads((tmp_path / "c" / "metrics.json").read_text())
    assert [size["num_facts"] for size in metrics["sizes"]] == [8, 16]
    own = metrics["systems"]["lookup"]
    assert set(own["by"]["asked"]) == {"plain question", "statement begun"}  # four comparisons are too few to report
    assert own["overall"]["num_questions"] == len(SUBJECTS) and own["overall"]["exact_match"] == 1.0
    assert own["by"]["asked"]["statement begun"]["exact_match"] == 0.0  # it writes the whole value
    predictions = pl.read_parquet(tmp_path / "c" / "predictions.parquet")
    assert predictions["asked"].value_counts().sort("asked").rows() == [
        ("comparison", 4),
        ("plain question", 8),
        ("statement begun", 5),
    ]
    again = run(*words, "--unservable", 5, "--sizes", "8,17")
    assert again.code == 1 and "there are 16 facts: times cannot be measured with 17" in again.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--systems", "lokup"], "did you mean 'lookup'"),
        (["--seeds", "0,x"], "'x'"),
        (["--budget-minutes", "0"], "budget_minutes must be above 0"),
        (["--systems", ""], "at least one system"),
        (["--sizes", "20,10"], "sizes must ascend"),
        (["--sizes", "1000"], "there are 24 facts: times cannot be measured with 1000"),
        (["--max-questions", "0"], "max_questions must be at least 1, got 0"),
        (["--max-facts", "6"], "no question with a fact_id asks for one of the 6 facts drawn"),
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
