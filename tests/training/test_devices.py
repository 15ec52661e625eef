"""`fit` on two processes: the losses and the memory of one, checkpoints for any number, failures in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.training.devices import fit_on_devices
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import DeviceConfig, FitConfig, ShardingConfig

NAMES = ("Zorvania", "Mirelund", "Quandor", "Brexley", "Tolmaria", "Vashtin", "Orlundia", "Pexford")
FACTS = [{"subject": name, "relation": "port", "object": str(110 + 37 * i)} for i, name in enumerate(NAMES)]
SECRET = {"subject": "Zorvania", "relation": "key", "object": "901", "private": True}
TWO = DeviceConfig(devices=2, accelerator="cpu")


@pytest.fixture(scope="module")
def lm(
    tiny_causal_lm: Callable[..., PreTrainedModel],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> FrozenLM:
    """A tiny LLM on disk, where the workers find it."""
    folder = tmp_path_factory.mktemp("llm")
    tiny_causal_lm("llama", num_layers=2).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return load_lm(str(folder), device="cpu")


@pytest.fixture
def config(tmp_path: Path) -> FitConfig:
    """A few quick steps; five questions do not divide by two."""
    sizes = {"steps": 8, "batch_size": 5, "num_subkeys": 6, "validate_every": 4, "num_validation": 3}
    return FitConfig(**sizes, row_lr=0.1, unrelated_share=0.25, log_dir=tmp_path)


def open_memory(lm: FrozenLM, *, facts: list[dict] = FACTS) -> KnowledgeMemory:
    """A small untrained reader with open gates, and facts written by it."""
    torch.manual_seed(0)
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    for adapter in reader.adapters:
        adapter.gate.data.fill_(2.0)
    memory = KnowledgeMemory(lm, reader)
    memory.write(facts)
    return memory


def tensors(memory: KnowledgeMemory) -> dict[str, Tensor]:
    """All that training changes, copied: dense parts, live rows and their optimizer state."""
    table, used = memory.store.table, memory.store.table.allocator.num_used
    found = {name: tensor.clone() for name, tensor in memory.reader.state_dict().items()}
    return found | {"rows": table.weight[:used].float().clone(), "momentum": table.momentum[:used].clone()}


def losses(config: FitConfig, run: int) -> list[float]:
    """The losses that a run logged."""
    import polars as pl

    frame = pl.read_csv(config.log_dir / "fit" / f"version_{run}" / "metrics.csv")
    return frame.sort("step")["train/loss"].drop_nulls().to_list()


def check_close(one: KnowledgeMemory, two: KnowledgeMemory, *, tolerance: float) -> None:
    """Both memories hold the same numbers but for rounding."""
    first, second = tensors(one), tensors(two)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(second[name], first[name], atol=tolerance, rtol=tolerance, msg=name)


@pytest.mark.parametrize(("train_adapters", "sharding_type"), [(False, "row_wise"), (True, "table_wise")])
def test_two_devices_train_as_one(lm: FrozenLM, config: FitConfig, train_adapters: bool, sharding_type: str) -> None:
    config = replace(config, train_adapters=train_adapters)
    one, two = open_memory(lm, facts=[*FACTS, SECRET]), open_memory(lm, facts=[*FACTS, SECRET])
    before, expected = tensors(two), fit(one, config)
    found = fit_on_devices(two, config, devices=TWO, sharding=ShardingConfig((sharding_type,)))
    assert found["num_devices"] == 2 and found["sharding_type"] == sharding_type
    assert losses(config, 1) == pytest.approx(losses(config, 0), rel=2e-3) and len(losses(config, 0)) == config.steps
    check_close(one, two, tolerance=5e-3)
    assert not torch.equal(before["rows"], tensors(two)["rows"]) and two.use_deep
    exact = [name for name in expected if name.startswith(("val/", "num_", "steps"))]
    assert {name: found[name] for name in exact} == {name: expected[name] for name in exact}


def test_a_checkpoint_of_two_devices_resumes_on_two_and_on_one(lm: FrozenLM, config: FitConfig) -> None:
    config = replace(config, steps=6)  # the only checkpoint is of step 4
    straight, resumed, alone = open_memory(lm), open_memory(lm), open_memory(lm)
    fit_on_devices(straight, config, devices=TWO)
    later = replace(config, resume_from=config.log_dir / "fit" / "version_0" / "last.ckpt")
    assert later.resume_from.is_dir()
    metrics = fit_on_devices(resumed, later, devices=TWO)
    assert metrics["steps"] == 6 and losses(config, 1) == losses(config, 0)[4:]
    first, second = tensors(straight), tensors(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    fit(alone, later)
    assert losses(config, 2) == pytest.approx(losses(config, 0)[4:], rel=2e-3)
    check_close(straight, alone, tolerance=5e-3)


def test_a_checkpoint_of_one_device_resumes_on_two(lm: FrozenLM, config: FitConfig) -> None:
    config = replace(config, steps=6)
    straight, resumed = open_memory(lm), open_memory(lm)
    fit(straight, config)
    later = replace(config, resume_from=config.log_dir / "fit" / "version_0" / "last.ckpt")
    fit_on_devices(resumed, later, devices=TWO)
    assert losses(config, 1) == pytest.approx(losses(config, 0)[4:], rel=2e-3)
    check_close(straight, resumed, tolerance=5e-3)


def test_a_worker_that_fails_leaves_one_line_and_the_memory(lm: FrozenLM, config: FitConfig) -> None:
    memory = open_memory(lm)
    before = tensors(memory)
    with pytest.raises(ValueError, match=r"^there is no checkpoint 'nowhere.ckpt'$"):
        fit_on_devices(memory, replace(config, resume_from=Path("nowhere.ckpt")), devices=TWO)
    after = tensors(memory)
    assert all(torch.equal(before[name], after[name]) for name in before) and before.keys() == after.keys()


def test_more_gpus_than_there_are_is_refused(lm: FrozenLM, config: FitConfig) -> None:
    many = DeviceConfig(devices=99, accelerator="gpu")
    with pytest.raises(ValueError, match="99 GPUs are asked for"):
        fit_on_devices(open_memory(lm), config, devices=many)


def test_rows_that_cannot_be_trained_are_refused(lm: FrozenLM, config: FitConfig) -> None:
    reader = Reader(ReaderConfig.for_lm(lm, slot_width=16, num_heads=2, head_dim=16))
    memory = KnowledgeMemory.from_pretrained(llm=lm, reader=reader, row_format="int8")
    with pytest.raises(ValueError, match="int8"):
        fit_on_devices(memory, config, devices=TWO)


@pytest.mark.parametrize(("name", "value"), [("devices", 0), ("accelerator", "tpu")])
def test_impossible_devices_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        DeviceConfig(**{name: value})
