"""Replayed passes: the losses, gradients and row updates of passes that run as they are."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.training.test_fit import open_memory
from widedeep_kb.lm import FrozenLM
from widedeep_kb.training import graphed
from widedeep_kb.training.causal_masks import no_causal_masks
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_batch import JointBatch
from widedeep_kb.training.joint_module import JointModule
from widedeep_kb.training.joint_stream import JointStream
from widedeep_kb.training.questions import Questions

MakeLM = Callable[..., FrozenLM]


def fake_record(run: Callable, sample: tuple[Tensor, ...], **_options: object) -> Callable:
    """Runs what a graph would replay, and like a graph only for inputs of the sample's shapes and dtypes."""

    def replay(*tensors: Tensor) -> tuple[Tensor, ...]:
        for tensor, like in zip(tensors, sample, strict=True):
            assert tensor.shape == like.shape and tensor.dtype == like.dtype
        return run(*tensors)

    return replay


def module_and_batches(
    lm: FrozenLM, *, deep: bool = True, steps: int = 12
) -> tuple[JointModule, list[JointBatch], Questions]:
    config = FitConfig(batch_size=8, deep=deep, row_lr=0.05, train_adapters=True, num_subkeys=6)
    memory = open_memory(lm)
    if deep:
        memory.reader.add_deep(config.num_subkeys)
        memory.reader.to(lm.device)
    questions = Questions(lm, memory.store, ordinals=memory.store.catalogue.alive())
    module = JointModule(memory, config)
    module.select_trainable(module.dense_groups())
    return module, list(itertools.islice(JointStream(questions, config), steps)), questions


def trained(module: JointModule, batches: list[JointBatch]) -> tuple[list[float], dict[str, Tensor], Tensor]:
    """Losses, gradients summed over the batches, and the rows afterwards."""
    losses = []
    for batch in batches:
        loss, _ = module.loss(batch, use_deep=module.config.deep)
        loss.backward()
        losses.append(loss.item())
    gradients = {n: p.grad.clone() for n, p in module.reader.named_parameters() if p.grad is not None}
    return losses, gradients, module.memory.store.table.weight.detach().float().clone()


@pytest.mark.parametrize("deep", [True, False])
def test_a_replayed_step_is_a_step(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch, deep: bool) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fake_record)
    torch.manual_seed(0)
    module, batches, _ = module_and_batches(tiny_frozen_lm("llama"), deep=deep)
    reader = copy.deepcopy(module.reader.state_dict())
    expected = trained(module, batches)
    module, batches, _ = module_and_batches(tiny_frozen_lm("llama"), deep=deep)
    module.reader.load_state_dict(reader)
    module.use_graphs()
    found = trained(module, batches)
    assert module._graphed.num_graphs >= 1
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-2, atol=2e-3)  # half rows, rounded at random


def test_a_compiled_loss_is_the_loss(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, calls = torch.compile, []
    monkeypatch.setattr(
        torch, "compile", lambda f, **options: (calls.append(f), compiled(f, backend="eager", **options))[1]
    )
    module, batches, _ = module_and_batches(tiny_frozen_lm("llama"))
    expected = [module.loss(batch, use_deep=True)[1].item() for batch in batches[:3]]
    module.compile_loss()
    assert [module.loss(batch, use_deep=True)[1].item() for batch in batches[:3]] == pytest.approx(expected, rel=1e-6)
    assert len(calls) == 1


def test_recording_and_steps_run_as_they_are_are_compiled_alike(
    tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []

    def record(run: Callable, sample: tuple[Tensor, ...], **_options: object) -> Callable:
        run(*sample)  # a warm-up
        return lambda *tensors: run(*tensors[: len(sample)])

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    module, batches, _ = module_and_batches(tiny_frozen_lm("llama"))
    module.use_graphs()
    read = module._graphed._run

    def noted(given: graphed.PassInput) -> tuple[Tensor, object]:
        seen.append((torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()))
        return read(given)

    module._graphed._run = module._graphed._module.run = noted
    for batch in (batches[0], batches[0]):  # as it is, then recorded
        module.loss(batch, use_deep=True)
    assert torch.is_autocast_cache_enabled() and seen[:2] == [(False, False)] * 2


def test_what_has_few_of_a_shape_runs_as_it_is(tiny_frozen_lm: MakeLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fake_record)
    monkeypatch.setattr(graphed, "MAX_GRAPHS", 1)
    module, batches, _ = module_and_batches(tiny_frozen_lm("llama"))
    module.use_graphs()
    trained(module, batches[:1])
    assert module._graphed.num_graphs == 0
    trained(module, batches)
    assert module._graphed.num_graphs == 1
    module.select_trainable([])
    assert module._graphed is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_graphs_on_a_gpu_give_the_losses_of_eager_steps(tiny_frozen_lm: MakeLM) -> None:
    results = []
    for uses_graphs in (False, True):
        torch.manual_seed(0)
        lm = tiny_frozen_lm("llama")
        lm.model.cuda()
        module, batches, _ = module_and_batches(lm)
        if uses_graphs:
            module.use_graphs()
        with torch.autocast("cuda", dtype=torch.bfloat16), no_causal_masks():
            results.append(trained(module, batches)[0])
    assert results[1] == pytest.approx(results[0], rel=2e-2)
