"""The benchmark of audits: what is drawn, what is printed, and that finished parts are kept."""

import json
import runpy
from pathlib import Path

import polars as pl
import pytest

from widedeep_kb.schema import facts_from_records

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_audit.py"))
FACTS = facts_from_records(
    {"subject": f"Zor{i // 2}ania", "relation": ("port", "owner")[i % 2], "object": f"value {i}"} for i in range(40)
)


def test_facts_to_erase_are_apart_from_the_others() -> None:
    gone, others = SCRIPT["draw"](FACTS, num_facts=10, num_others=20, seed=0)
    assert gone.height == 10 and others.height == 20
    assert not set(gone["fact_id"]) & set(others["fact_id"])
    assert set(gone["subject"]) & set(others["subject"])
    with pytest.raises(ValueError, match="50 are asked for"):
        SCRIPT["draw"](FACTS, num_facts=50, num_others=20, seed=0)
    doubled = pl.concat([FACTS, facts_from_records([{"subject": "Zor0ania", "relation": "port", "object": "two"}])])
    assert "value 0" not in SCRIPT["draw"](doubled, num_facts=39, num_others=9, seed=0)[0]["object"]


def test_parts_that_are_done_are_printed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    residue = {"mean": 0.0, "low": 0.0, "high": 0.0, "num_differing": 0}
    shared = {"num_facts": 3, "num_questions": 18, "files": [{"file": "a", "bytes": 1, "found": {}}]}
    right = {"before": 1.0, "off": 0.0, "erased": 0.25, "control": 0.0, "exact": 0.0}
    done = {**shared, "right": right, "residue": {"erased": {**residue, "mean": 0.25}, "exact": residue}}
    (tmp_path / "deep.json").write_text(json.dumps(done))
    kept = {"num_updates": 5, "num_erased": 4, "num_questions": 8, "num_same_hits": 8}
    (tmp_path / "stability.json").write_text(json.dumps({**kept, "num_other_tokens": 0, "num_other_logits": 0}))
    SCRIPT["main"](["--output", str(tmp_path), "--parts", "deep", "stability"])
    *_, deep, stability = capsys.readouterr().out.splitlines()
    assert deep.startswith(
        "| deep (exact) | 3 facts, 18 | +0.0000 [+0.0000, +0.0000] | 1.000 / 0.000 / 0.000 / 0.000 | 0 |"
    )
    assert "8 of 8" in stability and "0 other tokens, 0 other logits" in stability
