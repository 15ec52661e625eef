"""A training step's pass through LLM and memory as CUDA graphs: recorded once for each shape, then replayed.

The host issues a small LLM's operations more slowly than a GPU runs them (one H100 waited two thirds of a step); a
replay is one call. Looking rows up, the loss and the optimizer stay outside, so that nothing else changes.

Letters: B questions, T tokens, R rows of a sequence, D numbers in a row, H hidden size, A heads, Q deep heads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widedeep_kb.training.lit_module import Attention, Observed

TOKEN_STEP, ROW_STEP = 4, 4  # T and R are rounded up to multiples of these
MAX_GRAPHS = 48
_WARM_UPS = 2  # passes before a recording: kernels are chosen and compiled in them


class PassInput(NamedTuple):
    """What a pass through LLM and memory takes.

    Attributes:
        input_ids: int64 [B, T].
        weights: float32 [B, R], weight of the hit that brought each row.
        marks: bool [B, R], rows whose attention is observed.
        rows: float32 [B, R, D].
    """

    input_ids: Tensor
    weights: Tensor
    marks: Tensor
    rows: Tensor

    def padded(self, num_tokens: int, num_rows: int) -> PassInput:
        """With T and R made larger: tokens behind all others, which these do not see, and rows of zeros, which are no
        rows."""
        more_tokens, more_rows = num_tokens - self.input_ids.shape[1], num_rows - self.rows.shape[1]
        return PassInput(
            F.pad(self.input_ids, (0, more_tokens)),
            F.pad(self.weights, (0, more_rows)),
            F.pad(self.marks, (0, more_rows)),
            F.pad(self.rows, (0, 0, 0, more_rows)),
        )


Run = Callable[[PassInput], tuple[Tensor, Observed]]


class GraphedPass:
    """Replays `run`, forward and backward, from CUDA graphs; a shape that comes for the first time runs as it is.

    All graphs share one pool of memory, so that between forward and backward no other pass may begin. Results are
    those of `run` with T and R rounded up: equal but for the rounding of kernels that depend on shapes.

    Record inside `no_causal_masks`, or transformers takes slower attention kernels.

    Args:
        run: the pass; hidden states [B, T, H] and where attention went. It must not wait for the GPU nor depend on
            values.
        learning: module whose parameters learn, those that require a gradient now.
        autocast: type that matrix products are made in; None = no autocast.
        record: makes the graphed callable, as `torch.cuda.make_graphed_callables` does.
    """

    def __init__(
        self,
        run: Run,
        learning: nn.Module,
        *,
        autocast: torch.dtype | None = torch.bfloat16,
        record: Callable | None = None,
    ) -> None:
        self._run, self._autocast, self._module = run, autocast, _Flat(run, learning)
        self._parameters = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        self._record = record or torch.cuda.make_graphed_callables
        self._graphs: dict[tuple[int, ...], Callable] = {}
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._pool: object = None

    @property
    def num_graphs(self) -> int:
        """Shapes recorded so far."""
        return len(self._graphs)

    def __call__(self, given: PassInput) -> tuple[Tensor, Observed]:
        """Hidden states [B, T, H] and where attention went."""
        batch_size, num_tokens = given.input_ids.shape
        key = (batch_size, _round_up(num_tokens, TOKEN_STEP), _round_up(given.rows.shape[1], ROW_STEP))
        graph = self._graphs.get(key)
        if graph is None:
            self._seen[key] += 1
            if self._seen[key] < 2 or len(self._graphs) >= MAX_GRAPHS:
                with self._autocasting(given.rows.device):
                    return self._run(given)
            graph = self._graphs[key] = self._recorded(given.padded(*key[1:]))
        hidden, *masses = graph(*given.padded(*key[1:]), *self._parameters.values())
        num_wide = len(masses) - self._module.num_deep
        wide = [Attention(*(part[:, :, :num_tokens] for part in masses[i : i + 2])) for i in range(0, num_wide, 2)]
        return hidden[:, :num_tokens], Observed(wide, [mass[:, :num_tokens] for mass in masses[num_wide:]])

    def _recorded(self, sample: PassInput) -> Callable:
        """A graph of the pass for inputs of the sample's shapes.

        Gradients are recorded by copies of the parameters that share their storage. The parameters themselves may still
        belong to the last step's autograd graph, on another stream, which would spoil the recording.
        """
        device, num_inputs = sample.rows.device, len(PassInput._fields)
        inputs = [tensor.detach().clone() for tensor in sample]
        inputs[-1].requires_grad_()
        learning = [parameter.detach().requires_grad_() for parameter in self._parameters.values()]

        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            named = dict(zip(self._parameters, tensors[num_inputs:], strict=True))
            return torch.func.functional_call(self._module, named, tensors[:num_inputs])

        if self._pool is None and device.type == "cuda":
            self._pool = torch.cuda.graph_pool_handle()
        with self._autocasting(device):
            return self._record(
                run, (*inputs, *learning), num_warmup_iters=_WARM_UPS, allow_unused_input=True, pool=self._pool
            )

    def _autocasting(self, device: torch.device) -> AbstractContextManager:
        """Casts are not kept, which recording demands; run like that too, layers are compiled once."""
        is_on = self._autocast is not None
        return torch.autocast(device.type, dtype=self._autocast, enabled=is_on, cache_enabled=False)


class _Flat(nn.Module):
    """A pass as a module from tensors to tensors, whose parameters can be replaced for a call."""

    def __init__(self, run: Run, learning: nn.Module) -> None:
        super().__init__()
        self.run, self.learning = run, learning
        self.num_deep = 0

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Hidden states, then mass and marked mass of each wide adapter, then the mass of each deep reader."""
        hidden, observed = self.run(PassInput(*tensors))
        self.num_deep = len(observed.deep)
        return (hidden, *(part for wide in observed.wide for part in wide), *observed.deep)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
