"""`fit` on several devices of one machine: a process a device, each with the LLM and its shard of the rows.

The parent writes its memory to a scratch folder. The workers open it, with the rows mapped from the file, train, and
leave rows and reader there, which the parent then takes over: if a worker fails, its memory stays as it was.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.folder import open_folder
from widedeep_kb.memory.sharding import ShardedRows, load_rows
from widedeep_kb.memory.training_record import TrainingRecord
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import DeviceConfig, FitConfig, ShardingConfig
from widedeep_kb.training.scratch import scratch_folder

_DENSE, _METRICS, _FAILURE, _ROWS = "dense.safetensors", "metrics.json", "failure-{}.txt", "rows"


@dataclass(frozen=True)
class Work:
    """What the workers do.

    Attributes:
        folder: scratch folder; holds the memory, gets the results.
        llm: name or folder of the LLM.
        device: "cpu" or "cuda".
        config, sharding: settings.
        given: `questions`, `templates` and `ordinals` of `fit`.
    """

    folder: Path
    llm: str
    device: str
    config: FitConfig
    sharding: ShardingConfig
    given: dict[str, Any]


def fit_on_devices(
    memory: KnowledgeMemory,
    config: FitConfig,
    *,
    devices: DeviceConfig,
    sharding: ShardingConfig = ShardingConfig(),  # noqa: B008 - frozen
    questions: polars.DataFrame | None = None,
    templates: dict[str, list[str]] | None = None,
    ordinals: np.ndarray | None = None,
) -> dict[str, float]:
    """`fit`, on several devices: the same losses but for the rounding of sums. The memory is trained in place.

    Args:
        memory: on any device; its LLM must have been loaded by name or from a folder.
        config: see `FitConfig`; `batch_size` is that of all devices together.
        devices: how many, and of what kind.
        sharding: where the rows may go.
        questions, templates, ordinals: see `fit`.

    Returns:
        What `fit` returns, and `num_devices`.

    Raises:
        ValueError: too few devices, rows that cannot be trained, what `fit` raises, or a worker failed; the memory is
            then as it was.
    """
    kind = check_devices(devices)
    memory.store.table.check_trainable()
    with scratch_folder() as folder:
        memory.save(folder / "memory", overwrite=True)
        given = {"questions": questions, "templates": templates, "ordinals": ordinals}
        llm, size = memory.lm.identity.name, devices.devices
        work = Work(folder, llm, kind, config, sharding, given)
        try:
            run_ranks(_run, (work,), num_ranks=size, device=kind)
        except (mp.ProcessRaisedException, mp.ProcessExitedException) as error:
            raise ValueError(_reason(folder, error)) from error
        _take_over(memory, folder, num_subkeys=config.num_subkeys)
        return {**json.loads((folder / _METRICS).read_text()), "num_devices": size}


def check_devices(devices: DeviceConfig) -> str:
    """ "cuda" or "cpu", where as many devices as asked for are.

    Raises:
        ValueError: there are fewer GPUs.
    """
    num_gpus = torch.cuda.device_count()
    if devices.accelerator == "cpu" or (devices.accelerator == "auto" and not num_gpus):
        return "cpu"
    if devices.devices > num_gpus:
        raise ValueError(f"{devices.devices} GPUs are asked for, there are {num_gpus}")
    return "cuda"


def run_ranks(work: Callable[..., None], args: tuple, *, num_ranks: int, device: str) -> None:
    """Call `work(device, *args)` in a fresh process for each rank of a process group; none outlives this call.

    Args:
        work: a function of a module. `torch.distributed` says which rank it is.
        args: can be pickled.
        num_ranks: processes.
        device: "cuda" (rank `i` gets GPU `i`, and NCCL) or "cpu" (gloo).

    Raises:
        torch.multiprocessing.ProcessRaisedException, torch.multiprocessing.ProcessExitedException: one of them failed.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    given = (work, args, num_ranks, device, store.port)
    started = mp.start_processes(_rank_main, given, nprocs=num_ranks, start_method="spawn", join=False)
    try:
        while not started.join():
            pass
    finally:
        for process in started.processes:
            process.kill()
            process.join()


def _rank_main(rank: int, work: Callable[..., None], args: tuple, num_ranks: int, kind: str, port: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all: it is for the parent to tell of it
    quiet_libraries()
    torch.set_num_threads(max(1, torch.get_num_threads() // num_ranks))
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "LOCAL_WORLD_SIZE": num_ranks}
    os.environ.update({name: str(value) for name, value in names.items()})
    device = torch.device(kind, rank) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    backend = "nccl" if kind == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=num_ranks)
    work(device, *args)
    dist.barrier()
    dist.destroy_process_group()


def _run(device: torch.device, work: Work) -> None:
    """One worker."""
    try:
        _train(device, work)
    except (ValueError, OSError, RuntimeError) as error:
        reason = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        (work.folder / _FAILURE.format(dist.get_rank())).write_text(reason)
        raise


def _train(device: torch.device, work: Work) -> None:
    lm = load_lm(work.llm, device=device)
    memory = open_folder(work.folder / "memory", lm, reader=None, make=KnowledgeMemory, row_device="cpu")
    table, config, types = memory.store.table, work.config, work.sharding.sharding_types
    rows = ShardedRows.of_table(table, lr=config.row_lr, eps=config.row_eps, device=device, sharding_types=types)
    metrics = fit(memory, config, rows=rows, **work.given)
    rows.save(work.folder / _ROWS)
    if dist.get_rank() == 0:
        memory.record.save(work.folder, memory.store.catalogue)
        dense = {name: tensor.cpu().contiguous() for name, tensor in memory.reader.state_dict().items()}
        save_file(dense, work.folder / _DENSE)
        (work.folder / _METRICS).write_text(json.dumps({**metrics, "sharding_type": rows.sharding_type}))


def _take_over(memory: KnowledgeMemory, folder: Path, *, num_subkeys: int) -> None:
    """Put what the workers left into the parent's memory."""
    dense = load_file(folder / _DENSE)
    if len(dense) != len(memory.reader.state_dict()):
        memory.reader.add_deep(num_subkeys)
        memory.reader.to(memory.lm.device)
        memory.use_deep = True
    memory.reader.load_state_dict(dense)
    memory.record = TrainingRecord.load(folder)
    load_rows(folder / _ROWS, memory.store.table, num_rows=memory.store.table.allocator.num_used)


def _reason(folder: Path, error: Exception) -> str:
    """Why a worker failed, in one line: the first that says so, not those that lost it."""
    found = sorted(folder.glob(_FAILURE.format("*")), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        return f"a worker ended early: {str(error).strip().splitlines()[-1]}"
    return found[0].read_text().splitlines()[0]
