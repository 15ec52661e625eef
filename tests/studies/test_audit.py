"""Audits of a tiny memory: nothing is left of facts that were written or refined, the folder stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.training_record import DEEP
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.schema import QUESTION_SCHEMA, facts_from_records
from widedeep_kb.studies.audit import NUM_PHRASINGS, audit, control_of, copy_at_rest, probes_of
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

MakeLM = Callable[..., FrozenLM]
NAMES = ("Zorvania Keep", "Mirelund", "Quandor Hills", "Brexley", "Tolmaria", "Vashtin", "Orlundia", "Pexford")
FACTS = [
    {"subject": name, "relation": "port", "object": str(110 + 37 * i), "subject_aliases": [f"Old {name}"]}
    for i, name in enumerate(NAMES)
]
QUICK = {"steps": 6, "batch_size": 6, "num_subkeys": 5, "validate_every": 6, "num_validation": 2}


def saved(lm: FrozenLM, tmp_path: Path, *, training: dict[str, object] | None) -> Path:
    """A memory folder, trained as told."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write(FACTS)
    if training is not None:
        fit(memory, FitConfig(**QUICK, **training, row_lr=0.1, dense_lr=0.05, log_dir=tmp_path / "logs"))
    memory.save(tmp_path / "memory")
    return tmp_path / "memory"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("training", [None, {"deep": False}, {"deep": True}], ids=["written", "rows", "deep"])
def test_nothing_is_left(tiny_frozen_lm: MakeLM, tmp_path: Path, training: dict[str, object] | None) -> None:
    lm = tiny_frozen_lm("llama")
    folder = saved(lm, tmp_path, training=training)
    before = contents(folder)
    gone = facts_from_records([*FACTS[2:4], {"subject": "Nowhere", "relation": "port", "object": "1"}])
    questions = pl.DataFrame(
        [{"question": "Say it?", "answers": ["x"], "fact_id": gone["fact_id"][0], "tags": []}], schema=QUESTION_SCHEMA
    )
    is_deep = bool(training and training["deep"])
    result = audit(folder, gone, lm=lm, questions=questions, is_exact=training is not None, max_new_tokens=3)
    assert contents(folder) == before
    assert result.num_facts == 2 and result.absent == ["Nowhere | port | 1"]
    assert result.answers.height == 2 * NUM_PHRASINGS + 1
    assert result.shared == ((DEEP,) if is_deep else ())
    last = result.residues["erased" if training is None else "exact"]
    assert (last.interval.mean, last.interval.low, last.interval.high) == (0.0, 0.0, 0.0) and last.num_differing == 0
    assert any(report.found for report in result.held) and not any(report.found for report in result.files)
    assert result.leftovers == [] and all(result.num_traces.values()) and result.is_clean
    assert (result.answers["before"] != result.answers["control"]).any()


def test_a_residue_is_seen(tiny_frozen_lm: MakeLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from widedeep_kb.studies import audit as module

    lm = tiny_frozen_lm("llama")
    folder = saved(lm, tmp_path, training=None)
    answers = iter([["right"] * 12, ["off"] * 12, ["off"] * 12, ["right"] * 3 + ["off"] * 9])
    monkeypatch.setattr(module, "answers_of", lambda *_args, **_kwargs: next(answers))
    monkeypatch.setattr(module, "_is_right", lambda texts, _: pl.Series(t == "right" for t in texts).to_numpy() * 1.0)
    result = audit(folder, facts_from_records(FACTS[:2]), lm=lm)
    assert result.residues["erased"].interval.mean == pytest.approx(0.25) and not result.is_clean
    assert result.residues["erased"].num_differing == 3 and result.right["before"] == 1.0


def test_probes_name_the_subject_in_many_ways() -> None:
    probes = probes_of(facts_from_records(FACTS))
    assert probes.height == NUM_PHRASINGS * len(FACTS)
    assert set(probes["kind"]) == {"trained", "heldout", "paraphrase", "alias", "near miss", "other case"}
    assert probes.equals(probes_of(facts_from_records(FACTS)))
    for (kind,), part in probes.group_by("kind"):
        names = dict(zip(facts_from_records(FACTS)["fact_id"], NAMES, strict=True))
        has_name = [names[row["fact_id"]] in row["question"] for row in part.iter_rows(named=True)]
        assert any(has_name) == all(has_name) == (kind not in ("near miss", "other case")), kind


def test_a_copied_control_is_a_written_one(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    lm = tiny_frozen_lm("llama")
    memory = KnowledgeMemory.from_pretrained(saved(lm, tmp_path, training=None), llm=lm)
    control = control_of(memory, memory.store.catalogue.find(subject=NAMES[2]).ordinals)
    written = KnowledgeMemory(lm, memory.reader)
    written.write([fact for fact in FACTS if fact["subject"] != NAMES[2]])
    facts = [one.store.catalogue.rows(one.store.catalogue.alive()) for one in (control, written)]
    assert facts[0].equals(facts[1])
    asked = probes_of(facts_from_records(FACTS))["question"].to_list()
    rows = [one.store.recall(asked).rows for one in (control, written)]
    assert torch.equal(*rows)


def test_audit_refuses_facts_that_are_not_there(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    lm = tiny_frozen_lm("llama")
    folder = saved(lm, tmp_path, training=None)
    with pytest.raises(ValueError, match="none of the 1 facts"):
        audit(folder, facts_from_records([{"subject": "Nowhere", "relation": "port", "object": "1"}]), lm=lm)


def test_a_folder_is_copied_in_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, copies = tmp_path / "memory", []
    (folder / "snapshot").mkdir(parents=True)
    (folder / "snapshot" / "journal").write_text("1")

    def copytree(*args: object, is_always: bool = False, **options: object) -> None:
        copies.append(args)
        if len(copies) == 1:
            (folder / "snapshot").rename(folder / "other")
            raise shutil.Error([("a", "b", "no such file")])
        if len(copies) == 2 or is_always:
            real(*args, **options)
            (folder / "other" / "journal").write_text("1" * len(copies))
        else:
            real(*args, **options)

    real, others = shutil.copytree, {"rmtree": shutil.rmtree, "ignore_patterns": shutil.ignore_patterns}
    monkeypatch.setattr("widedeep_kb.studies.audit.shutil", SimpleNamespace(copytree=copytree, **others))
    copy_at_rest(folder, tmp_path / "copy")
    assert len(copies) == 3 and (tmp_path / "copy" / "other" / "journal").read_text() == "11"
    always = SimpleNamespace(copytree=partial(copytree, is_always=True), **others)
    monkeypatch.setattr("widedeep_kb.studies.audit.shutil", always)
    with pytest.raises(ValueError, match="is changed all the time"):
        copy_at_rest(folder, tmp_path / "never")


def test_a_damaged_folder_is_named_as_it_was_given(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    lm = tiny_frozen_lm("llama")
    folder = saved(lm, tmp_path, training=None)
    (folder / "snapshot-000001" / "trainings.json").write_text("{")
    with pytest.raises(ValueError, match=f"^{folder}/snapshot-000001/trainings.json: a damaged record"):
        audit(folder, facts_from_records(FACTS[:1]), lm=lm)


def test_json_is_plain(tiny_frozen_lm: MakeLM, tmp_path: Path) -> None:
    from widedeep_kb.cli.audit import as_json, lines_of

    lm = tiny_frozen_lm("llama")
    result = audit(saved(lm, tmp_path, training=None), facts_from_records(FACTS[:1]), lm=lm, max_new_tokens=2)
    shown = json.loads(json.dumps(as_json(result)))
    assert shown["is_clean"] and shown["residue"]["erased"]["mean"] == 0.0 and shown["traces"]["row"] >= 1
    assert any(line.endswith("nothing") for line in lines_of(result))


def test_a_fact_without_aliases_is_asked_in_another_frame() -> None:
    probes = probes_of(facts_from_records([{"subject": "Ip", "relation": "seal", "object": "x"}]))
    assert probes["kind"].to_list() == ["trained", *["heldout"] * 3, "near miss", "other case"]
    assert probes["question"].n_unique() == NUM_PHRASINGS
