"""Triton kernels on the table of `bucket_table`: the same layout, so that a table travels as it is.

A query reads the 4 keys of a bucket, one sector of 32 bytes, and beside them the words of those keys that match.

Letters: N queries, B buckets.
"""

import triton
import triton.language as tl

from widedeep_kb.memory import bucket_table

WIDTH = tl.constexpr(bucket_table.WIDTH)
MULTIPLIER = tl.constexpr(bucket_table.MULTIPLIER)


@triton.jit
def _home(keys, num_buckets):
    """int64 [N]: `bucket_table.home`."""
    upper = (keys.to(tl.uint64, bitcast=True) * MULTIPLIER) >> 32
    return ((upper * num_buckets.to(tl.uint64)) >> 32).to(tl.int64)


@triton.jit
def _scan(table, bucket, query, active):
    """Of each query's bucket: the word (0 where absent), its place in the bucket, and whether a search goes on.

    Each thread reads its query's bucket alone: loads of one sector, and nothing to exchange with its neighbours.
    """
    start = table + bucket * (2 * WIDTH)
    word = tl.zeros_like(bucket)
    place = tl.zeros_like(bucket).to(tl.int32)
    goes_on = active
    for column in tl.static_range(WIDTH):
        key = tl.load(start + column, mask=active, other=0)
        wanted = active & (key == query)
        if column == WIDTH - 1:
            wanted = wanted | (active & (key == 0))
        stored = tl.load(start + column + WIDTH, mask=wanted, other=0)
        found = (key == query) & (stored != 0)  # at most one: places of deleted keys have no word
        word = tl.where(found, stored, word)
        place = tl.where(found, column, place)
        if column == WIDTH - 1:
            goes_on = (key != 0) | (stored != 0)
    return word, place, goes_on


@triton.jit(do_not_specialize=["num_queries", "num_buckets"])
def find_kernel(
    queries, checks, table, result, num_queries, num_buckets,
    BLOCK: tl.constexpr, HAS_CHECKS: tl.constexpr, PLACES: tl.constexpr,
):  # fmt: skip
    """Into `result` (int64 [N]) the word of each query, 0 for a miss; with PLACES its place, -1 for a miss.

    Args:
        queries, checks: int64 [N]; `checks` is read with HAS_CHECKS only: its upper half must be the word's.
        table: int64 [B, 2 * WIDTH].
        num_queries, num_buckets: N, B.
    """
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    is_row = rows < num_queries
    query = tl.load(queries + rows, mask=is_row, other=0)
    bucket = _home(query, num_buckets)
    result_word = tl.zeros_like(bucket)
    result_place = tl.zeros_like(bucket) - 1
    active = is_row
    while tl.max(active.to(tl.int32), axis=0) > 0:
        word, place, goes_on = _scan(table, bucket, query, active)
        is_hit = active & (word != 0)
        result_word = tl.where(is_hit, word, result_word)
        result_place = tl.where(is_hit, bucket * (2 * WIDTH) + place, result_place)
        active = active & (word == 0) & goes_on
        bucket = tl.where(bucket + 1 == num_buckets, 0, bucket + 1)
    if PLACES:
        tl.store(result + rows, result_place, mask=is_row)
    else:
        if HAS_CHECKS:
            check = tl.load(checks + rows, mask=is_row, other=0)
            result_word = tl.where(((result_word ^ check) >> 32) == 0, result_word, 0)
        tl.store(result + rows, result_word, mask=is_row)


@triton.jit(do_not_specialize=["num_keys", "num_buckets"])
def add_kernel(keys, new_words, table, spare, num_filled, num_keys, num_buckets, BLOCK: tl.constexpr):
    """Add N distinct keys that are absent, with their words; the table must have room for all of them.

    A place is taken by exchanging its word, 0, for the new one; its key is written then, and nobody reads it before
    the kernel ends. Places are only ever taken from the left, so that a bucket's empty places stay its last ones.

    Args:
        keys, new_words: int64 [N], no word 0.
        table: int64 [B, 2 * WIDTH].
        spare: int64 [BLOCK], zeros: where threads without work exchange zero for zero.
        num_filled: int64 [1], raised by the number of places that never had a key.
        num_keys, num_buckets: N, B.
    """
    lanes = tl.arange(0, BLOCK)
    rows = tl.program_id(0).to(tl.int64) * BLOCK + lanes
    columns = tl.arange(0, WIDTH)[None, :]
    active = rows < num_keys
    key = tl.load(keys + rows, mask=active, other=0)
    new = tl.load(new_words + rows, mask=active, other=0)
    bucket = _home(key, num_buckets)
    zeros = tl.zeros([BLOCK], tl.int64)
    filled = tl.zeros([BLOCK], tl.int64)
    while tl.max(active.to(tl.int32), axis=0) > 0:
        start = table + bucket * (2 * WIDTH)
        words = tl.load(start[:, None] + WIDTH + columns, mask=active[:, None], other=1, volatile=True)
        free = tl.min(tl.where(words == 0, columns, WIDTH), axis=1)
        has_room = active & (free < WIDTH)
        old = tl.atomic_cas(tl.where(has_room, start + WIDTH + free, spare + lanes), zeros, tl.where(has_room, new, 0))
        won = has_room & (old == 0)
        filled += (won & (tl.load(start + free, mask=won, other=1) == 0)).to(tl.int64)
        tl.store(start + free, key, mask=won)
        active = active & (won == 0)
        bucket += (active & (has_room == 0)).to(tl.int64)
        bucket = tl.where(bucket == num_buckets, 0, bucket)
    tl.atomic_add(num_filled, tl.sum(filled, axis=0))
