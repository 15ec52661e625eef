"""The rows that prompts bring in buffers of fixed size, for first passes from buffers (see `prompt_pass`).

Letters: B sequences, R rows, L adapters, A heads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from widedeep_kb.memory.adapter import AdapterOutput, ProjectedMemory
from widedeep_kb.memory.hooks import Binding

_LEAST_ROWS = 8


def num_row_places(num_rows: int) -> int:
    """Rows that a buffer holds where a question brings `num_rows`: a power of two, so that few buffers serve all."""
    return max(_LEAST_ROWS, 1 << (num_rows - 1).bit_length())


class PromptReader:
    """Buffers for the rows of B prompts, and what the last pass over them found.

    Args:
        batch_size: B.
        num_rows: R.
        rows_like: rows of these kinds and width are read.
        weights_like: the same for their weights.

    Attributes:
        projected: adapter index -> keys and values that it projected.
        mass: [B, L, A] float32 attention on the rows at the last token of each prompt.
    """

    def __init__(self, *, batch_size: int, num_rows: int, rows_like: Tensor, weights_like: Tensor) -> None:
        with torch.inference_mode(False):  # what is made in inference mode can be written nowhere else
            options = {"dtype": rows_like.dtype, "device": rows_like.device}
            self.rows = torch.zeros(batch_size, num_rows, rows_like.shape[2], **options)
            options = {"dtype": weights_like.dtype, "device": weights_like.device}
            self.weights = torch.zeros(batch_size, num_rows, **options)
        self.projected: dict[int, ProjectedMemory] = {}
        self.mass: Tensor | None = None
        self._noted: list[Tensor] = []

    def load(self, rows: Tensor | None, weights: Tensor) -> None:
        """Take over [B, at most R, width] rows (None: no row is read) and their weights."""
        self.rows.zero_()
        self.weights.zero_()
        if rows is not None:
            self.rows[:, : rows.shape[1]] = rows
        self.weights[:, : weights.shape[1]] = weights

    def binding(self) -> Binding:
        """The buffers as the memory of one pass."""
        self._noted = []
        return Binding(rows=self.rows, weights=self.weights, observe=self._note)

    def take(self, binding: Binding) -> None:
        """Keep what the pass with `binding` found."""
        self.projected, self.mass = binding.projected, torch.stack(self._noted, dim=1)

    def _note(self, _index: int, wide: AdapterOutput | None, _deep_mass: Tensor | None) -> None:
        self._noted.append(wide.mass[:, :, -1].float())
