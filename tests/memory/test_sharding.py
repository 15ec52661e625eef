"""Rows over two processes: the same look-ups and updates as on one, saved and loaded, bad row numbers refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from widedeep_kb.memory.sharding import ShardedRows, check_same_facts, check_sharding_types, load_rows
from widedeep_kb.memory.wide import WideTable

LIVE, CAPACITY, DIM, LR, EPS = 30, 37, 256, 0.1, 1e-3
OPTIONS = {"lr": LR, "eps": EPS, "device": torch.device("cpu")}
STEPS, LAST_HAS_NONE = 3, 2  # in the last step only rank 0 asks for rows
KINDS = [("row_wise", torch.float32), ("table_wise", torch.float32), ("row_wise", torch.float16)]


def make_table(dtype: torch.dtype) -> WideTable:
    """30 live rows of 37."""
    table = WideTable(CAPACITY, DIM, dtype=dtype)
    ids = table.allocate(np.full(LIVE, 1))
    table.write(torch.from_numpy(ids), torch.randn(LIVE, DIM, generator=torch.Generator().manual_seed(0)))
    return table


def questions(step: int) -> tuple[Tensor, Tensor]:
    """Row numbers, some of them several times, and the gradients they get."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(LIVE, (11,), generator=generator), torch.randn(11, DIM, generator=generator)


def trained_by_one(dtype: torch.dtype) -> WideTable:
    """The table after all steps on one device."""
    table = make_table(dtype)
    trainer = table.trainable(LR, eps=EPS)
    for step in range(STEPS):
        ids, gradients = questions(step)
        (trainer.lookup(ids) * gradients).sum().backward()
    return table


def work(rank: int, port: int, folder: str) -> None:
    """One of two ranks: train, save, load, and ask for rows that hold no fact."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE="2")
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    for number, (kind, dtype) in enumerate(KINDS):
        table = make_table(dtype)
        rows = ShardedRows.of_table(table, sharding_types=[kind], **OPTIONS)
        assert rows.sharding_type == kind
        for step in range(STEPS):
            ids, gradients = questions(step)
            own = slice(rank, None, 2) if step != LAST_HAS_NONE else slice(0, 11 if rank == 0 else 0)
            found = rows.lookup(ids[own])
            if step == 0:
                assert torch.equal(found, table.lookup_rows(ids[own]))
            (found * gradients[own]).sum().backward()
        rows.save(Path(folder) / str(number))
        again = ShardedRows.of_table(table, sharding_types=["row_wise"], **OPTIONS)
        again.restore({"is_live": table.is_live, "folder": Path(folder) / str(number)})
        everything = torch.arange(LIVE)
        assert torch.equal(again.known_rows(everything), rows.known_rows(everything))
        for bad in (LIVE, CAPACITY, -1):
            with pytest.raises(ValueError, match="holds no fact"):  # on the other rank too
                rows.lookup(torch.tensor([3, bad] if rank == 0 else [4]))
    dist.barrier()
    dist.destroy_process_group()


def test_two_ranks_train_rows_as_one(tmp_path: Path) -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    mp.start_processes(work, (store.port, str(tmp_path)), nprocs=2, start_method="spawn")
    for number, (_, dtype) in enumerate(KINDS):
        expected, found = trained_by_one(dtype), make_table(dtype)
        load_rows(tmp_path / str(number), found, num_rows=CAPACITY)
        tolerance = 2e-6 if dtype == torch.float32 else 2e-3
        torch.testing.assert_close(found.weight, expected.weight, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(found.momentum, expected.momentum, atol=1e-5, rtol=1e-5)
        assert not torch.equal(found.weight, make_table(dtype).weight)


def test_spare_rows_make_no_other_facts() -> None:
    live = torch.tensor([True, False, True])
    check_same_facts(live, torch.cat([live, torch.zeros(4, dtype=torch.bool)]))
    for other in ([True, True, True], [True, False], [True, False, True, True]):
        with pytest.raises(ValueError, match="other facts"):
            check_same_facts(live, torch.tensor(other))


@pytest.mark.parametrize(("types", "named"), [((), "none"), (("row_wise", "rowwise"), "'rowwise'")])
def test_unknown_sharding_types_are_refused(types: tuple[str, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        check_sharding_types(types)
