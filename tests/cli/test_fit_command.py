"""`fit` and `refine`: one signature for YAML and command line, one-line mistakes, folders saved whole."""

from __future__ import annotations

import json
from pathlib import Path

from outcomes import Disk, Run, contents, error_line

from widedeep_kb.cli.fit import read_job

FACTS = "subject,relation,object,private\nAurora,port,8443,\nBorealis,port,007,\n"
QUICK = ("--steps", "3", "--batch-size", "4")


def write_config(tmp_path: Path, text: str) -> Path:
    """A YAML file of a quick job."""
    (tmp_path / "facts.csv").write_text(FACTS)
    path = tmp_path / "job.yaml"
    path.write_text(f"output: {tmp_path / 'made'}\nfacts: {tmp_path / 'facts.csv'}\n{text}")
    return path


def test_yaml_and_command_line_are_one_signature(tmp_path: Path) -> None:
    path = write_config(tmp_path, "fit:\n  steps: 7\n  deep: false\n")
    job = read_job({"--config": str(path), "--fit.batch_size": "5"})
    assert (job.fit.steps, job.fit.batch_size, job.fit.deep) == (7, 5, False)
    assert job.output == tmp_path / "made"


def test_fit_makes_a_memory_that_answers(run: Run, disk: Disk, tmp_path: Path) -> None:
    path = write_config(tmp_path, "fit:\n  steps: 3\n  batch_size: 4\n  num_subkeys: 4\n")
    result = run(
        *("fit", "--config", path, "--llm", disk.llm, "--reader", disk.reader, "--fit.log_dir", tmp_path / "logs")
    )
    assert result.code == 0, result.err
    assert json.loads(result.out)["steps"] == 3
    assert run("ask", "--memory", tmp_path / "made", "What is the port of Aurora?").code == 0
    again = run("fit", "--config", path, "--llm", disk.llm, "--reader", disk.reader)
    assert "holds a memory already" in error_line(again)


def test_a_mistyped_key_is_one_line(run: Run, tmp_path: Path) -> None:
    path = write_config(tmp_path, "fit:\n  stepps: 3\n")
    result = run("fit", "--config", path)
    assert result.code == 2 and "stepps" in result.err and len(result.err.splitlines()) == 1
    result = run("fit", "--config", write_config(tmp_path, ""), "--fit.steps", "many")
    assert result.code == 2 and "many" in result.err and len(result.err.splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_refine_trains_a_folder_in_place(run: Run, memory: Path, tmp_path: Path) -> None:
    before = contents(memory)
    facts = tmp_path / "facts.csv"
    facts.write_text(FACTS)
    result = run("refine", "--memory", memory, "--facts", facts, *QUICK, "--log-dir", tmp_path / "logs")
    assert result.code == 0, result.err
    assert json.loads(result.out)["num_facts"] == 2
    assert contents(memory) != before
    assert len(list(memory.glob("snapshot-*"))) == 1
    assert run("ask", "--memory", memory, "What is the port of Aurora?").code == 0


def test_a_refine_that_fails_leaves_the_folder(run: Run, memory: Path, tmp_path: Path) -> None:
    before = contents(memory)
    facts = tmp_path / "facts.csv"
    facts.write_text("subject,relation,object\nAurora,port,\n")
    assert "is empty" in error_line(run("refine", "--memory", memory, "--facts", facts, *QUICK))
    facts.write_text(FACTS)
    wrong = run("refine", "--memory", memory, "--facts", facts, *QUICK, "--row-lr", "-1")
    assert "row_lr must be above 0" in error_line(wrong)
    assert contents(memory) == before


def test_fit_on_two_processes_is_one_setting(run: Run, disk: Disk, tmp_path: Path) -> None:
    path = write_config(tmp_path, "fit:\n  steps: 2\n  batch_size: 4\n  num_subkeys: 4\n")
    given = ("--config", path, "--llm", disk.llm, "--reader", disk.reader, "--fit.log_dir", tmp_path / "logs")
    wrong = run("fit", *given, "--sharding.sharding_types", '["rowwise"]', "--trainer.devices", "2")
    assert "'rowwise'" in error_line(wrong) and not (tmp_path / "made").exists()
    result = run("fit", *given, "--trainer.devices", "2", "--trainer.accelerator", "cpu")
    assert result.code == 0, result.err
    assert json.loads(result.out)["num_devices"] == 2
    assert run("ask", "--memory", tmp_path / "made", "What is the port of Aurora?").code == 0


def test_erase_says_what_keeps_traces_and_exact_leaves_none(run: Run, memory: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.csv"
    facts.write_text("subject,relation,object,private\nAurora,port,8443,\nBorealis,port,007,\n")
    given = ("refine", "--memory", memory, "--facts", facts, *QUICK, "--log-dir", tmp_path / "logs")
    assert run(*given).code == 0
    plain = run("erase", "--memory", memory, "--subject", "Borealis")
    assert plain.code == 0, plain.err
    assert "keep traces of them: erase with --exact" in plain.out and "last.ckpt still holds their rows" in plain.out
    facts.write_text("subject,relation,object\nAurora,port,8443\n")
    exact = run("erase", "--memory", memory, "--facts", facts, "--exact")
    assert exact.code == 0, exact.err
    assert "may keep traces" not in exact.out and exact.out.splitlines()[-1].startswith("1 erased, 0 absent; 1 facts")
    before = contents(memory)
    again = run("erase", "--memory", memory, "--subject", "Nobody", "--exact")
    assert again.code == 0 and "1 absent" in again.out and contents(memory) == before


def test_compact_leaves_one_snapshot_without_a_journal(run: Run, disk: Disk, memory: Path) -> None:
    from widedeep_kb.live import live_memory

    with live_memory(memory, llm=str(disk.llm)) as live:
        live.memory.erase(live.memory.store.catalogue.find(subject="Borealis").ordinals)
        assert live.journal_bytes
    assert list(memory.glob("*/journal.sqlite"))
    result = run("compact", "--memory", memory)
    assert result.code == 0, result.err
    assert result.out.startswith(f"2 facts in {memory}: ")
    assert len(list(memory.glob("snapshot-*"))) == 1 and not list(memory.glob("*/journal.sqlite*"))
    assert run("ask", "--memory", memory, "What is the port of Aurora?").code == 0
