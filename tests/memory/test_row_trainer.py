"""Training rows in place: against a slow float64 reference, and that nothing but the asked rows moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from widedeep_kb.memory import row_trainer
from widedeep_kb.memory.wide import WideTable

LR, EPS = 0.05, 1e-6


def random_table(num_rows: int, embedding_dim: int, *, seed: int, dtype: torch.dtype = torch.float32) -> WideTable:
    table = WideTable(num_rows, embedding_dim, dtype=dtype)
    rows = torch.from_numpy(table.allocate(np.ones(num_rows, dtype=np.int64)))
    table.write(rows, torch.randn(num_rows, embedding_dim, generator=torch.Generator().manual_seed(seed)))
    return table


def reference_step(weight: Tensor, momentum: Tensor, *, row_ids: Tensor, grad: Tensor, lr: float = LR) -> None:
    """One row-wise Adagrad step in float64, in place, a row at a time."""
    for row in row_ids.unique().tolist():
        total = grad[row_ids == row].double().sum(dim=0)
        momentum[row] += total.square().mean()
        weight[row] -= lr * total / (momentum[row].sqrt() + EPS)


@pytest.mark.parametrize("embedding_dim", [4, 64, 1024])
@pytest.mark.parametrize("seed", [0, 1])
def test_training_agrees_with_a_float64_reference(embedding_dim: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = random_table(20, embedding_dim, seed=seed)
    weight, momentum = table.weight.double(), table.momentum.double()
    trainer = table.trainable(LR, eps=EPS)
    for _ in range(8):
        row_ids = torch.randint(0, 20, (30,), generator=generator)  # 30 of 20: repeats in every step
        target = torch.randn(30, embedding_dim, generator=generator)
        rows = trainer.lookup(row_ids)
        torch.testing.assert_close(rows.double(), weight[row_ids], atol=1e-5, rtol=1e-5)
        (rows * target).sin().sum().backward()
        grad = (weight[row_ids] * target).cos() * target
        reference_step(weight, momentum, row_ids=row_ids, grad=grad)
    torch.testing.assert_close(table.weight.double(), weight, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(table.momentum.double(), momentum, atol=1e-5, rtol=1e-4)


def test_one_row_once() -> None:
    table = random_table(1, 8, seed=0)
    weight, momentum = table.weight.double(), table.momentum.double()
    grad = torch.arange(8.0)[None]
    (table.trainable(LR, eps=EPS).lookup(torch.tensor([0])) * grad).sum().backward()
    reference_step(weight, momentum, row_ids=torch.tensor([0]), grad=grad)
    torch.testing.assert_close(table.weight.double(), weight, atol=1e-6, rtol=1e-6)


def test_only_trainable_places_move_their_rows() -> None:
    table = random_table(12, 16, seed=3)
    weight, momentum = table.weight.double(), table.momentum.double()
    row_ids = torch.tensor([1, 5, 1, 7, 5, 9])
    is_trainable = torch.tensor([True, False, False, True, False, True])
    grad = torch.randn(6, 16, generator=torch.Generator().manual_seed(1))
    rows = table.trainable(LR, eps=EPS).lookup(row_ids, is_trainable)
    assert torch.equal(rows, table.lookup_rows(row_ids))
    (rows * grad).sum().backward()
    reference_step(weight, momentum, row_ids=row_ids[is_trainable], grad=grad[is_trainable])
    torch.testing.assert_close(table.weight.double(), weight, atol=1e-6, rtol=1e-6)
    assert torch.equal(table.weight[5].double(), weight[5]) and table.momentum[5] == 0


def test_nothing_trainable_is_a_plain_look_up() -> None:
    table = random_table(5, 8, seed=0)
    trainer = table.trainable(LR)
    rows = trainer.lookup(torch.tensor([1, 2]), torch.tensor([False, False]))
    assert not rows.requires_grad and torch.equal(rows, table.weight[[1, 2]])
    assert trainer.lookup(torch.empty(0, dtype=torch.int64)).shape == (0, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_untouched_rows_are_bit_identical_after_50_steps(dtype: torch.dtype) -> None:
    table = random_table(200, 32, seed=5, dtype=dtype)
    before = table.weight.clone()
    trainer = table.trainable(LR)
    generator = torch.Generator().manual_seed(6)
    for _ in range(50):
        row_ids = 2 * torch.randint(0, 50, (16,), generator=generator)  # even rows below 100 only
        trainer.lookup(row_ids).square().sum().backward()
    is_touched = table.momentum > 0
    assert 40 < is_touched.sum() <= 50 and not is_touched[1::2].any() and not is_touched[100:].any()
    assert torch.equal(table.weight[~is_touched], before[~is_touched])
    assert (table.weight[is_touched] != before[is_touched]).any(dim=1).all()


def allocated_bytes(work: Callable[[], object]) -> int:
    """All bytes that torch allocates while `work` runs, whether freed again or not."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    sizes = (event.self_cpu_memory_usage for event in profiler.events())
    return sum(size for size in sizes if size > 0)


def test_no_gradient_of_the_table_is_made() -> None:
    num_bytes = []
    for num_rows in (1_000, 100_000):  # 0.3 and 26 MB of rows
        table = random_table(num_rows, 64, seed=0)
        trainer = table.trainable(LR)
        row_ids, mask = torch.arange(64), torch.arange(64) % 2 == 0
        num_bytes.append(allocated_bytes(lambda: trainer.lookup(row_ids, mask).sum().backward()))  # noqa: B023
        assert table.weight.grad is None and not table.weight.requires_grad
        assert all(parameter.grad is None for parameter in trainer._kernel.parameters())
        assert not [parameter for parameter in table.parameters() if parameter.requires_grad]
    assert num_bytes[0] == num_bytes[1] > 0
    dense = table.weight.detach().clone().requires_grad_()
    assert allocated_bytes(lambda: dense[row_ids].sum().backward()) >= dense.nbytes  # the gauge would have seen one


def test_a_kernel_for_a_large_table_makes_no_second_copy() -> None:
    table = random_table(row_trainer._SHARED_FROM_NUMEL // 64, 64, seed=0)
    assert 0 < allocated_bytes(lambda: table.trainable(LR)) < table.weight.nbytes / 4


@pytest.mark.parametrize("num_rows", [10, row_trainer._SHARED_FROM_NUMEL // 16])
def test_the_kernel_works_on_the_tables_own_memory(num_rows: int) -> None:
    table = random_table(num_rows, 16, seed=0)
    kernel = table.trainable(LR)._kernel
    assert kernel.weights_host.data_ptr() == table.weight.data_ptr()
    assert kernel.weights_host.numel() == table.weight.numel()
    assert kernel.momentum1_host.data_ptr() == table.momentum.data_ptr()


def test_a_trainer_follows_the_table_through_growth_and_writes() -> None:
    table = random_table(4, 8, seed=0)
    trainer = table.trainable(LR, eps=EPS)
    trainer.lookup(torch.tensor([0])).sum().backward()
    added = torch.from_numpy(table.allocate(np.array([1])))
    table.write(added, torch.ones(1, 8))
    weight, momentum = table.weight.double(), table.momentum.double()
    row_ids = torch.tensor([0, int(added)])
    trainer.lookup(row_ids).sum().backward()
    reference_step(weight, momentum, row_ids=row_ids, grad=torch.ones(2, 8))
    torch.testing.assert_close(table.weight.double(), weight, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(table.momentum.double(), momentum, atol=1e-6, rtol=1e-6)


def train(table: WideTable, *, num_steps: int, seed: int) -> None:
    trainer = table.trainable(LR, eps=EPS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(num_steps):
        row_ids = torch.randint(0, 10, (6,), generator=generator)
        trainer.lookup(row_ids).pow(3).sum().backward()


def test_training_resumes_where_it_stopped() -> None:
    straight, stopped = random_table(10, 8, seed=0), random_table(10, 8, seed=0)
    for seed in (1, 2):
        train(straight, num_steps=10, seed=seed)
    train(stopped, num_steps=10, seed=1)
    tensors = {name: tensor.clone() for name, tensor in stopped.state_tensors().items()}
    resumed = WideTable.from_tensors(tensors, 8)
    train(resumed, num_steps=10, seed=2)
    assert torch.equal(resumed.weight, straight.weight) and torch.equal(resumed.momentum, straight.momentum)


def test_an_erased_row_keeps_nothing_of_its_training() -> None:
    table = random_table(10, 8, seed=0)
    train(table, num_steps=5, seed=1)
    table.erase(torch.tensor([3]))
    assert table.allocate(np.array([1])).tolist() == [3]
    table.write(torch.tensor([3]), torch.ones(1, 8))
    table.trainable(LR, eps=EPS).lookup(torch.tensor([3])).sum().backward()
    torch.testing.assert_close(table.weight[3], torch.full((8,), 1 - LR), atol=1e-5, rtol=0)
    assert table.momentum[3] == 1


def test_the_learning_rate_can_change_between_steps() -> None:
    table = random_table(3, 8, seed=0)
    weight, momentum = table.weight.double(), table.momentum.double()
    trainer = table.trainable(LR, eps=EPS)
    for lr in (LR, LR / 10, 2 * LR):
        trainer.lr = lr
        trainer.lookup(torch.tensor([1])).sum().backward()
        reference_step(weight, momentum, row_ids=torch.tensor([1]), grad=torch.ones(1, 8), lr=lr)
    torch.testing.assert_close(table.weight.double(), weight, atol=1e-6, rtol=1e-6)


def test_half_rows_train() -> None:
    table = random_table(6, 64, seed=0, dtype=torch.float16)
    target = torch.randn(6, 64, generator=torch.Generator().manual_seed(9))
    trainer = table.trainable(0.1)
    for _ in range(200):
        loss = (trainer.lookup(torch.arange(6)) - target).square().mean()
        loss.backward()
    assert table.weight.dtype == torch.float16 and loss < 0.01


def test_bad_arguments_raise() -> None:
    table = random_table(4, 8, seed=0)
    for lr, eps in ((0.0, EPS), (float("nan"), EPS), (LR, 0.0)):
        with pytest.raises(ValueError, match="lr and eps must be above 0"):
            table.trainable(lr, eps=eps)
    for mask in (torch.tensor([True]), torch.tensor([1, 0])):
        with pytest.raises(ValueError, match="is_trainable must be torch.bool"):
            table.trainable(LR).lookup(torch.tensor([0, 1]), mask)
    with pytest.raises(ValueError, match="cannot train torch.bfloat16 rows on cpu"):
        random_table(4, 8, seed=0, dtype=torch.bfloat16).trainable(LR)
    with pytest.raises(ValueError, match="must stay torch.float32, but was cast to torch.float16"):
        table.half().trainable(LR)
