"""Plans: bytes that agree with what is allocated, TorchRec's choice of place, and what is missing."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from widedeep_kb.lm import LMSizes
from widedeep_kb.memory.packed import PackedTable, codec_for
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.tiers import (
    DEALT,
    GPU_ROWS,
    HOST_ROWS,
    KEPT_FREE,
    KEPT_FREE_HOST,
    ON_CPU,
    ON_ONE,
    PACKED,
    Load,
    MemoryPlan,
    Room,
    plan_memory,
)
from widedeep_kb.memory.wide import WideTable

GB = 10**9
ON_GPU, CACHED = f"{GPU_ROWS}, {ON_ONE}", f"{HOST_ROWS}, {ON_ONE}"
ON_GPUS, ALL_CACHED = f"{GPU_ROWS}, {DEALT}", f"{HOST_ROWS}, {DEALT}"
CONFIG = ReaderConfig(hidden_size=576, adapter_layers=(10, 18, 26, 29), writer_layers=(9, 17))
LLM = LMSizes(hidden_size=576, vocab_size=49_152, num_parameters=135_000_000)


def plan(load: Load, room: Room) -> MemoryPlan:
    return plan_memory(load, room, config=CONFIG, llm=LLM)


def room(num_devices: int = 1, *, budget: int | None = None, host: int = 128 * GB) -> Room:
    return Room(num_devices, 80 * GB, host, budget)


def bytes_of(found: MemoryPlan) -> dict[str, int]:
    return {tier.name: tier.num_bytes for tier in found.tiers}


@pytest.mark.parametrize(
    ("num_facts", "place", "choice", "kernel"),
    [
        (10**7, room(), ON_GPU, "fused"),
        (10**7, room(budget=5 * GB), CACHED, "fused_uvm_caching"),
        (3 * 10**7, room(), CACHED, "fused_uvm_caching"),
        (3 * 10**7, room(2), ON_GPUS, "fused"),
        (10**8, room(8, host=512 * GB), ON_GPUS, "fused"),
        (10**8, room(2, host=512 * GB), ALL_CACHED, "fused_uvm_caching"),
        (1000, room(8), ON_GPUS, "fused"),
        (10**6, room(0), ON_CPU, "fused"),
    ],
)
def test_the_planner_chooses(num_facts: int, place: Room, choice: str, kernel: str) -> None:
    found = plan(Load(num_facts), place)
    assert (found.choice, found.table.compute_kernel, found.missing) == (choice, kernel, ())
    times = [prediction.ms for prediction in found.predictions]
    assert times == sorted(times) and times[0] > 0
    assert (found.hit_rate < 1) == (choice in (CACHED, ALL_CACHED))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_chosen_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(6):
        num_devices = int(rng.integers(0, 9))
        budget = int(rng.integers(1, 60)) * GB if rng.random() < 0.5 and num_devices else None
        place = Room(num_devices, int(rng.integers(8, 200)) * GB, int(rng.integers(16, 2000)) * GB, budget)
        found = plan(Load(int(10 ** rng.uniform(3, 9)), is_trained=bool(rng.random() < 0.5)), place)
        if found.missing:
            assert found.table is None and found.predictions == ()
            continue
        on_gpu = sum(tier.num_bytes for tier in found.tiers if tier.is_on_gpu)
        on_host = sum(tier.num_bytes for tier in found.tiers if not tier.is_on_gpu)
        assert on_gpu <= place.device_bytes * (1 - KEPT_FREE)
        assert on_host <= place.host_bytes * (1 - KEPT_FREE_HOST) / max(1, num_devices)
        sizes = bytes_of(found)
        if budget:
            states = sizes["optimizer state and liveness, rows"]  # 5 bytes a row; the cache's own note takes 4
            assert sizes.get("GPU rows", sizes.get("GPU cache", 0) - states * 4 // 5) <= budget


def test_missing_bytes_are_exact() -> None:
    load = Load(10**8)
    found = plan(load, room())
    assert found.table is None
    gpu, host = (
        int(re.search(r"([\d,]+) bytes (?:of it )?missing", line)[1].replace(",", "")) for line in found.missing
    )
    enough = replace(room(), device_bytes=80 * GB + int(gpu / (1 - KEPT_FREE)) + 2)
    assert plan(load, enough).choice == ON_GPU
    assert plan(load, replace(enough, device_bytes=enough.device_bytes - 2 * 10**6)).missing
    enough = replace(room(), host_bytes=128 * GB + int(host / (1 - KEPT_FREE_HOST)) + 2)
    assert plan(load, enough).choice == CACHED
    assert plan(load, replace(enough, host_bytes=enough.host_bytes - 2 * 10**6)).missing
    (line,) = plan(load, room(host=10 * GB)).missing
    assert line == "index and catalogue: 28,000,000,000 bytes of host memory missing for each rank"
    (line,) = plan(load, room(0)).missing
    assert line == "rows: 178,978,259,280 bytes of host memory missing"


def test_bytes_are_those_of_the_real_parts() -> None:
    load = Load(4000, rows_per_fact=2, row_format="fp32", is_trained=True, num_subkeys=16)
    found = bytes_of(plan(load, room(0)))
    table, reader = WideTable(8000, 1024), Reader(CONFIG)
    assert found["host rows"] == table.weight.nbytes
    assert found["optimizer state and liveness, rows"] == table.momentum.nbytes + table.is_live.nbytes
    wide = sum(p.nbytes for p in reader.parameters())
    assert found["writer, adapters, gate"] == wide
    reader.add_deep(16)
    assert found["deep memory"] == sum(p.nbytes for p in reader.parameters()) - wide
    dense = list(reader.parameters())
    for parameter in dense:
        parameter.grad = torch.zeros_like(parameter)
    optimizer = torch.optim.AdamW(dense)
    optimizer.step()
    moments = sum(t.nbytes for state in optimizer.state.values() for t in state.values() if t.dim())
    scalars = sum(p.nbytes for p in dense if not p.dim())
    assert (
        moments <= found["gradients and optimizer state, dense"] - sum(p.nbytes for p in dense) <= moments + 2 * scalars
    )
    assert "gradients and optimizer state, dense" not in bytes_of(plan(replace(load, is_trained=False), room(0)))
    assert found["LLM"] == 540_000_000 and bytes_of(plan(load, room()))["LLM"] == 270_000_000


def test_bfloat16_rows_cannot_be_cached() -> None:
    found = plan(Load(10**7, row_format="bf16"), room(budget=GB))
    assert found.missing[-1] == "rows in host memory: a GPU cache holds no bf16 rows"
    with pytest.raises(ValueError, match="one of fp32, fp16, bf16, int8, int4, compact, got 'int3'"):
        plan(Load(10, row_format="int3"), room())


@pytest.mark.parametrize("row_format", PACKED)
def test_packed_rows_take_what_their_table_takes(row_format: str) -> None:
    reader = Reader(CONFIG)
    codec = codec_for(row_format, 1024, writer=reader.writer, embedding_weight=torch.zeros(49_152, 576))
    table = PackedTable(codec, 1000)
    for place in (room(0), room()):
        found = bytes_of(plan(Load(1000, rows_per_fact=1, row_format=row_format), place))
        assert found["host rows" if place.num_devices == 0 else "GPU rows"] == table.weight.nbytes
        assert found["optimizer state and liveness, rows"] == table.is_live.nbytes + table.momentum.nbytes
        tables = codec.tables.nbytes if row_format == "compact" else 0
        assert found.get("token tables of compact rows", 0) == tables
    with pytest.raises(ValueError, match=f"rows stored as {row_format} cannot be trained"):
        plan(Load(1000, row_format=row_format, is_trained=True), room())
    with pytest.raises(ValueError, match="cannot be dealt over 2 GPUs"):
        plan(Load(1000, row_format=row_format), room(2))
    assert "holds no" in plan(Load(10**8, row_format=row_format), room(budget=10**9)).missing[-1]


def test_logging_is_as_before() -> None:
    plan(Load(1000), room())
    assert logging.root.manager.disable == logging.NOTSET
