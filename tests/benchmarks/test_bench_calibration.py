"""The calibration benchmark on kept answers: it asks nothing again and prints every figure."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.signs import AnswerSigns
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.studies.calibration_answers import ANSWERED_SCHEMA
from widedeep_kb.studies.calibration_questions import KINDS, TEST_DOMAINS

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bench_calibration.py"))


def keep_answers(folder: Path, *, num: int) -> None:
    """Random answers to each domain's questions."""
    rng = np.random.default_rng(0)
    for domain in TEST_DOMAINS:
        columns = {name: rng.random(num) for name in AnswerSigns._fields}
        columns |= {name: -column for name, column in columns.items() if name.endswith("log_probability")}
        texts = {name: ["x"] * num for name in ANSWERED_SCHEMA if name not in columns}
        texts |= {"domain": [domain] * num, "answers": [["x"]] * num, "is_right": (rng.random(num) < 0.5).tolist()}
        texts["kind"] = rng.choice(KINDS, num).tolist()
        pl.DataFrame(texts | columns).select(*ANSWERED_SCHEMA).cast(ANSWERED_SCHEMA).write_parquet(
            folder / f"{domain}.parquet"
        )


def test_every_figure_is_printed(
    tiny_frozen_lm: Callable[..., FrozenLM],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    memory = KnowledgeMemory(tiny_frozen_lm(), Reader(ReaderConfig.for_lm(tiny_frozen_lm(), slot_width=8, num_heads=2)))
    memory.reader.calibration.weight[0] = 1.0  # of the mean of the logarithms
    memory.reader.calibration.thresholds.fill_(0.4)
    monkeypatch.setattr(KnowledgeMemory, "from_pretrained", lambda **_kwargs: memory)
    keep_answers(tmp_path, num=40)
    SCRIPT["main"](["--data-dir", str(tmp_path), "--answers", str(tmp_path), "--precisions", "0.9", "0.95"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["curve"] for row in rows if "curve" in row} == {"raw_confidence", "confidence"}
    totals = [row for row in rows if "recall" in row]
    assert [row["precision_asked"] for row in totals] == [0.9, 0.95]
    assert all(0 < row["num_answered"] < row["num_questions"] == 40 * len(TEST_DOMAINS) for row in totals)
    assert {row["of"] for row in rows if "error_confidence" in row} >= {"all", *KINDS, *TEST_DOMAINS}
