"""The adapter benchmark on a CPU: it checks what it times, and a wrong implementation ends it."""

import json
import runpy
from pathlib import Path

import pytest
import torch

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_adapter.py"))


def test_all_is_timed_beside_a_layer(capsys: pytest.CaptureFixture) -> None:
    sizes = ["--batch-sizes", "1,3", "--facts", "1", "--hidden-size", "36", "--prompt-tokens", "4"]
    SCRIPT["main"]([*sizes, "--runs", "1", "--calls", "2"])
    printed = capsys.readouterr().out
    results = [json.loads(line) for line in printed.splitlines() if line.startswith("{")][1:]
    assert {r["batch_size"] for r in results} == {1, 3}
    assert all(r["microseconds"] > 0 for r in results)
    checked = {r["what"] for r in results if r["error"] is not None}
    assert checked == {"growing buffers", "fixed buffers, torch"}
    assert printed.count("| layer of the LLM |") == 4


@torch.no_grad()
def test_a_wrong_implementation_is_an_error() -> None:
    case = SCRIPT["Case"](2, 1, hidden_size=36, device=torch.device("cpu"), dtype=torch.float32)
    right = case.one_token(is_compiled=False)["fixed buffers, torch"]
    SCRIPT["check"](case, {"right": right})
    for wrong in (lambda: right() + 1e-3, lambda: right() * torch.nan):
        with pytest.raises(ValueError, match="'wrong' is off by"):
            SCRIPT["check"](case, {"wrong": wrong})
