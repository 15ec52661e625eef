"""The frozen LLM's decoder layers through `torch.compile`: fewer and larger kernels, for training on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from widedeep_kb.lm import FrozenLM


@contextmanager
def compiled_layers(lm: FrozenLM, *, backend: str = "inductor") -> Iterator[None]:
    """Inside the `with` block the decoder layers run compiled wherever gradients are recorded.

    Results differ from eager ones by rounding. Without gradients (and after the block) the layers run as they always
    did. Layers of one kind share what is compiled, so that this takes seconds; several layers compiled as one took
    minutes.

    Args:
        lm: the frozen LLM.
        backend: of `torch.compile`.
    """

    def wrapped(forward: Callable) -> Callable:
        compiled = torch.compile(forward, dynamic=True, backend=backend)

        def call(*args: object, **kwargs: object) -> object:
            return (compiled if torch.is_grad_enabled() else forward)(*args, **kwargs)

        return call

    for layer in lm.layers:
        layer.forward = wrapped(layer.forward)
    try:
        yield
    finally:
        for layer in lm.layers:
            del layer.forward
