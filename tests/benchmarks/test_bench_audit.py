"""The benchmark of audits: what is drawn, what is printed, and that finished parts are kept."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
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
        "| deep (exact) | 3 facts, 18 | +0.0000 [+0.0000, +0.0000], 0 differ | 1.000 / 0.000 / 0.000 / 0.000 | 0 |"
    )
    assert "8 of 8" in stability and "0 other tokens, 0 other logits" in stability


@pytest.fixture
def tiny(tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments of a run with a tiny LLM and a tiny reader."""
    lm = tiny_frozen_lm("llama")
    Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16)).save(tmp_path / "reader")
    names = SCRIPT["main"].__globals__
    monkeypatch.setitem(names, "load_lm", lambda *_args, **_kwargs: lm)
    monkeypatch.setitem(names, "load_corpus", lambda *_args, **_kwargs: SimpleNamespace(facts=FACTS))
    sizes = {"num-facts": 6, "num-others": 30, "num-questions": 8, "num-changes": 10, "train-batch-size": 8}
    sizes |= {"steps": 2, "deep-steps": 2, "batch-size": 8}
    folders = ["--reader", str(tmp_path / "reader"), "--output", str(tmp_path / "out")]
    return [*folders, *(word for name, value in sizes.items() for word in (f"--{name}", str(value)))]


def test_a_run_goes_on_where_it_was_ended(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    SCRIPT["main"](tiny)
    out = capsys.readouterr().out
    table = [line for line in out.splitlines() if line.startswith("| ")][1:]
    assert [line.split(":")[0].split(")")[0] for line in table] == [
        *("| written (erased", "| rows (erased", "| rows (exact", "| deep (erased", "| deep (exact", "| stability"),
    ]
    deep = json.loads((tmp_path / "out" / "deep.json").read_text())
    assert deep["residue"]["exact"]["num_differing"] == 0 and deep["training"]["steps"] == 2
    assert deep["answers"]["taken"] > 0 and deep["answers"]["differing"] == 0 and 0 <= deep["right_deep_alone"] <= 1
    stability = json.loads((tmp_path / "out" / "stability.json").read_text())
    assert (stability["num_updates"], stability["num_erased"], stability["num_other_logits"]) == (10, 10, 0)

    (tmp_path / "out" / "deep.json").unlink()  # ended behind the training and all answers
    monkeypatch.setattr("widedeep_kb.training.fit.fit", None)  # the memory is not trained again, the control is
    SCRIPT["main"]([*tiny, "--parts", "deep"])
    again = json.loads((tmp_path / "out" / "deep.json").read_text())
    assert again["answers"]["generated"] == 0 and again["right"]["before"] == deep["right"]["before"]


def test_changes_need_facts(tiny: list[str]) -> None:
    with pytest.raises(ValueError, match="8 questions and 200 changes need more than 36 facts"):
        SCRIPT["main"]([*tiny, "--parts", "stability", "--num-changes", "100"])
