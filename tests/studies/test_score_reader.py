"""Scoring a reader on validation chunks: one figure a class, printed and returned; what is missing is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.studies import score_reader
from widedeep_kb.studies.insertion import insertion_chunk
from widedeep_kb.training.fact_table import FactTable

MakeLM = Callable[..., FrozenLM]


def folders(tmp_path: Path, lm: FrozenLM) -> tuple[Path, Path]:
    """An untrained reader, and a validation chunk of thirty facts that each have a distractor."""
    torch.manual_seed(0)
    Reader(ReaderConfig.for_lm(lm, slot_width=32, num_heads=4, head_dim=16)).save(tmp_path / "reader")
    subjects = [f"Port{i // 2}ville" for i in range(60)]
    relations = ["harbour depth", "harbour owner"] * 30
    table = FactTable(
        name="harbours",
        subjects=subjects,
        relations=relations,
        objects=[str(i) for i in range(60)],
        prefixes=[f"The {r} of {s} is" for s, r in zip(subjects, relations, strict=True)],
        groups=np.arange(60) // 2,
    )
    chunk = insertion_chunk(
        lm.tokenizer, table, num_questions=20, seed=0, end_id=lm.newline_id, phrasings=("trained", "heldout")
    )
    assert ((chunk.candidates >= 0).sum(1) == 1).mean() > 0.5  # narrowed to the relation that is named
    (tmp_path / "materials").mkdir()
    chunk.save(tmp_path / "materials" / "harbours.npz")
    return tmp_path / "reader", tmp_path / "materials"


def test_every_class_gets_a_figure(
    tiny_frozen_lm: MakeLM,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lm = tiny_frozen_lm()
    reader, materials = folders(tmp_path, lm)
    monkeypatch.setattr(score_reader, "load_lm", lambda _name: lm)
    scores = score_reader.main(["--reader", str(reader), "--materials", str(materials)])
    assert set(scores) == {"harbours/trained", "harbours/heldout"}
    assert all(0 <= value <= 1 for value in scores.values())
    lines = [json.loads(line) for line in capsys.readouterr().out.strip().splitlines()]
    assert lines[0]["harbours/trained"]["recall"] == 1.0
    assert lines[-1] == {name: round(value, 4) for name, value in scores.items()}


def test_a_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        score_reader.main(["--reader", str(tmp_path), "--materials", str(tmp_path), "--sets", "nowhere"])
