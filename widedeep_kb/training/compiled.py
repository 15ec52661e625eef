"""The frozen LLM's decoder layers, and the adapters between them, through `torch.compile`: for training on a GPU.

A small LLM's training step is bound by the host that issues its operations. Compiled layers are fewer operations, and
consecutive layers compiled as one are fewer calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.reader import Reader


@contextmanager
def compiled_layers(lm: FrozenLM, *, stops: Sequence[int] = (), backend: str = "inductor") -> Iterator[None]:
    """Inside the `with` block the decoder layers run compiled wherever gradients are recorded.

    Results differ from eager ones by rounding. Without gradients (and after the block) the layers run as they always
    did.

    Args:
        lm: the frozen LLM.
        stops: layers whose output is hooked, ascending: the layers from one stop to the next are compiled as one, and
            their own hooks do not run. Where layers differ in kind (sliding and full attention) or none is given, each
            layer is compiled by itself.
        backend: of `torch.compile`.
    """
    layers = list(lm.layers)
    originals = [layer.forward for layer in layers]
    for segment in segments(len(layers), stops if _is_uniform(lm) else ()):
        run = torch.compile(_chain([originals[i] for i in segment]), dynamic=True, backend=backend)
        first, *others = segment
        layers[first].forward = _where_gradients_are_recorded(run, originals[first])
        for i in others:
            layers[i].forward = _where_gradients_are_recorded(_pass_on, originals[i])
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


@contextmanager
def compiled_reader(reader: Reader, *, backend: str = "inductor") -> Iterator[None]:
    """Inside the `with` block the reader's adapters and deep readers run compiled wherever gradients are recorded."""
    parts = [(adapter, name) for adapter in reader.adapters for name in ("forward", "project")]
    parts += [(deep, "forward") for deep in (reader.deep_readers if reader.has_deep else ())]
    for module, name in parts:
        original = getattr(module, name)
        compiled = torch.compile(original, dynamic=True, backend=backend)
        setattr(module, name, _where_gradients_are_recorded(compiled, original))
    try:
        yield
    finally:
        for module, name in parts:
            delattr(module, name)


def segments(num_layers: int, stops: Sequence[int]) -> list[list[int]]:
    """Layers 0 to `num_layers` in groups that end with each stop and with the last layer; one by one without stops."""
    ends = sorted({*stops, num_layers - 1}) if stops else range(num_layers)
    starts = [0, *(end + 1 for end in ends)]
    return [list(range(start, end + 1)) for start, end in zip(starts, ends, strict=False)]


def _chain(forwards: Sequence[Callable]) -> Callable:
    """One function that runs layers one after the other, all with the arguments of the first."""

    def run(hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor | tuple:
        for forward in forwards[:-1]:
            output = forward(hidden_states, *args, **kwargs)
            hidden_states = output[0] if isinstance(output, tuple) else output
        return forwards[-1](hidden_states, *args, **kwargs)

    return run


def _pass_on(hidden_states: Tensor, *_args: object, **_kwargs: object) -> Tensor:
    """What remains of a layer that ran as a part of an earlier one."""
    return hidden_states


def _where_gradients_are_recorded(trained: Callable, otherwise: Callable) -> Callable:
    def call(*args: object, **kwargs: object) -> object:
        return (trained if torch.is_grad_enabled() else otherwise)(*args, **kwargs)

    return call


def _is_uniform(lm: FrozenLM) -> bool:
    """Whether all layers take the same arguments and return plain tensors."""
    config = lm.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    return (not kinds or len(set(kinds)) == 1) and _returns_tensors(lm.layers[0])


def _returns_tensors(layer: nn.Module) -> bool:
    """Whether a layer's annotated result is a tensor and not a tuple, as in all but old architectures."""
    returned = getattr(type(layer).forward, "__annotations__", {}).get("return")
    return returned in (Tensor, "torch.Tensor", "Tensor")
