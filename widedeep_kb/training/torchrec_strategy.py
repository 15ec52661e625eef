"""Lightning over several devices: each trains on its part of a batch, rows sharded by TorchRec, dense parts copied.

Checkpoints of one device are files. Those of several are folders: rows and their optimizer state written by each rank
through `torch.distributed.checkpoint`, the rest in `meta.pt`. Both load on any number of devices.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.distributed import checkpoint as dcp

META = "meta.pt"


class TableCheckpointIO(TorchCheckpointIO):
    """Reads checkpoints of one device and of several; writes those of one."""

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """The checkpoint; of rows that several devices wrote, the folder they are in."""
        return read_checkpoint(Path(path))


class TorchRecStrategy(DDPStrategy):
    """One process a device. Gradients of the dense parts are summed over the devices, because the losses of the parts
    sum to that of the whole batch; those of rows TorchRec sends where the rows are.

    The process group is made by the caller.
    """

    def configure_ddp(self) -> None:
        """No DDP: `post_backward` sums the gradients, in one call and whether or not a device used a parameter."""

    def post_backward(self, closure_loss: Tensor) -> None:
        """Sum the gradients of parameters in the optimizer over all devices."""
        parameters = [p for o in self.optimizers for group in o.param_groups for p in group["params"]]
        sum_gradients(parameters)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None) -> None:
        """Write a folder, all ranks together; a former one is replaced when the new one is whole."""
        path, table = Path(filepath), checkpoint["wide_table"]
        unfinished, former = path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")
        if self.is_global_zero:
            for left in (unfinished, former):
                shutil.rmtree(left, ignore_errors=True)
        self.barrier()
        dcp.save({name: table[name] for name in ("rows", "momentum") if name in table}, checkpoint_id=unfinished)
        if self.is_global_zero:
            torch.save({**checkpoint, "wide_table": {"is_live": table["is_live"]}}, unfinished / META)
            if path.exists():
                os.replace(path, former)
            os.replace(unfinished, path)
            shutil.rmtree(former, ignore_errors=True)
        self.barrier()

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """The checkpoint; of rows that several devices wrote, the folder they are in."""
        return read_checkpoint(Path(checkpoint_path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of one device (a file) or of several (a folder, which `wide_table` then names as `folder`).

    Raises:
        ValueError: there is none.
    """
    if path.is_file():
        return torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    if not (path / META).is_file():
        raise ValueError(f"there is no checkpoint {str(path)!r}")
    checkpoint = torch.load(path / META, map_location="cpu", weights_only=False)
    checkpoint["wide_table"]["folder"] = path
    return checkpoint


def sum_gradients(parameters: list[Tensor]) -> None:
    """Replace each gradient by its sum over all ranks, which take part whether they have gradients or not."""
    if not parameters:
        return
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    dist.all_reduce(flat)
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
