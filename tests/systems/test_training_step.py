"""Steps that are replayed: the losses and weights of steps that run as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.training_step import MAX_NORM, WEIGHT_DECAY, TrainingStep, rounded_up

RATES = [1e-3, 2e-3, 3e-3, 2e-3, 1e-3, 1e-3, 1e-3]


def fake_record(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
    """As a graph: nothing happens while it is recorded, and a replay reads and writes the same tensors."""
    loss = torch.full((), torch.nan)
    return (lambda: loss.copy_(run())), loss


def batches(device: str = "cpu") -> list[tuple[Tensor, Tensor]]:
    """Of two shapes in turn."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for i in range(len(RATES)):
        ids = torch.randint(4, 60, (3, 16 if i % 2 else 32), generator=draw)
        found.append((ids.to(device), ids.masked_fill(ids % 3 == 0, -100).to(device)))
    return found


def steps_of(model: torch.nn.Module, device: str = "cpu", **options: object) -> tuple[list[float], TrainingStep]:
    def loss_of(ids: Tensor, labels: Tensor) -> Tensor:
        logits = model(input_ids=ids, use_cache=False).logits
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100)

    step = TrainingStep(loss_of, list(model.parameters()), **options)
    losses = [step(*batch, lr=rate) for batch, rate in zip(batches(device), RATES, strict=True)]
    return torch.stack(losses).tolist(), step


def plain_steps(model: torch.nn.Module) -> list[float]:
    """The same by torch alone, with an attention mask."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=WEIGHT_DECAY)
    losses = []
    for (ids, labels), rate in zip(batches(), RATES, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("record", [None, fake_record])
def test_a_step_is_a_step(tiny_frozen_lm: Callable[..., FrozenLM], record: Callable | None) -> None:
    model = copy.deepcopy(tiny_frozen_lm("llama").model).requires_grad_(True)
    reference = copy.deepcopy(model)
    expected = plain_steps(reference)
    found, step = steps_of(model, record=record)
    assert len(step._graphs) == (0 if record is None else 2)
    assert found == pytest.approx(expected, rel=1e-5) and expected[-1] < expected[0]
    for (name, one), other in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_graph_takes_the_steps_that_an_eager_gpu_takes(tiny_frozen_lm: Callable[..., FrozenLM]) -> None:
    model = copy.deepcopy(tiny_frozen_lm("llama").model).cuda().requires_grad_(True)
    reference = copy.deepcopy(model)
    found, step = steps_of(model, "cuda")
    assert len(step._graphs) == 2

    def run_it(run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        loss = torch.full((), torch.nan, device="cuda")
        return (lambda: loss.copy_(run())), loss

    expected, _ = steps_of(reference, "cuda", record=run_it)
    assert found == pytest.approx(expected, rel=2e-2) and found[-1] < found[0]
    for (name, one), other in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=5e-2, atol=5e-3, msg=name)


def test_widths_are_rounded_up() -> None:
    assert [rounded_up(n) for n in (1, 16, 17, 33)] == [16, 16, 32, 48]
