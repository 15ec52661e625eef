"""Every command on a tiny memory: what it prints, and what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from outcomes import Disk, Run, contents

from widedeep_kb.live import live_memory
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import read_facts

AURORA_PORT = {"subject": "Aurora", "relation": "port", "object": "9000"}


def listed(run: Run, memory: Path, *options: str) -> list[str]:
    """`subject relation object` of each fact that `list` prints."""
    result = run("list", "--memory", memory, *options)
    assert (result.code, result.err) == (0, "")
    return [" ".join(line.split("\t")[1:]) for line in result.out.splitlines()]


def facts_file(tmp_path: Path, *facts: dict[str, object]) -> Path:
    """A jsonl file."""
    path = tmp_path / "new.jsonl"
    path.write_text("\n".join(json.dumps(fact) for fact in facts))
    return path


def test_list_and_its_filters(run: Run, disk: Disk) -> None:
    everything = ["Aurora port 8443", "Aurora owner Ada Lovelace", "Borealis port 007"]
    assert listed(run, disk.memory) == everything
    assert listed(run, disk.memory, "--limit", "2") == everything[:2]
    assert listed(run, disk.memory, "--subject", "aurora gateway") == everything[:1]
    assert listed(run, disk.memory, "--relation", "PORT") == [everything[0], everything[2]]
    assert listed(run, disk.memory, "--relation", "port", "--subject", "Borealis") == everything[2:]
    assert listed(run, disk.memory, "--subject", "Nobody") == []


def test_write_replaces_values_unless_told_to_add(run: Run, memory: Path, tmp_path: Path) -> None:
    path = facts_file(tmp_path, AURORA_PORT)
    result = run("write", "--memory", memory, "--facts", path)
    assert (result.code, result.err) == (0, "")
    assert result.out == f"1 added, 1 removed, 0 unchanged; 3 facts in {memory}\n"
    assert listed(run, memory, "--relation", "port", "--subject", "Aurora") == ["Aurora port 9000"]
    path = facts_file(tmp_path, {**AURORA_PORT, "object": "9001"})
    assert run("write", "--memory", memory, "--facts", path, "--add").out.startswith("1 added, 0 removed")
    assert listed(run, memory, "--subject", "Aurora", "--relation", "port") == ["Aurora port 9000", "Aurora port 9001"]
    assert sorted(p.name for p in memory.iterdir()) == ["config.json", "snapshot-000003"]


def test_writing_what_is_there_leaves_the_folder_alone(run: Run, memory: Path, tmp_path: Path) -> None:
    before = contents(memory)
    assert run("export", "--memory", memory, "--output", tmp_path / "all.parquet").code == 0
    result = run("write", "--memory", memory, "--facts", tmp_path / "all.parquet")
    assert result.out.startswith("0 added, 0 removed, 3 unchanged")
    assert contents(memory) == before


def test_dry_run_prints_what_write_would_do(run: Run, memory: Path, tmp_path: Path) -> None:
    same = {"subject": "Borealis", "relation": "port", "object": "007", "source": "ops"}
    path = facts_file(tmp_path, AURORA_PORT, same, {"subject": "New", "relation": "port", "object": "1"})
    before = contents(memory)
    result = run("write", "--memory", memory, "--facts", path, "--dry-run")
    assert (result.code, result.err) == (0, "")
    *changes, summary = result.out.splitlines()
    shown = [(line.split("\t")[0], *line.split("\t")[2:]) for line in changes]
    assert shown == [("-", "Aurora", "port", "8443"), ("+", "Aurora", "port", "9000"), ("+", "New", "port", "1")]
    assert summary == "dry run: 2 to add, 1 to remove, 1 unchanged; nothing was written"
    assert contents(memory) == before
    assert run("write", "--memory", memory, "--facts", path).out.startswith("2 added, 1 removed, 1 unchanged")


def test_dry_run_makes_no_folder(run: Run, disk: Disk, tmp_path: Path) -> None:
    path = facts_file(tmp_path, AURORA_PORT)
    target = ["--memory", tmp_path / "new", "--facts", path, "--llm", disk.llm, "--reader", disk.reader]
    assert "1 to add, 0 to remove" in run("write", *target, "--dry-run").out
    assert not (tmp_path / "new").exists()


def test_erase_by_file_subject_source_and_id(run: Run, memory: Path, tmp_path: Path) -> None:
    path = facts_file(tmp_path, {**AURORA_PORT, "object": "8443"}, {**AURORA_PORT, "object": "1"})
    result = run("erase", "--memory", memory, "--facts", path)
    assert (result.code, result.err) == (0, "")
    erased, absent, summary = result.out.splitlines()
    assert erased.startswith("erased\t") and erased.endswith("Aurora\tport\t8443")
    assert absent == "absent\tAurora | port | 1"
    assert summary == f"1 erased, 1 absent; 2 facts in {memory}"
    assert run("erase", "--memory", memory, "--source", "ops").out.splitlines()[-1].startswith("1 erased, 0 absent; 1 ")
    fact_id = run("list", "--memory", memory).out.split("\t")[0]
    assert (
        run("erase", "--memory", memory, "--fact-id", fact_id).out.splitlines()[-1].startswith("1 erased, 0 absent; 0")
    )
    assert listed(run, memory) == []
    assert run("stats", "--memory", memory).out.splitlines()[:4] == [
        "facts: 0",
        "subjects: 0",
        "relations: 0",
        "rows: 0",
    ]
    assert run("write", "--memory", memory, "--facts", path).out.startswith("2 added")


@pytest.mark.parametrize(("option", "name"), [("subject", "Nobody"), ("source", "ops2"), ("fact-id", "0" * 16)])
def test_erasing_what_is_absent_is_no_error_and_changes_nothing(run: Run, memory: Path, option: str, name: str) -> None:
    before = contents(memory)
    result = run("erase", "--memory", memory, f"--{option}", name)
    assert (result.code, result.out) == (0, f"absent\t{name}\n0 erased, 1 absent; 3 facts in {memory}\n")
    assert contents(memory) == before


def test_ask_as_json_and_as_text(run: Run, disk: Disk) -> None:
    question = ["--memory", disk.memory, "Which port does Aurora use?", "--max-new-tokens", "4"]
    answer = json.loads(run("ask", *question, "--json").out)
    assert list(answer) == ["text", "confidence", "evidence", "prompt_tokens", "generated_tokens", "latency_ms"]
    assert answer["generated_tokens"] <= 4 < answer["prompt_tokens"]
    for fact in answer["evidence"]:
        assert list(fact) == ["fact_id", "subject", "relation", "object", "attention", "source"]
    assert {fact["subject"] for fact in answer["evidence"]} == {"Aurora"}
    text = run("ask", *question).out
    assert f"confidence {answer['confidence']:.2f}" in text
    assert "Aurora | port | 8443" in text and "source ops" in text
    nothing = run("ask", "--memory", disk.memory, "Nothing known here", "--max-new-tokens", "1")
    assert "no fact of the memory was used" in nothing.out


def test_ask_and_evaluate_guess_only_when_told_to(run: Run, disk: Disk, memory: Path, tmp_path: Path) -> None:
    ask = ["ask", "--memory", memory, "Which port does Boraelis use?", "--max-new-tokens", "2"]
    assert json.loads(run(*ask, "--json").out)["evidence"] == []
    (fact,) = json.loads(run(*ask, "--json", "--semantic").out)["evidence"]
    assert (fact["subject"], fact["guessed"]) == ("Borealis", True)
    assert "Borealis | port | 007  (guessed, fact " in run(*ask, "--semantic").out
    questions, output = tmp_path / "questions.csv", tmp_path / "out.parquet"
    questions.write_text('question,answers\nPort of Boraelis?,"[""007""]"\nPort of Aurora?,"[""8443""]"\n')
    evaluate = ["evaluate", "--questions", questions, "--output", output, "--memory", memory]
    for options, guessed in ((["--semantic"], [True, False]), ([], [False, False])):
        assert run(*evaluate, *options).code == 0
        assert pl.read_parquet(output)["is_guessed"].to_list() == guessed
    stats = json.loads(run("stats", "--memory", memory, "--json").out)
    assert (stats["semantic"], stats["semantic_bytes"]) == ("off", 0)


def test_ask_and_evaluate_leave_no_question_out_when_told_to(
    run: Run, disk: Disk, memory: Path, tmp_path: Path
) -> None:
    opened = KnowledgeMemory.from_pretrained(memory, llm=str(disk.llm))
    opened.reader.gate.weight.fill_(1e-6)
    opened.reader.gate.bias.fill_(-1.0)
    opened.save(memory)
    ask = ["ask", "--memory", memory, "Which port does Aurora use?", "--max-new-tokens", "2", "--json"]
    assert json.loads(run(*ask).out)["evidence"] == []
    assert json.loads(run(*ask, "--no-gate").out)["evidence"][0]["subject"] == "Aurora"
    questions, output = tmp_path / "questions.csv", tmp_path / "out.parquet"
    questions.write_text('question,answers\nPort of Aurora?,"[""8443""]"\n')
    evaluate = ["evaluate", "--questions", questions, "--output", output, "--memory", memory]
    for options, is_read in ((["--no-gate"], True), ([], False)):
        assert run(*evaluate, *options).code == 0
        assert (pl.read_parquet(output)["evidence"].list.len()[0] > 0) == is_read


def test_a_memory_saved_with_guesses_is_opened_and_counted_so(run: Run, disk: Disk, memory: Path) -> None:
    opened = KnowledgeMemory.from_pretrained(memory, llm=str(disk.llm))
    opened.use_semantic = True
    opened.save(memory)
    stats = json.loads(run("stats", "--memory", memory, "--json").out)
    assert stats["semantic"] == "on" and stats["semantic_bytes"] > 3 * 256
    words = ["ask", "--memory", memory, "Which port does Boraelis use?", "--max-new-tokens", "2"]
    assert "guessed" in run(*words).out


def test_show_a_fact_and_a_subject(run: Run, disk: Disk) -> None:
    blocks = run("show", "--memory", disk.memory, "Aurora").out.split("\n\n")
    assert len(blocks) == 2
    values = dict(line.split(":", 1) for line in blocks[0].splitlines())
    assert {k: v.strip() for k, v in values.items()} == {
        "fact_id": values["fact_id"].strip(),
        "subject": "Aurora",
        "relation": "port",
        "object": "8443",
        "subject_id": "aurora",
        "subject_aliases": "Aurora Gateway",
        "source": "ops",
        "private": "False",
    }
    assert run("show", "--memory", disk.memory, values["fact_id"].strip()).out.strip() == blocks[0]
    result = run("show", "--memory", disk.memory, "Nobody")
    assert result.code == 1 and "has no fact and no subject called 'Nobody'" in result.err


def test_stats(run: Run, disk: Disk) -> None:
    values = json.loads(run("stats", "--memory", disk.memory, "--json").out)
    size = sum(map(len, contents(disk.memory).values()))
    assert (values["facts"], values["subjects"], values["relations"], values["size_bytes"]) == (3, 2, 2, size)
    assert 3 <= values["rows"] <= 9
    assert values["llm"] == str(disk.llm)
    assert f"reader: {values['reader']}" in run("stats", "--memory", disk.memory).out.splitlines()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_export_is_read_back_equal(run: Run, disk: Disk, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.{suffix}"
    assert run("export", "--memory", disk.memory, "--output", output).code == 0
    facts = read_facts(output)
    assert facts["object"].to_list() == ["8443", "Ada Lovelace", "007"]
    assert facts["subject_aliases"].to_list() == [["Aurora Gateway"], [], []]
    assert "suffix" in run("export", "--memory", disk.memory, "--output", tmp_path / "out.txt").err


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Two questions, one of which `lookup` answers."""
    rows = [
        {"question": "What is the port of Aurora?", "answers": ["8443"], "tags": ["ports"]},
        {"question": "What is the port of Borealis?", "answers": ["7"], "tags": ["ports", "other"]},
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_evaluate_a_memory(run: Run, disk: Disk, questions: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    result = run("evaluate", "--questions", questions, "--output", output, "--memory", disk.memory)
    assert (result.code, result.err) == (0, "")
    summary = json.loads(result.out.splitlines()[-1])
    scores = ["num_questions", "exact_match", "contains", "f1"]
    assert list(summary) == [*scores, "ms_per_question", "prompt_tokens_per_question", "by_tag"]
    assert summary["num_questions"] == 2
    frame = pl.read_parquet(output)
    assert {"question", "answers", "prediction", "exact_match", "confidence", "evidence"} <= set(frame.columns)
    ids = set(read_ids(run, disk.memory))
    assert all(set(found) <= ids and found for found in frame["evidence"].to_list())


def read_ids(run: Run, memory: Path) -> list[str]:
    """fact_ids of all facts."""
    return [line.split("\t")[0] for line in run("list", "--memory", memory).out.splitlines()]


def test_evaluate_a_system(run: Run, disk: Disk, questions: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.csv"
    run("export", "--memory", disk.memory, "--output", facts)
    common = ["evaluate", "--questions", questions, "--output", tmp_path / "out.parquet", "--facts", facts]
    summary = json.loads(run(*common, "--system", "lookup").out.splitlines()[-1])
    assert (summary["exact_match"], summary["by_tag"]["other"]["exact_match"]) == (0.5, 0.0)
    result = run(*common, "--system", "lookop")
    assert (result.code, result.out) == (1, "")
    assert "no system is called 'lookop'; did you mean 'lookup'?" in result.err


@pytest.mark.parametrize("name", ["closed_book", "oracle", "in_context"])
def test_evaluate_a_prompted_system_tunes_its_format_on_other_facts(
    run: Run, disk: Disk, tmp_path: Path, name: str
) -> None:
    facts, questions = tmp_path / "facts.jsonl", tmp_path / "questions.jsonl"
    facts.write_text("\n".join(json.dumps({**AURORA_PORT, "subject": f"S{i}", "object": str(i)}) for i in range(14)))
    fact_id = read_facts(facts)["fact_id"][0]
    question = {"question": "What is the port of S0?", "answers": ["0"], "fact_id": fact_id}
    questions.write_text(json.dumps(question))
    common = ["evaluate", "--output", tmp_path / "out.parquet", "--facts", facts, "--llm", disk.llm, "--system", name]
    result = run(*common, "--questions", questions)
    assert result.code == 0, result.err
    assert json.loads(result.out.splitlines()[-1])["num_questions"] == 1
    assert "prompt format" in result.err and "(on 11 other questions: plain-0 0.00, plain-2 0.00, chat-0" in result.err
    asked = [
        {**question, "question": f"Port of S{i}?", "fact_id": f} for i, f in enumerate(read_facts(facts)["fact_id"])
    ]
    questions.write_text("\n".join(map(json.dumps, asked)))
    result = run(*common, "--questions", questions)
    assert (result.code, result.err) == (0, "prompt format plain-0, not tuned: only 0 facts to spare\n")


def test_evaluate_refuses_a_bad_output_before_it_asks(run: Run, disk: Disk, questions: Path, tmp_path: Path) -> None:
    common = ["evaluate", "--questions", questions, "--memory", disk.memory, "--output"]
    assert "written to a .parquet file" in run(*common, tmp_path / "out.csv").err
    assert "its folder does not exist" in run(*common, tmp_path / "no" / "out.parquet").err


def test_ask_and_evaluate_over_two_hops(run: Run, memory: Path, tmp_path: Path) -> None:
    path = facts_file(tmp_path, {"subject": "Ada Lovelace", "relation": "employer", "object": "Babbage"})
    assert run("write", "--memory", memory, "--facts", path).code == 0
    asked = ["--memory", memory, "Who is the employer of the owner of Aurora?", "--max-new-tokens", "2"]
    answer = json.loads(run("ask", *asked, "--json", "--hops", "2").out)
    assert [fact["relation"] for fact in answer["chain"]] == ["owner", "employer"]
    assert "chain" not in json.loads(run("ask", *asked, "--json").out)
    assert "(hop 1, fact " in run("ask", *asked, "--hops", "2").out
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": asked[2], "answers": ["Babbage"]}))
    scored = ["evaluate", "--questions", questions, "--output", tmp_path / "out.parquet", "--hops", "2"]
    assert run(*scored, "--memory", memory).code == 0
    (evidence,) = pl.read_parquet(tmp_path / "out.parquet")["evidence"].to_list()
    assert {fact["fact_id"] for fact in answer["chain"]} <= set(evidence)
    assert "--hops goes with --memory" in run(*scored, "--system", "lookup", "--facts", path).err


def test_ask_and_evaluate_as_of_a_day(run: Run, memory: Path, tmp_path: Path) -> None:
    dated = {"subject": "Vega", "relation": "port"}
    path = facts_file(
        tmp_path,
        {**dated, "object": "1", "valid_to": "2020-12-31"},
        {**dated, "object": "2", "valid_from": "2021-01-01"},
    )
    assert run("write", "--memory", memory, "--facts", path).code == 0
    asked = ["ask", "--memory", memory, "What is the port of Vega?", "--json", "--max-new-tokens", "2"]
    for day, value in (("2020-06-01", "1"), ("2021-01-01", "2")):
        answer = json.loads(run(*asked, "--as-of", day).out)
        assert [fact["object"] for fact in answer["evidence"]] == [value]
    assert [fact["object"] for fact in json.loads(run(*asked).out)["evidence"]] == ["2"]
    refused = run(*asked, "--as-of", "2021-02-30")
    assert refused.code == 2 and "'2021-02-30' is not a day" in refused.err
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": asked[3], "answers": ["1"]}))
    scored = ["evaluate", "--questions", questions, "--output", tmp_path / "out.parquet", "--as-of", "2020-06-01"]
    assert run(*scored, "--memory", memory).code == 0
    catalogue = KnowledgeMemory.from_pretrained(memory).store.catalogue
    (evidence,) = pl.read_parquet(tmp_path / "out.parquet")["evidence"].to_list()
    assert catalogue.rows(catalogue.find(fact_ids=evidence).ordinals)["object"].to_list() == ["1"]
    assert "--as-of goes with --memory" in run(*scored, "--system", "lookup", "--facts", path).err


def test_commands_see_what_a_live_memory_wrote(run: Run, memory: Path, tmp_path: Path) -> None:
    with live_memory(memory) as live:
        live.memory.write([AURORA_PORT])
        live.memory.erase(live.memory.store.catalogue.find(subject="Borealis").ordinals)
        assert listed(run, memory) == ["Aurora owner Ada Lovelace", "Aurora port 9000"]
        refused = run("write", "--memory", memory, "--facts", facts_file(tmp_path, AURORA_PORT))
        assert refused.code == 1 and "is being changed by another process" in refused.err
    assert listed(run, memory) == ["Aurora owner Ada Lovelace", "Aurora port 9000"]
    assert run("erase", "--memory", memory, "--subject", "Aurora").out.endswith(
        f"2 erased, 0 absent; 0 facts in {memory}\n"
    )
    assert listed(run, memory) == []


def test_a_reader_is_trained_with_questions_over_two_hops(run: Run, disk: Disk, tmp_path: Path) -> None:
    small = ["--steps", "2", "--batch-size", "8", "--questions-per-chunk", "80", "--workers", "1", "--no-compile"]
    result = run("reader", "--llm", disk.llm, "--output", tmp_path, "--two-hop-share", "0.3", *small)
    assert result.code == 0, result.err
    assert json.loads((tmp_path / "run.json").read_text())["run"]["recipe"]["two_hops"] == 0.3


def test_audit_erases_from_a_copy_and_says_what_is_left(run: Run, memory: Path, tmp_path: Path) -> None:
    path = facts_file(tmp_path, {**AURORA_PORT, "object": "8443"})
    before = contents(memory)
    result = run("audit", "--memory", memory, "--facts", path, "--json")
    assert result.code == 0, result.err
    shown = json.loads(result.out)
    assert shown["is_clean"] and shown["num_facts"] == 1 and shown["num_questions"] == 6
    assert any(one["found"] for one in shown["files_before_compacting"])
    assert not any(one["found"] for one in shown["files"]) and shown["leftovers"] == []
    text = run("audit", "--memory", memory, "--facts", path)
    assert text.code == 0 and "residue erased: +0.0000 (+0.0000 to +0.0000); 0 answers differ" in text.out
    assert contents(memory) == before
    assert (
        "holds none of the 1 facts"
        in run("audit", "--memory", memory, "--facts", facts_file(tmp_path, AURORA_PORT)).err
    )
