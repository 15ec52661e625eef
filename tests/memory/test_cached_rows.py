"""Rows in host memory with a cache on the GPU: equal to the plain table whatever is done. CUDA parts may be skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory import cached_rows
from widedeep_kb.memory.cached_rows import CachedRows, load_table, num_cached_rows, within_budget
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.store import FactStore
from widedeep_kb.memory.wide import WideTable
from widedeep_kb.model import KnowledgeMemory

DIM = 8
ROW_BYTES = 2 * DIM
CACHE_BYTES = 32 * (ROW_BYTES + cached_rows.STATE_BYTES)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="FBGEMM's row cache needs a CUDA device")


class SlowCache:
    """What `RowCache` promises, in Python on the CPU: copies of the rows last used, which go stale like real ones."""

    def __init__(
        self, num_rows: int, embedding_dim: int, *, device: torch.device, dtype: torch.dtype, cache_rows: int
    ) -> None:
        self.rows = torch.zeros(num_rows, embedding_dim, device=device, dtype=dtype)
        self.copies: dict[int, Tensor] = {}  # oldest first
        self.cache_rows = cache_rows
        self.num_hits = 0

    def lookup(self, row_ids: Tensor) -> Tensor:
        out = []
        for row in row_ids.tolist():
            self.num_hits += row in self.copies
            copy = self.copies.pop(row, None)
            self.copies[row] = self.rows[row].clone() if copy is None else copy
            out.append(self.copies[row].float())
            if len(self.copies) > self.cache_rows:
                self.copies.pop(next(iter(self.copies)))
        return torch.stack(out)

    def is_cached(self, row_ids: Tensor) -> Tensor:
        return torch.tensor([row in self.copies for row in row_ids.tolist()])

    def drop(self, row_ids: Tensor) -> None:
        for row in row_ids.tolist():
            self.copies.pop(row, None)

    def clear(self) -> None:
        self.copies.clear()


OPTIONS = {"device": "cpu", "cache_bytes": CACHE_BYTES, "cache_from_rows": 4, "make_cache": SlowCache}


def pair(capacity: int, *, dtype: torch.dtype = torch.float16) -> tuple[WideTable, CachedRows]:
    """A plain table and one with a cache of 32 rows."""
    return WideTable(capacity, DIM, dtype=dtype), CachedRows(capacity, DIM, dtype=dtype, **OPTIONS)


@pytest.mark.parametrize("seed", range(6))
def test_equal_to_the_plain_table_whatever_is_done(seed: int) -> None:
    rng, tables = np.random.default_rng(seed), pair(40)
    first_steps = [table.trainable(0.1) for table in tables]
    live: list[int] = []
    for _ in range(120):
        action = rng.choice(
            ["write", "rewrite", "erase", "look", "train", "reload"], p=[0.2, 0.15, 0.1, 0.35, 0.15, 0.05]
        )
        some = (
            torch.from_numpy(rng.choice(live, size=min(len(live), int(rng.integers(1, 60))), replace=False))
            if live
            else None
        )
        if action == "write":
            counts = rng.integers(1, 4, size=int(rng.integers(1, 12)))
            first = [table.allocate(counts) for table in tables]  # grows now and then
            assert np.array_equal(*first)
            rows = np.concatenate([np.arange(f, f + n) for f, n in zip(first[0], counts, strict=True)])
            live += rows.tolist()
            _write(tables, torch.from_numpy(rows), rng)
        elif action == "rewrite" and live:
            _write(tables, some, rng)
        elif action == "erase" and live:
            some = some[: len(some) // 4]
            for table in tables:
                table.erase(some)
            live = sorted(set(live) - set(some.tolist()))
        elif action == "train" and live:
            grad = torch.from_numpy(rng.normal(size=(len(some), DIM))).float()
            for trainer in first_steps:
                torch.manual_seed(0)  # half rows are rounded at random
                (trainer.lookup(some) * grad).sum().backward()
        elif action == "reload":
            state = {name: tensor.clone() for name, tensor in tables[1].state_tensors().items()}
            loaded = CachedRows.from_tensors(state, DIM, **OPTIONS)
            tables = (WideTable.from_tensors(tables[0].state_tensors(), DIM), loaded)
            first_steps = [table.trainable(0.1) for table in tables]
        elif live:
            asked = torch.from_numpy(rng.choice(live, size=50))
            with torch.no_grad():
                assert torch.equal(tables[0].lookup_rows(asked), tables[1].lookup_rows(asked))
            assert torch.equal(tables[0].lookup_rows(asked), tables[1].lookup_rows(asked))
        assert tables[0].capacity == tables[1].capacity
    assert torch.equal(tables[0].weight, tables[1].weight)
    assert torch.equal(tables[0].momentum, tables[1].momentum)


def _write(tables: tuple[WideTable, ...], rows: Tensor, rng: np.random.Generator) -> None:
    values = torch.from_numpy(rng.normal(size=(len(rows), DIM))).float()
    for table in tables:
        table.write(rows, values)


def test_look_ups_use_the_cache_and_training_does_not() -> None:
    _, table = pair(16)
    rows = torch.from_numpy(table.allocate(np.ones(10, dtype=np.int64)))
    table.write(rows, torch.randn(10, DIM))
    table.lookup_rows(rows)
    assert not table.cache.is_cached(rows).any()
    with torch.inference_mode():
        table.lookup_rows(rows[:4])
        table.lookup_rows(rows[:4])
    assert table.cache.is_cached(rows).tolist() == [True] * 4 + [False] * 6
    assert table.cache.num_hits == 4
    with torch.inference_mode():
        table.lookup_rows(rows[5:8])  # too few to be worth the cache
    assert table.cache.is_cached(rows).tolist() == [True] * 4 + [False] * 6
    table.write(rows[1:2], torch.zeros(1, DIM))
    assert table.cache.is_cached(rows[:4]).tolist() == [True, False, True, True]


def test_dead_rows_still_raise() -> None:
    _, table = pair(16)
    rows = torch.from_numpy(table.allocate(np.ones(2, dtype=np.int64)))
    with pytest.raises(ValueError, match=r"row \d+ holds no fact"), torch.no_grad():
        table.lookup_rows(rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "need a GPU, got device 'cpu'"),
        ({"dtype": torch.bfloat16, "make_cache": SlowCache}, "float32 or torch.float16 rows, got torch.bfloat16"),
        ({"cache_bytes": 100, "make_cache": SlowCache}, "a cache of 100 bytes does not hold 32 rows of 8"),
    ],
)
def test_what_cannot_be_cached_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CachedRows(16, DIM, **{"cache_bytes": CACHE_BYTES, "device": "cpu"} | options)


def test_a_budget_needs_a_gpu(tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path) -> None:
    table = WideTable(16, DIM)
    assert within_budget(table, capacity=1 << 40, gpu_row_bytes=None) is table
    for call in (
        lambda: within_budget(table, capacity=1, gpu_row_bytes=1 << 30),
        lambda: load_table(table.state_tensors(), DIM, device="cpu", gpu_row_bytes=1 << 30),
        lambda: FactStore(DIM, word_vectors=lambda words: np.zeros((len(words), 2), np.float32), gpu_row_bytes=10),
    ):
        with pytest.raises(ValueError, match="need a GPU, got device 'cpu'"):
            call()
    lm = tiny_frozen_lm()
    KnowledgeMemory(lm, Reader(ReaderConfig.for_lm(lm))).save(tmp_path / "memory")
    with pytest.raises(ValueError, match="need a GPU, got device 'cpu'"):
        KnowledgeMemory.from_pretrained(tmp_path / "memory", llm=lm, gpu_row_bytes=1)


def test_cache_size() -> None:
    assert num_cached_rows(32 * (2048 + 16), row_bytes=2048) == 32
    assert num_cached_rows(32 * (2048 + 16) - 1, row_bytes=2048) == 0
    assert num_cached_rows(10**9, row_bytes=2048) % 32 == 0


def test_rows_beyond_the_host_are_refused_before_they_are_allocated() -> None:
    assert 1 << 28 < cached_rows.free_host_bytes() < 1 << 50
    options = {"device": torch.device("cuda"), "dtype": torch.float16, "cache_rows": 32}
    with pytest.raises(ValueError, match="1099511627776 rows take 2251799813685248 bytes of host memory, of which"):
        cached_rows.RowCache(1 << 40, 1024, **options)


class Arrival:
    """A `Pending` whose rows come when they are waited for: whoever reads them before that reads poison."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows.clone()
        self.num_waits = 0

    def wait(self, tensor: Tensor) -> None:
        self.num_waits += 1
        tensor.copy_(self.rows)


@pytest.mark.parametrize("new_tokens", [1, 5])
def test_the_first_adapter_waits_for_the_rows(tiny_frozen_lm: Callable[..., FrozenLM], new_tokens: int) -> None:
    lm = tiny_frozen_lm()
    reader = Reader(ReaderConfig.for_lm(lm)).eval()
    hooks = MemoryHooks(lm, reader)
    torch.manual_seed(0)
    rows, tokens = torch.randn(2, 3, reader.writer.row_width), torch.randint(3, 60, (2, 7))
    pending = Arrival(rows)
    options = {"max_new_tokens": new_tokens, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    logits = []
    with torch.inference_mode():
        for binding in (Binding(rows=rows), Binding(rows=torch.full_like(rows, float("nan")), pending=pending)):
            with hooks.bind(replace(binding)):
                logits.append(torch.stack(lm.model.generate(tokens, **options).logits))
    assert torch.equal(*logits)
    assert pending.num_waits == 1


@needs_gpu
@pytest.mark.parametrize("seed", range(3))
def test_the_gpu_cache_equals_the_slow_one(seed: int) -> None:
    device, generator = torch.device("cuda"), torch.Generator().manual_seed(seed)
    make = {"device": device, "dtype": torch.float16, "cache_rows": 64}
    cache = cached_rows.RowCache(4096, 64, **make)
    values = torch.randn(4096, 64, generator=generator).half()
    cache.rows.copy_(values)
    for _ in range(20):
        row_ids = torch.randint(0, 4096, (300,), generator=generator)
        assert torch.equal(cache.lookup(row_ids.to(device)).cpu(), values[row_ids].float())
        changed = torch.randint(0, 4096, (50,), generator=generator).unique()
        values[changed] = torch.randn(len(changed), 64, generator=generator).half()
        cache.rows.index_copy_(0, changed.to(device), values[changed].to(device))
        cache.drop(changed.to(device))


@needs_gpu
@pytest.mark.parametrize("from_rows", [1, 10_000])
def test_rows_fetched_ahead_on_the_gpu(from_rows: int) -> None:
    table = CachedRows(1 << 14, 1024, cache_bytes=1 << 22, cache_from_rows=from_rows)
    rows = torch.from_numpy(table.allocate(np.ones(1 << 14, dtype=np.int64))).cuda()
    values = torch.randn(1 << 14, 1024).half()
    table.write(rows, values)
    with torch.no_grad():
        for _ in range(10):
            ids = torch.randint(0, 1 << 14, (2000,), device="cuda")
            with table.ahead() as pending:
                found = table.known_rows(ids)
            pending.wait(found)
            assert torch.equal(found.cpu(), values[ids.cpu()].float())


@needs_gpu
def test_training_host_rows_on_the_gpu_equals_training_gpu_rows() -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    options = {"device": "cuda", "dtype": torch.float32}
    tables = [
        WideTable(2048, 64, **options),
        CachedRows(2048, 64, cache_bytes=1 << 20, cache_from_rows=1, **options),
    ]
    rows = [torch.from_numpy(table.allocate(np.ones(2048, dtype=np.int64))).cuda() for table in tables][0]
    values = torch.randn(2048, 64, device="cuda", generator=generator)
    for table in tables:
        table.write(rows, values)
    trainers = [table.trainable(0.1) for table in tables]
    for _ in range(5):
        asked = torch.randint(0, 2048, (700,), device="cuda", generator=generator)
        grad = torch.randn(700, 64, device="cuda", generator=generator)
        for trainer in trainers:
            (trainer.lookup(asked) * grad).sum().backward()
        with torch.inference_mode():
            torch.testing.assert_close(tables[1].known_rows(rows), tables[0].known_rows(rows), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tables[1].momentum, tables[0].momentum, rtol=1e-5, atol=1e-7)
    assert not torch.equal(tables[1].weight, values)


@needs_gpu
def test_a_memory_beyond_its_budget_answers_the_same(tiny_frozen_lm: Callable[..., FrozenLM], tmp_path: Path) -> None:
    lm = tiny_frozen_lm()
    lm.model.cuda()
    reader = Reader(ReaderConfig.for_lm(lm))
    facts = [{"subject": f"Zor{i}", "relation": "port", "object": str(7 * i)} for i in range(3000)]
    plain = KnowledgeMemory(lm, reader)
    plain.write(facts)
    plain.save(tmp_path / "memory")
    loaded = KnowledgeMemory.from_pretrained(tmp_path / "memory", llm=lm, gpu_row_bytes=1 << 22)
    grown = KnowledgeMemory.from_pretrained(llm=lm, reader=reader, gpu_row_bytes=1 << 22)
    grown.write(facts[:100])
    assert not isinstance(grown.store.table, CachedRows)
    grown.write(facts)
    questions = [f"What is the port of Zor{i}?" for i in range(0, 3000, 97)]
    wanted = [(a.text, a.evidence) for a in plain.ask_many(questions, max_new_tokens=4)]
    for memory in (loaded, grown):
        assert isinstance(memory.store.table, CachedRows)
        assert [(a.text, a.evidence) for a in memory.ask_many(questions, max_new_tokens=4)] == wanted
    grown.save(tmp_path / "again")
    again = KnowledgeMemory.from_pretrained(tmp_path / "again", llm=lm)
    assert [(a.text, a.evidence) for a in again.ask_many(questions, max_new_tokens=4)] == wanted
