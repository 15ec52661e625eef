"""Where a training step gets the rows of its batch, and where checkpoints get theirs, on one device.

`memory.sharding.ShardedRows` does the same over several devices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from widedeep_kb.memory.sharding import check_same_facts, load_rows
from widedeep_kb.memory.wide import WideTable


class LocalRows:
    """A table's rows, trained in place.

    Args:
        table: holds the rows.
        lr, eps: of their update (see `RowTrainer`).
    """

    world_size = 1

    def __init__(self, table: WideTable, lr: float, *, eps: float) -> None:
        self.table, self._trainer = table, table.trainable(lr, eps=eps)

    def read(self, context_rows: Tensor, learning_rows: Tensor, *, is_learning: bool) -> tuple[Tensor, Tensor]:
        """Contents [N, D] and [K, D] float32 of live rows; with `is_learning` the second ones are differentiable."""
        context = self.table.known_rows(context_rows)
        if is_learning and len(learning_rows):
            return context, self._trainer.known_rows(learning_rows)
        return context, self.table.known_rows(learning_rows)

    def checkpoint(self) -> dict[str, Tensor]:
        """Copies on the CPU of rows, optimizer state and which rows are live."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self._tensors().items()}

    @torch.no_grad()
    def restore(self, saved: dict[str, object]) -> None:
        """Take back what `checkpoint`, here or on several devices, gave.

        Raises:
            ValueError: the checkpoint is of other facts.
        """
        tensors = self._tensors()
        check_same_facts(saved["is_live"], tensors["is_live"].cpu())
        if "folder" in saved:
            load_rows(saved["folder"], self.table, num_rows=len(saved["is_live"]))
            return
        num_rows = min(len(saved["is_live"]), len(tensors["is_live"]))
        for name, tensor in tensors.items():
            tensor[:num_rows].copy_(saved[name][:num_rows])

    def _tensors(self) -> dict[str, Tensor]:
        return {"rows": self.table.weight.detach(), "momentum": self.table.momentum, "is_live": self.table.is_live}
