"""The wide table: what is written is read, nothing else is; erasing, growing and saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchrec import EmbeddingCollection

from widedeep_kb.memory.rows import expand_rows
from widedeep_kb.memory.wide import WideTable

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
DIM = 16


def filled_table(num_rows: int = 10, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[WideTable, Tensor]:
    """A table of `num_rows` one-row facts and what was written to it, float32 [num_rows, DIM] in row order."""
    table = WideTable(num_rows, DIM, dtype=dtype)
    values = torch.randn(num_rows, DIM, generator=torch.Generator().manual_seed(seed)).to(dtype).float()
    rows = torch.from_numpy(table.allocate(np.ones(num_rows, dtype=np.int64)))
    table.write(rows, values)
    return table, values


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_is_read_on_both_paths(dtype: torch.dtype) -> None:
    table, values = filled_table(50, dtype=dtype)
    assert isinstance(table.collection, EmbeddingCollection)
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        lengths = torch.randint(0, 5, (7,), generator=generator)
        rows = torch.randint(0, 50, (int(lengths.sum()),), generator=generator)
        jagged = table(rows, lengths)
        assert torch.equal(jagged.values(), table.lookup_rows(rows)) and torch.equal(jagged.values(), values[rows])
        assert torch.equal(jagged.lengths(), lengths)
        assert torch.equal(table.lookup(rows, lengths).values(), jagged.values())


def test_no_rows_give_an_empty_answer() -> None:
    table, _ = filled_table()
    none = torch.empty(0, dtype=torch.int64)
    assert table.lookup_rows(none).shape == (0, DIM)
    assert table(none, torch.zeros(3, dtype=torch.int64)).values().shape == (0, DIM)


def test_facts_of_several_rows_come_back_in_order() -> None:
    table = WideTable(4, DIM)
    counts = np.array([3, 1, 2])
    rows = torch.from_numpy(expand_rows(table.allocate(counts), counts))
    values = torch.arange(6.0)[:, None].expand(6, DIM)
    table.write(rows, values)
    padded = table(rows, torch.from_numpy(counts)).to_padded_dense(3)
    assert padded.shape == (3, 3, DIM)
    assert padded[..., 0].tolist() == [[0, 1, 2], [3, 0, 0], [4, 5, 0]]


def test_one_query_of_one_row() -> None:
    table, values = filled_table(1)
    assert table.capacity == 1 and torch.equal(table(torch.tensor([0]), torch.tensor([1])).values(), values)


@pytest.mark.parametrize("row", [-1, 10, 2**40])
def test_rows_out_of_range_raise(row: int) -> None:
    table, values = filled_table()
    rows = torch.tensor([3, row])
    for use in (
        lambda: table.lookup_rows(rows),
        lambda: table(rows, torch.tensor([2])),
        lambda: table.write(rows, values[:2]),
        lambda: table.erase(rows),
        lambda: table.trainable(0.1).lookup(rows),
    ):
        with pytest.raises(ValueError, match=f"row {row} is not in a table of 10 rows"):
            use()
    assert torch.equal(table.weight, values)


def test_rows_never_written_or_erased_raise() -> None:
    table, values = filled_table()
    fresh = torch.from_numpy(table.allocate(np.array([1])))
    table.erase(torch.tensor([4]))
    for rows in (fresh, torch.tensor([4]), torch.tensor([15])):
        for use in (
            table.lookup_rows,
            table.trainable(0.1).lookup,
            lambda ids: table(ids, torch.tensor([1])),
        ):
            with pytest.raises(ValueError, match=f"row {int(rows)} holds no fact"):
                use(rows)
    table.write(fresh, values[:1])
    assert torch.equal(table.lookup_rows(fresh), values[:1])


def test_row_ids_of_another_kind_raise() -> None:
    table, _ = filled_table()
    for rows in (torch.tensor([1.0]), torch.tensor([1], dtype=torch.int32), torch.tensor([[1]])):
        with pytest.raises(ValueError, match="row_ids must be torch.int64"):
            table.lookup_rows(rows)
    with pytest.raises(ValueError, match="lengths sum to 3, but there are 2 rows"):
        table(torch.tensor([1, 2]), torch.tensor([3]))


def test_bad_writes_raise_and_change_nothing() -> None:
    table, values = filled_table(dtype=torch.float16)
    rows = torch.tensor([1, 2])
    for bad, message in (
        (values[:2, :8], "values must be"),
        (torch.full((2, DIM), 1e6), "row 0 of the values is not finite as torch.float16"),
        (torch.full((2, DIM), float("nan")), "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            table.write(rows, bad)
    with pytest.raises(ValueError, match="row 2 is given twice"):
        table.write(torch.tensor([2, 2]), values[:2])
    table.erase(torch.tensor([9]))
    with pytest.raises(ValueError, match="row 9 is not allocated"):
        table.write(torch.tensor([9]), values[:1])
    assert torch.equal(table.weight[:9].float(), values[:9])


def test_erase_zeroes_the_row_and_its_optimizer_state_and_frees_it() -> None:
    table, values = filled_table()
    table.trainable(0.1).lookup(torch.arange(10)).square().sum().backward()
    kept = table.weight.clone()
    table.erase(torch.tensor([6, 2]))
    others = [0, 1, 3, 4, 5, 7, 8, 9]
    assert not table.weight[[2, 6]].any() and not table.momentum[[2, 6]].any()
    assert torch.equal(table.weight[others], kept[others]) and table.momentum[others].all()
    assert table.num_live == 8
    assert sorted(table.allocate(np.array([1, 1])).tolist()) == [2, 6]
    table.write(torch.tensor([2]), values[:1])
    assert table.momentum[2] == 0


def test_erasing_twice_raises_and_erases_nothing() -> None:
    table, values = filled_table()
    table.erase(torch.tensor([3]))
    with pytest.raises(ValueError, match="row 3 is not allocated"):
        table.erase(torch.tensor([5, 3]))
    with pytest.raises(ValueError, match="row 5 is given twice"):
        table.erase(torch.tensor([5, 5]))
    assert torch.equal(table.lookup_rows(torch.tensor([5])), values[[5]])


def test_overwriting_a_row_starts_its_optimizer_state_afresh() -> None:
    table, values = filled_table()
    table.trainable(0.1).lookup(torch.tensor([0, 1])).square().sum().backward()
    table.write(torch.tensor([0]), values[:1])
    assert table.momentum[0] == 0 and table.momentum[1] > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_growth_keeps_rows_and_state(dtype: torch.dtype) -> None:
    table, values = filled_table(dtype=dtype)
    table.momentum.copy_(torch.arange(10.0))
    table.allocate(np.array([15]))
    assert table.capacity == 40 and table.collection.embedding_configs()[0].num_embeddings == 40
    assert torch.equal(table.lookup_rows(torch.arange(10)), values)
    assert torch.equal(table.momentum[:10], torch.arange(10.0)) and not table.momentum[10:].any()
    assert table.num_live == 10 and not table.weight[10:].any() and table.weight.dtype == dtype
    table.grow(100)
    assert table.capacity == 100 and torch.equal(table.lookup_rows(torch.arange(10)), values)


@pytest.mark.parametrize("dtype", DTYPES)
def test_save_then_load_gives_the_same_table(tmp_path: Path, dtype: torch.dtype) -> None:
    table, values = filled_table(dtype=dtype)
    table.momentum.copy_(torch.arange(10.0))
    table.grow(64)
    table.erase(torch.tensor([9, 4]))
    save_file(table.state_tensors(), tmp_path / "wide.safetensors")
    assert (tmp_path / "wide.safetensors").stat().st_size < 9 * (DIM * dtype.itemsize + 5) + 1024
    with safe_open(tmp_path / "wide.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    loaded = WideTable.from_tensors(tensors, DIM)
    live = torch.tensor([0, 1, 2, 3, 5, 6, 7, 8])
    assert loaded.capacity == 9 and loaded.weight.dtype == dtype and loaded.num_live == 8
    assert torch.equal(loaded.lookup_rows(live), values[live])
    assert torch.equal(loaded.momentum[live], live.float())
    with pytest.raises(ValueError, match="row 4 holds no fact"):
        loaded.lookup_rows(torch.tensor([4]))
    assert loaded.allocate(np.array([1])).tolist() == [4]
    assert loaded.allocate(np.array([1])).tolist() == [9]


def test_an_empty_table_is_saved_and_loaded(tmp_path: Path) -> None:
    loaded = WideTable.from_tensors(WideTable(8, DIM).state_tensors(), DIM)
    assert loaded.num_live == 0 and loaded.allocate(np.array([3])).tolist() == [0]


def test_rows_mapped_from_a_file_are_not_copied_and_writes_do_not_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    table, values = filled_table()
    save_file(table.state_tensors(), path)
    before = path.read_bytes()
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    loaded = WideTable.from_tensors(tensors, DIM)
    assert loaded.weight.data_ptr() == tensors["rows"].data_ptr()
    assert str(path) in Path("/proc/self/maps").read_text()
    loaded.erase(torch.tensor([0]))
    loaded.trainable(0.1).lookup(torch.tensor([1])).sum().backward()
    assert not torch.equal(loaded.weight[1], values[1]) and torch.equal(loaded.weight[2:], values[2:])
    assert path.read_bytes() == before


def test_a_state_that_does_not_fit_raises() -> None:
    table, _ = filled_table()
    good = table.state_tensors()
    for change, message in (
        ({"rows": good["rows"][:, :8]}, r"\(10, 8\) do not have embedding_dim 16"),
        ({"rows": good["rows"][:9]}, "rows must be torch.float32 with 10 rows"),
        ({"momentum": good["momentum"].double()}, "momentum must be torch.float32"),
        ({"rows": good["rows"].double()}, "dtype must be one of"),
        ({"free_starts": torch.tensor([2]), "free_lengths": torch.tensor([1])}, "live that its free list calls free"),
        ({"free_starts": torch.tensor([11]), "free_lengths": torch.tensor([1])}, "row 11 is not in"),
    ):
        with pytest.raises(ValueError, match=message):
            WideTable.from_tensors({**good, **change}, DIM)
    for name in good:
        with pytest.raises(ValueError, match=f"no '{name}'"):
            WideTable.from_tensors({key: tensor for key, tensor in good.items() if key != name}, DIM)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embedding_dim": 6}, "multiple of 4, got 6"),
        ({"embedding_dim": 4096, "device": "cuda"}, "at most 2048 on cuda, got 4096"),
        ({"dtype": torch.float64}, "got torch.float64"),
    ],
)
def test_a_layout_the_kernels_do_not_take_raises(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WideTable(8, **arguments)
