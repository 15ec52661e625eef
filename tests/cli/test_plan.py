"""`plan`: what it prints, what it exits with, and that it allocates nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from outcomes import Disk, Run


def test_a_plan_that_fits(run: Run, disk: Disk) -> None:
    result = run("plan", "--facts", "1000000", "--reader", disk.reader, "--rows-per-fact", "1")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "1,000,000 facts in 1,000,000 rows of fp16; 1 GPU of 80 GB each, 128 GB of host memory"
    assert lines[1] == "rows in GPU memory, on one GPU (TorchRec's planner: table_wise, fused)"
    (rows,) = [line for line in lines if line.startswith("GPU rows")]
    assert rows.split()[-4:] == ["512,000,000", "bytes", "a", "rank"]  # 8 slots x 2 x 16 numbers x 2 bytes
    assert [line.split(" at once")[0].strip() for line in lines[-4:-1]] == ["1", "64", "1,024"]


def test_a_budget_sends_rows_to_the_host(run: Run, disk: Disk) -> None:
    words = ["--facts", "50000000", "--reader", disk.reader, "--budget-gb", "2", "--json"]
    values = json.loads(run("plan", *words).out)
    assert values["compute_kernel"] == "fused_uvm_caching"
    assert 0 < values["cache_hit_rate"] < 1
    sizes = {tier["name"]: tier["num_bytes"] for tier in values["tiers"]}
    assert sizes["host rows"] == 50_000_000 * 1.25 * 512 and "GPU rows" not in sizes
    even = json.loads(run("plan", *words, "--skew", "0").out)
    assert even["cache_hit_rate"] < values["cache_hit_rate"]
    assert even["lookup_ms"]["64"] == values["lookup_ms"]["64"]
    assert even["lookup_ms"]["1024"] > values["lookup_ms"]["1024"]


def test_what_does_not_fit_is_named_and_the_exit_code_says_so(run: Run, disk: Disk) -> None:
    result = run("plan", "--facts", "10000000000", "--reader", disk.reader)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "10,000,000,000 facts do not fit: index and catalogue: 3,584,800,000,000 bytes of host memory" in result.err
    result = run("plan", "--facts", "300000000", "--host-gb", "200", "--reader", disk.reader, "--json")
    assert result.code == 1 and "bytes missing on each GPU; rows in host memory: " in result.err
    assert json.loads(result.out)["missing"] and json.loads(result.out)["sharding_type"] is None


def test_training_and_another_llm_take_more(run: Run, disk: Disk) -> None:
    words = ["plan", "--facts", "1000", "--reader", disk.reader, "--json"]
    plain, trained = (json.loads(run(*words, *more).out)["tiers"] for more in ([], ["--train"]))
    names = [tier["name"] for tier in trained]
    assert "gradients and optimizer state, dense" in names and len(trained) == len(plain) + 1
    on_cpu = json.loads(run(*words, "--devices", "0", "--llm", disk.other_llm).out)["tiers"]
    assert on_cpu[0]["num_bytes"] == 2 * plain[0]["num_bytes"] and not any(tier["is_on_gpu"] for tier in on_cpu)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--facts", "0"], "'0' is not a whole number above 0"),
        (["--facts", "5", "--devices", "-1"], "'-1' is not a whole number"),
        (["--facts", "5", "--row-format", "int3"], "invalid choice: 'int3'"),
        (["--facts", "5", "--reader", "/nowhere"], "'/nowhere' holds no reader: reader.json is missing"),
        (["--facts", "5", "--llm", "/nowhere/at/all"], "cannot read the LLM '/nowhere/at/all'"),
    ],
)
def test_mistakes(run: Run, disk: Disk, words: list[str], message: str) -> None:
    reader = [] if "--reader" in words else ["--reader", disk.reader]
    result = run("plan", *words, *reader)
    assert result.code in (1, 2) and result.out == ""
    assert message in result.err and result.err.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="the budget is for machines with a GPU")
def test_a_budget_for_gpu_rows_needs_a_gpu(run: Run, memory: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "Which port?", "answers": ["8443"]}))
    facts = tmp_path / "facts.csv"
    facts.write_text("subject,relation,object\nAurora,port,9001\n")
    budget = ["--gpu-row-budget-gb", "1"]
    commands = [
        ["ask", "--memory", memory, "Which port does Aurora use?", *budget],
        ["evaluate", "--memory", memory, "--questions", questions, "--output", tmp_path / "out.parquet", *budget],
        ["refine", "--memory", memory, "--facts", facts, *budget],
        ["fit", "--memory", memory, "--output", tmp_path / "fitted", "--gpu_row_budget_gb", "1"],
    ]
    for words in commands:
        result = run(*words)
        assert (result.code, result.out) == (1, "")
        assert "need a GPU, got device 'cpu'" in result.err and result.err.count("\n") == 1
    result = run("evaluate", "--system", "lookup", "--facts", facts, "--questions", questions, "--output", "o", *budget)
    assert result.code == 2 and "--gpu-row-budget-gb goes with --memory" in result.err


def test_nothing_large_is_allocated(disk: Disk) -> None:
    code = (
        "import resource, sys\nfrom widedeep_kb.cli.main import main\n"
        f"assert main(['plan', '--facts', '10000', '--reader', {str(disk.reader)!r}]) == 0\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"assert main(['plan', '--facts', '40000000', '--devices', '8', '--reader', {str(disk.reader)!r}]) == 0\n"
        "sys.exit(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > 50_000)  # KiB"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
