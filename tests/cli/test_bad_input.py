"""Bad input: one clear line, exit code 1, and the memory folder byte for byte as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from outcomes import Disk, Run, contents, error_line

GOOD = {"subject": "Aurora", "relation": "port", "object": "9000"}


def jsonl(*facts: dict[str, object]) -> bytes:
    """Lines of a facts file."""
    return "\n".join(map(json.dumps, facts)).encode()


BAD_FILES = {
    "unknown column": ("f.csv", b"subject,relation,object,colour\nA,b,c,d\n", "unknown column"),
    "missing column": ("f.csv", b"subject,relation\nA,b\n", "column 'object' is missing"),
    "empty csv": ("f.csv", b"", "has no rows"),
    "header only": ("f.csv", b"subject,relation,object\n", "has no rows"),
    "empty jsonl": ("f.jsonl", b"", "has no rows"),
    "empty parquet": ("f.parquet", b"", "not a readable parquet file"),
    "null subject": ("f.csv", b"subject,relation,object\nA,b,c\n,b,c\n", "row 2: subject is empty"),
    "null subject, jsonl": ("f.jsonl", jsonl(GOOD, {**GOOD, "subject": None}), "row 2: subject is empty"),
    "10 MB value": (
        "f.jsonl",
        jsonl({**GOOD, "object": "x" * 10_000_000}),
        "row 1: object has more than 1000000 bytes",
    ),
    "65 tokens": ("f.jsonl", jsonl(GOOD, {**GOOD, "object": "7" * 65}), "a value has 1 to 64"),
    "a subject of one word, 900 KB": (
        "f.jsonl",
        jsonl({**GOOD, "subject": "x" * 900_000}),
        "words before a value have",
    ),
    "long statement": ("f.jsonl", jsonl({**GOOD, "statement": "word " * 600 + "9000"}), "more than 512"),
    "no word in a subject": ("f.csv", b"subject,relation,object\nA,b,c\n?,b,c\n", "row 2: subject has no word"),
    "no visible character": ("f.jsonl", jsonl({**GOOD, "subject": "\u200b"}), "row 1: subject has no word"),
    "ragged csv": ("f.csv", b"subject,relation,object\nA,b,c\nA,b,c,d\n", "row 2: 4 cells, expected 3"),
    "one broken line": ("f.jsonl", jsonl(GOOD, GOOD) + b'\n{"subject": "A",\n' + jsonl(GOOD), "row 3: not a JSON"),
    "newline in an object": ("f.jsonl", jsonl({**GOOD, "object": "a\nb"}), "object holds a newline"),
    "newline in a csv object": ("f.csv", b'subject,relation,object\nA,b,"c\nd"\n', "object holds a newline"),
    "not UTF-8": ("f.csv", b"subject,relation,object\nA,b,caf\xe9\n", "line 2: not UTF-8 text"),
    "not JSON": ("f.jsonl", b"{", "row 1: not a JSON object"),
    "another suffix": ("f.txt", b"", "suffix '.txt' is none of"),
}


@pytest.mark.parametrize("options", [[], ["--add"], ["--dry-run"]], ids=["write", "add", "dry-run"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_facts_file(run: Run, memory: Path, tmp_path: Path, case: str, options: list[str]) -> None:
    name, data, said = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(data)
    before = contents(memory)
    line = error_line(run("write", "--memory", memory, "--facts", path, *options))
    assert said in line
    assert len(line) < 500
    assert contents(memory) == before


@pytest.mark.parametrize("case", ["null subject", "65 tokens"])
def test_a_bad_facts_file_makes_no_new_memory(run: Run, disk: Disk, tmp_path: Path, case: str) -> None:
    name, data, said = BAD_FILES[case]
    (tmp_path / name).write_bytes(data)
    words = ["write", "--memory", tmp_path / "deep" / "new", "--facts", tmp_path / name]
    assert said in error_line(run(*words, "--llm", disk.llm, "--reader", disk.reader))
    assert not (tmp_path / "deep").exists()


def test_a_missing_facts_file(run: Run, memory: Path, tmp_path: Path) -> None:
    line = error_line(run("write", "--memory", memory, "--facts", tmp_path / "no.csv"))
    assert line == f"widedeep-kb: error: {tmp_path / 'no.csv'}: No such file or directory\n"


def changing_commands(tmp_path: Path) -> list[list[object]]:
    """`write` and `erase` without their `--memory`."""
    path = tmp_path / "good.jsonl"
    path.write_bytes(jsonl(GOOD))
    return [["write", "--facts", path], ["erase", "--subject", "Aurora"]]


def test_a_memory_of_another_llm(run: Run, memory: Path, disk: Disk, tmp_path: Path) -> None:
    before = contents(memory)
    for command in [*changing_commands(tmp_path), ["ask", "a?"]]:
        line = error_line(run(*command, "--memory", memory, "--llm", disk.other_llm))
        assert f"belongs to the LLM '{disk.llm}'" in line and str(disk.other_llm) in line
    assert contents(memory) == before


def test_a_memory_of_another_reader(run: Run, memory: Path, disk: Disk, tmp_path: Path) -> None:
    before = contents(memory)
    write = changing_commands(tmp_path)[0]
    assert "were written by reader" in error_line(run(*write, "--memory", memory, "--reader", disk.other_reader))
    assert "holds no reader" in error_line(run(*write, "--memory", memory, "--reader", tmp_path))
    assert contents(memory) == before
    for file in disk.other_reader.iterdir():
        (memory / "snapshot-000001" / "reader" / file.name).write_bytes(file.read_bytes())
    assert "were written by reader" in error_line(run("ask", "--memory", memory, "a?"))


def test_a_reader_of_another_llm(run: Run, disk: Disk, tmp_path: Path) -> None:
    write = [*changing_commands(tmp_path)[0], "--memory", tmp_path / "new"]
    assert "belongs to the LLM" in error_line(run(*write, "--llm", disk.other_llm, "--reader", disk.reader))
    assert "no reader is shipped for the LLM" in error_line(run(*write, "--llm", disk.llm))
    assert not (tmp_path / "new").exists()


def test_no_such_llm(run: Run, disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write = [*changing_commands(tmp_path)[0], "--memory", tmp_path / "new", "--reader", disk.reader]
    assert "name the file" in error_line(run(*write, "--llm", tmp_path / "empty"))


SNAPSHOT_FILES = [
    "rows.safetensors",
    "retrieval.safetensors",
    "reader/reader.safetensors",
    "reader/reader.json",
    "facts.parquet",
]


@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "truncated"])
@pytest.mark.parametrize("name", SNAPSHOT_FILES)
def test_a_truncated_or_missing_file(run: Run, memory: Path, tmp_path: Path, name: str, is_missing: bool) -> None:
    path = memory / "snapshot-000001" / name
    data = path.read_bytes()
    path.unlink()
    if not is_missing:
        path.write_bytes(data[: len(data) // 2])
    before = contents(memory)
    for command in [*changing_commands(tmp_path), ["ask", "a?"]]:
        assert Path(name).name in error_line(run(*command, "--memory", memory)) or "reader" in name
    for command in (["list"], ["show", "Aurora"], ["stats"]):
        if name == "facts.parquet" or (name, command) == ("rows.safetensors", ["stats"]):
            assert Path(name).name in error_line(run(*command, "--memory", memory))
    assert contents(memory) == before


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": 2}', b"\xff\xfe"])
def test_a_damaged_config(run: Run, memory: Path, tmp_path: Path, data: bytes) -> None:
    (memory / "config.json").write_bytes(data)
    before = contents(memory)
    for command in [*changing_commands(tmp_path), ["ask", "a?"], ["list"], ["stats"]]:
        assert "config.json" in error_line(run(*command, "--memory", memory))
    assert contents(memory) == before


def test_a_folder_that_is_no_memory(run: Run, tmp_path: Path) -> None:
    write, erase = changing_commands(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    for command in (
        erase,
        ["ask", "a?"],
        ["list"],
        ["show", "a"],
        ["stats"],
        ["export", "--output", tmp_path / "o.csv"],
    ):
        for folder in ("photos", "nowhere"):
            assert "is not a memory folder" in error_line(run(*command, "--memory", tmp_path / folder))
    assert "neither empty nor a memory folder" in error_line(run(*write, "--memory", tmp_path / "photos"))
    assert "is not a folder" in error_line(run(*write, "--memory", tmp_path / "photos" / "cat.jpg"))
    assert contents(tmp_path / "photos") == {"cat.jpg": b"cat"}
    assert not (tmp_path / "nowhere").exists()
