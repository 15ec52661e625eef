"""Joint training on a tiny Llama: what learns, what stays bit for bit, private facts, erased facts, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig

MakeLM = Callable[..., FrozenLM]
NAMES = ("Zorvania", "Mirelund", "Quandor", "Brexley", "Tolmaria", "Vashtin", "Orlundia", "Pexford")
FACTS = [{"subject": name, "relation": "port", "object": str(110 + 37 * i)} for i, name in enumerate(NAMES)]
SECRET = {"subject": "Zorvania", "relation": "key", "object": "901", "private": True}


def open_memory(lm: FrozenLM, *, facts: list[dict] = FACTS) -> KnowledgeMemory:
    """A small untrained reader with open gates, and facts written by it."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    if facts:
        memory.write(facts)
    return memory


@pytest.fixture
def config(tmp_path: Path) -> FitConfig:
    """A few quick steps."""
    sizes = {"steps": 12, "batch_size": 8, "num_subkeys": 6, "validate_every": 6, "num_validation": 4}
    return FitConfig(**sizes, row_lr=0.1, log_dir=tmp_path)


def dense(memory: KnowledgeMemory, part: str = "") -> dict[str, Tensor]:
    """Copies of the reader's parameters whose name begins with `part`."""
    return {n: t.detach().clone() for n, t in memory.reader.state_dict().items() if n.startswith(part)}


def rows_by_fact(memory: KnowledgeMemory) -> dict[str, Tensor]:
    """The stored rows of each fact, copied."""
    catalogue = memory.store.catalogue
    found = {}
    for ordinal in catalogue.alive():
        rows, _, _ = memory.store.rows_of(np.array([[ordinal]]))
        found[catalogue.rows(np.array([ordinal]))["fact_id"][0]] = rows[0].clone()
    return found


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether both hold the same names and bits."""
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def test_the_loss_falls_and_only_what_is_trained_changes(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    lm = tiny_frozen_lm("llama")
    llm = {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}
    memory = open_memory(lm)
    writer, adapters, rows = dense(memory, "writer"), dense(memory, "adapters"), rows_by_fact(memory)
    metrics = fit(memory, replace(config, steps=40, validate_every=40, dense_lr=2e-2))
    assert metrics["train/loss_last"] < 0.95 * metrics["train/loss_first"]
    assert set(metrics) >= {"val/exact_match/trained", "val/exact_match/heldout"}
    assert metrics["num_facts"] == len(FACTS) and metrics["steps"] == 40
    assert same(writer, dense(memory, "writer")) and same(adapters, dense(memory, "adapters"))
    assert same(llm, dict(lm.model.state_dict()))
    assert all(p.grad is None for p in lm.model.parameters())
    after = rows_by_fact(memory)
    assert all(not torch.equal(rows[name], after[name]) for name in rows)
    assert memory.ask("What is the port of Zorvania?").prompt_tokens


def test_the_deep_memory_gets_a_gradient_and_the_writer_none(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    memory = open_memory(tiny_frozen_lm("llama"))
    memory.reader.add_deep(6)
    before = dense(memory)
    fit(memory, config)
    after = dense(memory)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("deep_")}


def test_adapters_are_trained_when_asked(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    memory = open_memory(tiny_frozen_lm("llama"))
    before = dense(memory)
    row_format = memory.reader.row_format()
    fit(memory, replace(config, train_adapters=True, deep=False))
    after = dense(memory)
    assert all(torch.equal(before[n], after[n]) == n.startswith(("writer", "gate", "calibration")) for n in before)
    assert memory.reader.row_format() == row_format


def test_arms_train_what_they_say(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    memory = open_memory(tiny_frozen_lm("llama"))
    parts = dense(memory)
    fit(memory, replace(config, deep=False))
    assert not memory.reader.has_deep and same(parts, dense(memory))
    rows = rows_by_fact(memory)
    fit(memory, replace(config, wide=False))
    assert memory.reader.has_deep and memory.use_deep
    assert same(rows, rows_by_fact(memory))


def test_rows_of_facts_not_asked_for_stay(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    facts = [*FACTS, {"subject": "Zorvania", "relation": "owner", "object": "Ada"}]
    memory = open_memory(tiny_frozen_lm("llama"), facts=facts)
    rows, momentum = rows_by_fact(memory), memory.store.table.momentum.clone()
    chosen = memory.store.catalogue.find(subject="Mirelund").ordinals
    fit(memory, config, ordinals=chosen)
    after = rows_by_fact(memory)
    changed = [name for name in rows if not torch.equal(rows[name], after[name])]
    assert changed == memory.store.catalogue.rows(chosen)["fact_id"].to_list()
    assert (memory.store.table.momentum != momentum).sum() == 1


def test_rows_with_little_to_learn_hardly_move(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    moved = []
    for eps in (1e-6, 1e6):
        memory = open_memory(tiny_frozen_lm("llama"))
        before = rows_by_fact(memory)
        fit(memory, replace(config, deep=False, steps=2, row_eps=eps))
        moved.append(max((rows - before[name]).abs().max().item() for name, rows in rows_by_fact(memory).items()))
    assert moved[0] > 0.1 and moved[1] < 0.01


def test_an_erased_fact_stays_erased(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    memory = open_memory(tiny_frozen_lm("llama"))
    gone = memory.store.catalogue.find(subject="Quandor").ordinals
    ids, _ = memory.store.row_ids_of(gone[None])
    memory.erase(gone)
    fit(memory, config)
    assert not memory.store.table.weight[ids.ravel()].any() and not memory.store.table.momentum[ids.ravel()].any()
    assert (memory.store.recall(["What is the port of Quandor?"]).row_ids < 0).all()


@pytest.mark.parametrize("train_adapters", [False, True])
def test_a_private_fact_moves_nothing_but_its_own_rows(
    tiny_frozen_lm: MakeLM, config: FitConfig, train_adapters: bool
) -> None:
    config = replace(config, train_adapters=train_adapters)
    public, mixed = open_memory(tiny_frozen_lm("llama")), open_memory(tiny_frozen_lm("llama"), facts=[*FACTS, SECRET])
    written = rows_by_fact(mixed)
    fit(public, config)
    metrics = fit(mixed, config)
    assert same(dense(public), dense(mixed))
    expected, rows = rows_by_fact(public), rows_by_fact(mixed)
    (secret,) = rows.keys() - expected.keys()
    assert same(expected, {name: rows[name] for name in expected})
    assert not torch.equal(written[secret], rows[secret])
    assert "val/exact_match/private/trained" in metrics


@pytest.mark.parametrize("train_adapters", [False, True])
def test_folders_with_and_without_a_private_fact_differ_in_its_bytes_only(
    tiny_frozen_lm: MakeLM, config: FitConfig, tmp_path: Path, train_adapters: bool
) -> None:
    folders = []
    for name, facts in (("public", FACTS), ("mixed", [*FACTS, SECRET])):
        memory = open_memory(tiny_frozen_lm("llama"), facts=facts)
        for seed in (0, 1):
            fit(memory, replace(config, train_adapters=train_adapters, seed=seed))
        memory.save(tmp_path / name)
        folders.append(tmp_path / name / "snapshot-000001")
    for part in ("reader/reader.safetensors", "base/reader.safetensors"):
        assert (folders[0] / part).read_bytes() == (folders[1] / part).read_bytes()
    public, mixed = (load_file(folder / "rows.safetensors") for folder in folders)
    num_rows = len(public["rows"])
    assert len(mixed["rows"]) > num_rows and public["momentum"].all()
    for part in ("rows", "momentum"):
        assert public[part].numpy().tobytes() == mixed[part][:num_rows].numpy().tobytes()


def test_a_resumed_run_equals_a_straight_one(tiny_frozen_lm: MakeLM, config: FitConfig, tmp_path: Path) -> None:
    straight, broken = open_memory(tiny_frozen_lm("llama")), open_memory(tiny_frozen_lm("llama"))
    fit(straight, replace(config, validate_every=4))
    checkpoint = tmp_path / "middle.ckpt"
    with pytest.raises(KeyboardInterrupt):
        _fit_until(broken, replace(config, validate_every=4), checkpoint)
    resumed = open_memory(tiny_frozen_lm("llama"))
    metrics = fit(resumed, replace(config, validate_every=4, resume_from=checkpoint))
    assert metrics["steps"] == config.steps
    assert same(dense(straight), dense(resumed))
    assert same(rows_by_fact(straight), rows_by_fact(resumed))
    assert torch.equal(straight.store.table.momentum, resumed.store.table.momentum)


def test_a_checkpoint_of_other_facts_is_refused(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    fit(open_memory(tiny_frozen_lm("llama")), config)
    checkpoint = next(config.log_dir.glob("fit/*/last.ckpt"))
    other = open_memory(tiny_frozen_lm("llama"), facts=FACTS[:4])
    with pytest.raises(ValueError, match="other facts"):
        fit(other, replace(config, resume_from=checkpoint))
    with pytest.raises(ValueError, match=r"no checkpoint 'nowhere.ckpt'"):
        fit(other, replace(config, resume_from=Path("nowhere.ckpt")))


def test_a_run_leaves_its_settings_and_figures(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    fit(open_memory(tiny_frozen_lm("llama")), config)
    folder = config.log_dir / "fit" / "version_0"
    record = json.loads((folder / "run.json").read_text())
    assert record["config"]["seed"] == 0 and record["config"]["row_lr"] == 0.1 and "commit" in record
    header = (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"train/loss", "val/exact_match", "val/exact_match/heldout"} <= set(header)


def test_training_stops_when_exact_match_stays(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    metrics = fit(open_memory(tiny_frozen_lm("llama")), replace(config, steps=40, validate_every=2, patience=2))
    assert metrics["steps"] == 6  # an untrained reader answers nothing: the first validation stays the best


def test_a_run_is_logged_offline_to_wandb(
    tiny_frozen_lm: MakeLM, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(open_memory(tiny_frozen_lm("llama")), replace(config, steps=2, wandb=True))
    assert wandb.run is None  # finished: a second fit starts a run of its own
    (log,) = (config.log_dir / "fit" / "version_0").glob("wandb/offline-run-*/*.wandb")
    assert log.stat().st_size


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("wide_dropout", 1.5), ("row_lr", -1.0)])
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        FitConfig(**{name: value})


def test_a_memory_without_facts_is_refused(tiny_frozen_lm: MakeLM, config: FitConfig) -> None:
    with pytest.raises(ValueError, match="none of 0 facts"):
        fit(open_memory(tiny_frozen_lm("llama"), facts=[]), config)


def _fit_until(memory: KnowledgeMemory, config: FitConfig, checkpoint: Path) -> None:
    """Train, save the checkpoint of step 8 to `checkpoint`, and be interrupted at once."""
    import shutil

    from widedeep_kb.training.joint_module import JointModule

    original = JointModule.training_step

    def step(module: JointModule, batch: object, batch_idx: int) -> Tensor | None:
        if module.global_step == 9:
            shutil.copy(next(p for p in sorted(config.log_dir.glob("fit/*/last.ckpt"))[-1:]), checkpoint)
            raise KeyboardInterrupt
        return original(module, batch, batch_idx)

    JointModule.training_step = step
    try:
        fit(memory, config)
    finally:
        JointModule.training_step = original
