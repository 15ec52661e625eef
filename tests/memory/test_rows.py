"""The row allocator against a plain Python model, and its growth, shards and saved state."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widedeep_kb.memory.rows import RowAllocator, expand_rows

STEPS = st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 8), max_size=12), st.integers(0, 99)), max_size=25)


def check_free_list(allocator: RowAllocator, taken: set[int]) -> None:
    """The free runs are exactly the rows not taken, sorted, and no two of them could be joined."""
    state = allocator.state()
    free = expand_rows(state["free_starts"], state["free_lengths"])
    assert sorted(set(range(allocator.capacity)) - taken) == free.tolist()
    assert allocator.num_free == free.size and allocator.num_allocated == len(taken)
    assert allocator.num_used == max(taken, default=-1) + 1
    touching = state["free_starts"][1:] == (state["free_starts"] + state["free_lengths"])[:-1]
    if allocator.num_shards > 1:
        touching &= state["free_starts"][1:] % allocator.rows_per_block != 0
    assert not touching.any()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, num_shards=st.sampled_from([1, 2, 3]), capacity=st.integers(1, 30))
def test_random_sequences_agree_with_a_python_model(steps, num_shards: int, capacity: int) -> None:
    allocator = RowAllocator(capacity, num_shards=num_shards, rows_per_block=8)
    facts: list[tuple[int, int]] = []
    taken: set[int] = set()
    for is_allocation, counts, seed in steps:
        if is_allocation:
            starts = allocator.allocate(np.array(counts, dtype=np.int64))
            for start, count in zip(starts.tolist(), counts, strict=True):
                rows = set(range(start, start + count))
                assert not rows & taken and max(rows) < allocator.capacity
                if num_shards > 1:
                    assert len(set(allocator.shard_of(np.array(sorted(rows))).tolist())) == 1
                taken |= rows
                facts.append((start, count))
        else:
            chosen = np.random.default_rng(seed).permutation(len(facts))[: len(facts) // 2].tolist()
            freed = np.array([facts[i] for i in chosen], dtype=np.int64).reshape(-1, 2)
            allocator.free(freed[:, 0], freed[:, 1])
            taken -= set(expand_rows(freed[:, 0], freed[:, 1]).tolist())
            facts = [fact for i, fact in enumerate(facts) if i not in chosen]
        check_free_list(allocator, taken)
        asked = np.arange(-2, allocator.capacity + 2)
        assert allocator.is_allocated(asked).tolist() == [row in taken for row in asked.tolist()]


def test_holes_are_filled_before_the_end_and_the_tightest_first() -> None:
    allocator = RowAllocator(20)
    starts = allocator.allocate(np.array([4, 4, 4, 4]))
    allocator.free(starts[[0, 2]], np.array([4, 4]))
    allocator.free(starts[[1]] + 3, np.array([1]))  # rows 7-11: a hole of 5
    assert allocator.allocate(np.array([4])).tolist() == [0]
    assert allocator.allocate(np.array([5])).tolist() == [7]
    assert allocator.allocate(np.array([1])).tolist() == [16]


def test_growth_doubles_and_keeps_what_is_taken() -> None:
    allocator = RowAllocator(4)
    first = allocator.allocate(np.array([3]))
    second = allocator.allocate(np.array([9]))
    assert allocator.capacity == 16 and first.tolist() == [0] and second.tolist() == [3]


def test_rows_of_two_shards_are_dealt_in_blocks_and_growth_moves_none() -> None:
    allocator = RowAllocator(8, num_shards=2, rows_per_block=4)
    rows = np.arange(16)
    before = allocator.shard_of(rows)
    assert before.tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    assert allocator.local_row(rows).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]
    allocator.grow(9)
    assert allocator.capacity == 16 and (allocator.shard_of(rows) == before).all()


def test_shards_fill_evenly() -> None:
    allocator = RowAllocator(1024, num_shards=4)
    counts = np.random.default_rng(0).integers(1, 4, size=5_000)
    shards = np.bincount(allocator.shard_of(allocator.allocate(counts)), weights=counts)
    assert shards.max() / shards.min() < 1.05


def test_state_comes_back_and_the_free_end_is_trimmed() -> None:
    allocator = RowAllocator(100)
    starts = allocator.allocate(np.array([2, 3, 4]))
    allocator.free(starts[1:2], np.array([3]))
    loaded = RowAllocator.from_state(allocator.trimmed().state())
    assert loaded.capacity == allocator.num_used == 9 and allocator.capacity == 100
    check_free_list(loaded, {0, 1, 2, 3, 7, 8})
    assert loaded.allocate(np.array([3])).tolist() == [4]


@pytest.mark.parametrize(
    ("starts", "counts", "message"),
    [
        ([0, 0], [1, 1], "row 0 is already free"),
        ([0, 2], [3, 1], "row 2 is already free"),
        ([6], [1], "row 6 is already free"),
        ([15], [2], "row 15 is not in a table of 16 rows"),
        ([-1], [1], "row -1 is not in"),
        ([0], [0], "at least 1 row, got 0"),
        ([0, 1], [1], "2 first_rows but 1 num_rows"),
    ],
)
def test_freeing_the_wrong_rows_raises_and_changes_nothing(starts, counts, message: str) -> None:
    allocator = RowAllocator(16)
    allocator.allocate(np.array([6]))
    with pytest.raises(ValueError, match=message):
        allocator.free(np.array(starts), np.array(counts))
    check_free_list(allocator, set(range(6)))


def test_bad_requests_raise() -> None:
    allocator = RowAllocator(16, num_shards=2, rows_per_block=4)
    with pytest.raises(ValueError, match="5 rows do not fit a shard block of 4"):
        allocator.allocate(np.array([1, 5]))
    with pytest.raises(ValueError, match="integer array"):
        allocator.allocate(np.array([1.5]))
    with pytest.raises(ValueError, match="cannot shrink a table of 16 rows to 3"):
        allocator.grow(3)
    with pytest.raises(ValueError, match="capacity must be at least 1, got 0"):
        RowAllocator(0)
    with pytest.raises(ValueError, match="no 'free_lengths'"):
        RowAllocator.from_state({"layout": np.array([4, 1, 64]), "free_starts": np.array([0])})
    assert allocator.num_allocated == 0


def test_a_million_facts_take_seconds() -> None:
    counts = np.random.default_rng(0).integers(1, 4, size=1_000_000)
    allocator = RowAllocator(1024)
    begin = time.perf_counter()
    starts = allocator.allocate(counts)
    freed = np.random.default_rng(1).random(counts.size) < 0.5
    allocator.free(starts[freed], counts[freed])
    starts[freed] = allocator.allocate(counts[freed])
    assert time.perf_counter() - begin < 10
    assert np.unique(expand_rows(starts, counts)).size == counts.sum() == allocator.num_allocated
