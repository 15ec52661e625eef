"""A step of AdamW, which a GPU replays as a CUDA graph: a small LLM's operations take the host longer than the GPU.

One H100 waited two thirds of a step of 135 million weights for its host (see `training.graphed`, which does the same
for a memory). Forward, loss, backward, clipping and the optimizer's step are recorded once for each shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from widedeep_kb.training.causal_masks import no_causal_masks

TOKEN_STEP = 16  # T is rounded up to multiples of it, so that few shapes are met
MAX_GRAPHS = 16
MAX_NORM = 1.0  # of the gradient
WEIGHT_DECAY = 0.01

Replay = Callable[[], object]
Record = Callable[[Callable[[], Tensor]], tuple[Replay, Tensor]]


class TrainingStep:
    """Takes steps; a shape that comes for the first time, and all on a CPU, run as they are.

    Args:
        loss_of: a mean loss of tensors that are on the parameters' device; it must not wait for the GPU nor depend on
            values. LLMs in it are given no attention mask: sequences begin at their first place.
        parameters: that learn.
        record: records a step; it has not been taken afterwards. None = a CUDA graph on a GPU, never on a CPU.
    """

    def __init__(
        self, loss_of: Callable[..., Tensor], parameters: Sequence[nn.Parameter], *, record: Record | None = None
    ) -> None:
        self._loss_of, self._parameters = loss_of, list(parameters)
        device = self._parameters[0].device
        on_gpu = device.type == "cuda"
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=torch.zeros((), device=device) if on_gpu else 0.0,
            weight_decay=WEIGHT_DECAY,
            capturable=on_gpu,
        )
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        self._pool = torch.cuda.graph_pool_handle() if on_gpu else None
        self._record = record or (self._graph if on_gpu else None)
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._graphs: dict[tuple[torch.Size, ...], tuple[tuple[Tensor, ...], Replay, Tensor]] = {}

    def __call__(self, *inputs: Tensor, lr: float) -> Tensor:
        """Take a step at a learning rate; the loss before it, a tensor of its own."""
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
        if self._stream is None:
            return self._step(inputs)
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), no_causal_masks():
            loss = self._step(inputs)
        current.wait_stream(self._stream)
        return loss

    def _step(self, inputs: tuple[Tensor, ...]) -> Tensor:
        key = tuple(one.shape for one in inputs)
        self._seen[key] += 1
        if key not in self._graphs:
            if self._record is None or self._seen[key] < 2 or len(self._graphs) >= MAX_GRAPHS:
                return self._run(inputs)
            kept = tuple(one.clone() for one in inputs)
            self._optimizer.zero_grad(set_to_none=True)  # so that the recording has gradients of its own
            self._graphs[key] = (kept, *self._record(lambda: self._run(kept)))
        kept, replay, loss = self._graphs[key]
        for own, given in zip(kept, inputs, strict=True):
            own.copy_(given)
        replay()
        return loss.clone()

    def _run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        device = self._parameters[0].device
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda", cache_enabled=False):
            loss = self._loss_of(*inputs)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, MAX_NORM)
        self._optimizer.step()
        return loss.detach()

    def _graph(self, run: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            loss = run()
        return graph.replay, loss


def rounded_up(width: int) -> int:
    """The next multiple of `TOKEN_STEP`."""
    return -(-width // TOKEN_STEP) * TOKEN_STEP
