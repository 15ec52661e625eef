"""The benchmark of the server, against a tiny one: whose answers are counted, and when a change is seen."""

from __future__ import annotations

import runpy
from pathlib import Path

import polars as pl
from served import serving

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_serve.py"))
QUESTIONS = pl.DataFrame({"question": ["Which port does Aurora use?", "Who owns it?"], "answers": [["8443"], ["Ada"]]})


def test_answers_and_changes_are_measured(folder: Path) -> None:
    args = SCRIPT["parse_args"](["--clients", "1", "3", "--seconds", "0.3", "--changes", "4", "--busy", "1"])
    with serving({"memory": folder}) as served:
        lines = SCRIPT["measure_load"](served.url, QUESTIONS, args=args)
        changes = SCRIPT["measure_changes"](served.url, QUESTIONS, args=args)
        with served.client() as client:
            held = client.get("/v1/facts", params={"relation": "port"}).json()["facts"]
        answers = served.state.metrics.answers
        counted = sum(answers.labels(found)._value.get() for found in ("yes", "no"))
    assert [(line["route"], line["memory"], line["clients"]) for line in lines] == [
        (route, memory, clients) for route in ("completions", "chat") for memory in ("yes", "no") for clients in (1, 3)
    ]
    for line in lines:
        assert line["answers"] >= line["clients"]
        assert 0 < line["tokens/s"] <= line["answers/s"] * args.max_tokens * 1.01
        assert line["p50, ms"] <= line["p99, ms"]
    assert counted >= sum(line["answers"] for line in lines)
    looked_up, asked, busy = changes
    assert (looked_up["seen by the next"], busy["seen by the next"]) == (4, 4)
    assert 0 <= asked["seen by the next"] <= 4
    assert len({fact["subject"] for fact in held}) == len(held) == 2 + 4  # each change took the former value away
