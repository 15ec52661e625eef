"""The two-hop benchmark on a tiny random model: every arm is asked, and the table and file hold all of them."""

import json
import runpy
from pathlib import Path

import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import facts_from_records

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_hops.py"))
ARMS = ["hops_2", "hops_1", "together", "closed_book", "oracle", "lookup", "lookup_twice"]


def test_every_arm_is_asked(tiny_frozen_lm, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: ANN001
    lm: FrozenLM = tiny_frozen_lm("llama", max_position_embeddings=2048)
    towns = [{"subject": f"Town{i}", "relation": "land", "object": f"Land{i}"} for i in range(24)]
    lands = [
        {"subject": f"Land{i}", "relation": r, "object": f"{r[0]}{i}"} for i in range(24) for r in ("coin", "king")
    ]
    memory = KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)))
    options = ["--output", "p.parquet", "--domains", "places", "--formats", "plain-0,plain-2", "--num-questions", "6"]
    args = SCRIPT["parse_args"]([*options, "--num-dev", "3", "--num-others", "2"])
    predictions = SCRIPT["run_domain"](
        "places",
        memory,
        facts=facts_from_records(towns + lands),
        templates={"coin": ["What do people pay with in {subject}?"]},
        args=args,
    )
    counts = predictions.group_by("phrasing", maintain_order=True).len().rows()
    assert [name for name, _ in counts] == ["named", "own", "single"]
    assert counts[0][1] == 6 * len(ARMS) and counts[2][1] == 6 * 3
    assert predictions["arm"].unique(maintain_order=True).to_list() == ARMS
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    right = {
        line["arm"]: line["exact_match"] for line in lines if line.get("phrasing") == "named" and "exact_match" in line
    }
    assert right["lookup_twice"] == 1.0 > right["lookup"]
    table = SCRIPT["table"](predictions).splitlines()
    assert len(table) == 2 + 3 and "hops_2 - oracle" in table[0]


def test_public_sets_need_their_folder() -> None:
    with pytest.raises(SystemExit):
        SCRIPT["parse_args"](["--output", "p.parquet"])
