"""Every mistake in a facts file is one clear line with file, row and value; every text comes back as it was written."""

import json
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import read_facts, read_questions
from widedeep_kb.tables import write_table

HEADER = "subject,relation,object"


def refusal(path: Path) -> str:
    with pytest.raises(ValueError) as error:
        read_facts(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1 and len(message) < 400
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (f"{HEADER},colour\nParis,mayor,Hidalgo,red\n", ["unknown column", "colour"]),
        ("subject,relation\nParis,mayor\n", ["column 'object' is missing"]),
        ("", ["no rows"]),
        (f"{HEADER}\n", ["no rows"]),
        (f"{HEADER}\nParis,mayor,Hidalgo\n,mayor,Khan\n", ["row 2", "subject is empty"]),
        (f"{HEADER}\nParis,\t ,Hidalgo\n", ["row 1", "relation is empty"]),
        (f"{HEADER}\nParis,mayor,\n", ["row 1", "object is empty"]),
        (f'{HEADER}\nParis,mayor,"Anne\nHidalgo"\n', ["row 1", "object holds a newline", r"'Anne\nHidalgo'"]),
        (f'{HEADER}\nParis,mayor,"Anne\rHidalgo"\n', ["row 1", "object holds a newline"]),
        (f"{HEADER}\nParis,motto,{'x' * 10_000_000}\n", ["row 1", "more than 1000000 bytes", "x" * 57 + "..."]),
        (f"{HEADER}\nParis,mayor,Hidalgo,1\n", ["row 1", "4 cells, expected 3"]),
        (f"{HEADER}\nParis,mayor\n", ["row 1", "2 cells, expected 3"]),
        (f'{HEADER}\nParis,mayor,"Hidalgo\n', ["row 1", "malformed csv"]),
        (f"{HEADER},object\na,b,c,d\n", ["appears twice"]),
        (f"{HEADER}\na,b,c\n".encode() + b"Caf\xe9,b,c\n", ["line 3", "not UTF-8", "Caf\\\\xe9"]),
        (f"{HEADER},subject_aliases\na,b,c,Lutetia\n", ["row 1", "not a JSON array of strings", "Lutetia"]),
        (f'{HEADER},subject_aliases\na,b,c,\na,b,d,"[""x"", null]"\n', ["row 2", "not a JSON array", "null"]),
        (f'{HEADER},subject_aliases\na,b,c,"[""x"", "" ""]"\n', ["row 1", "subject_aliases has an empty item"]),
        (f"{HEADER},private\na,b,c,maybe\n", ["row 1", "private is not true or false", "maybe"]),
        (f"{HEADER},popularity\na,b,c,many\n", ["row 1", "popularity is not a finite number", "many"]),
        (f"{HEADER},popularity\na,b,c,nan\n", ["row 1", "popularity is not a finite number"]),
        (f"{HEADER},fact_id\na,b,c,0123456789abcdef\n", ["row 1", "fact_id does not belong"]),
    ],
)
def test_mistakes_in_csv(tmp_path: Path, content: str | bytes, parts: list[str]) -> None:
    message = refusal(write(tmp_path / "facts.csv", content))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('{"subject": "a", ', ["row 2", "not a JSON object"]),
        ("[1]", ["row 2", "not a JSON object"]),
        ("", ["row 2", "not a JSON object"]),
        ('{"subject": null, "relation": "b", "object": "c"}', ["row 2", "subject is empty"]),
        ('{"relation": "b", "object": "c"}', ["row 2", "subject is empty"]),
        ('{"subject": "a", "relation": "b", "object": true}', ["row 2", "object is a bool, expected text"]),
        ('{"subject": "a", "relation": "b", "object": ["c"]}', ["row 2", "object is a list, expected text"]),
        ('{"subject": "a", "relation": "b", "object": "\\ud800"}', ["row 2", "not valid Unicode"]),
        (
            '{"subject": "a", "relation": "b", "object": "c", "subject_aliases": "x"}',
            ["row 2", "not a list of strings"],
        ),
        ('{"subject": "a", "relation": "b", "object": "c", "subject_aliases": [null]}', ["row 2", "not a list"]),
        ('{"subject": "a", "relation": "b", "object": "c", "colour": "x"}', ["unknown column", "colour"]),
        ("[" * 100_000, ["row 2", "not a JSON object"]),
    ],
)
def test_mistakes_in_jsonl(tmp_path: Path, line: str, parts: list[str]) -> None:
    good = '{"subject": "a", "relation": "b", "object": "first"}'
    message = refusal(write(tmp_path / "facts.jsonl", f"{good}\n{line}\n{good}\n"))
    assert all(part in message for part in parts), message


def test_mistakes_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    facts = pl.DataFrame({"subject": ["a", "b"], "relation": ["r", "r"], "object": ["x", "y"]})
    facts.with_columns(object=pl.Series([1.0, 2.0])).write_parquet(path)
    assert "column 'object' holds Float64, expected text" in refusal(path)
    facts.with_columns(subject_aliases=pl.Series([[1.5], []])).write_parquet(path)
    assert "expected lists of text" in refusal(path)
    facts.with_columns(subject_aliases=pl.Series([["ok"], ["y" * 1_000_001]])).write_parquet(path)
    message = refusal(path)
    assert "row 2" in message and "more than 1000000 bytes" in message
    facts.head(0).write_parquet(path)
    assert "no rows" in refusal(path)
    facts.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a readable parquet file" in refusal(path)


def test_another_suffix_and_a_missing_file(tmp_path: Path) -> None:
    assert "suffix '.txt'" in refusal(write(tmp_path / "facts.txt", "x"))
    for name in ("no.csv", "no.jsonl", "no.parquet"):
        with pytest.raises(FileNotFoundError):
            read_facts(tmp_path / name)


def test_text_stays_as_written_in_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "facts.csv",
        "\ufeffsubject,relation,object,source,subject_aliases,private\r\n"
        'NA,code,007,NA,,\r\nnull,rate,1.50,,"[""a, b"", ""1.0""]",True\r\n"x ""y"" z",is,nan,"",[],0\r\n',
    )
    facts = read_facts(path)
    assert facts["subject"].to_list() == ["NA", "null", 'x "y" z']
    assert facts["object"].to_list() == ["007", "1.50", "nan"]
    assert facts["source"].to_list() == ["NA", None, None]
    assert facts["subject_aliases"].to_list() == [[], ["a, b", "1.0"], []]
    assert facts["private"].to_list() == [False, True, False]


def test_text_stays_as_written_in_jsonl_and_parquet(tmp_path: Path) -> None:
    lines = [
        '{"subject": "a\u2028b", "relation": "r", "object": 1.50, "popularity": 2, "private": true}',
        '{"subject": "NA", "relation": "r", "object": 12345678901234567890123, "object_aliases": [7], "source": null}',
    ]
    facts = read_facts(write(tmp_path / "facts.jsonl", "\n".join(lines)))
    assert facts["subject"].to_list() == ["a\u2028b", "NA"]
    assert facts["object"].to_list() == ["1.50", "12345678901234567890123"]
    assert facts["object_aliases"].to_list() == [[], ["7"]]
    assert facts["popularity"].to_list() == [2.0, None] and facts["private"].to_list() == [True, False]
    pl.DataFrame({"subject": ["a"], "relation": ["r"], "object": [7], "source": [None]}).write_parquet(
        tmp_path / "facts.parquet"
    )
    assert read_facts(tmp_path / "facts.parquet")["object"].to_list() == ["7"]


def test_the_longest_allowed_value_is_read_from_every_format(tmp_path: Path) -> None:
    facts = pl.DataFrame({"subject": ["a"], "relation": ["r"], "object": ["x" * 1_000_000]})
    for suffix in ("parquet", "jsonl", "csv"):
        write_table(facts, tmp_path / f"facts.{suffix}")
        assert read_facts(tmp_path / f"facts.{suffix}")["object"].to_list() == facts["object"].to_list()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "facts.csv", "old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail)
    with pytest.raises(OSError, match="disk full"):
        write_table(pl.DataFrame({"subject": ["a"]}), path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_mistakes_in_questions(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    for record, part in [
        ({"question": " ", "answers": ["x"]}, "question is empty"),
        ({"question": "who?", "answers": []}, "question has no answers"),
        ({"question": "who?", "answers": [""]}, "answers has an empty item"),
        ({"question": "who?"}, "column 'answers' is missing"),
    ]:
        write(path, json.dumps(record))
        with pytest.raises(ValueError, match=part):
            read_questions(path)
