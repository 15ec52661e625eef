"""The operations of `bucket_table` compiled with numba: the same layout, arguments and answers.

Look-ups are bound by the latency of the memory, so that each bucket is prefetched some keys ahead; keys whose home
bucket does not settle the search are put off to a second pass, as a loop of unforeseeable length in the first would
cost more than the rest. Large look-ups are split over the cores, as the compiled functions release the GIL.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from widedeep_kb.memory.bucket_table import DELETED, MULTIPLIER, POOLED, WIDTH, Jagged

_AHEAD = 24  # keys between a prefetch and its use
_BLOCK = 256  # keys between a first pass and the second
_PART = 2_048  # keys whose words stay in the first cache
_MIN_SHARE = 8_192  # keys that are worth a thread
_MULTIPLIER, _POOLED, _DELETED = np.uint64(MULTIPLIER), np.uint64(POOLED), np.uint64(DELETED)
_ZERO, _ONE, _HALF, _LOW = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64((1 << 32) - 1)
_WIDTH, _SIZE = np.uint64(WIDTH), np.uint64(2 * WIDTH)
_NOWHERE = ~_ZERO
Result = TypeVar("Result")


def _can_cache() -> bool:
    """Whether numba finds a folder to keep compiled code in; without one every process compiles anew."""
    try:
        njit(cache=True)(_can_cache)
    except RuntimeError:
        return False
    return True


_compiled = njit(nogil=True, cache=_can_cache())
_inlined = njit(nogil=True, cache=_can_cache(), inline="always")


@intrinsic
def _match(context: object, flat: types.Type, line: types.Type, key: types.Type) -> tuple:
    """The key's word in the bucket at flat[line], or 0: 4 keys at once and, as no processor can foresee which keys are
    present, without a branch (LLVM makes branches of the same in Python).
    """

    def generate(target: object, builder: ir.IRBuilder, signature: object, arguments: list) -> object:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        i32, i64, lanes = ir.IntType(32), ir.IntType(64), ir.VectorType(ir.IntType(64), WIDTH)
        start = builder.gep(array.data, [arguments[1]])
        keys, words = (
            builder.load(builder.bitcast(builder.gep(start, [ir.Constant(i32, first)]), lanes.as_pointer()), align=8)
            for first in (0, WIDTH)
        )
        one = builder.insert_element(ir.Constant(lanes, ir.Undefined), arguments[2], ir.Constant(i32, 0))
        key = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, WIDTH), [0] * WIDTH))
        found = builder.select(builder.icmp_unsigned("==", keys, key), words, ir.Constant(lanes, [0] * WIDTH))
        name = f"llvm.vector.reduce.or.v{WIDTH}i64"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i64, [lanes]), name)
        return builder.call(function, [found])

    return types.uint64(flat, line, key), generate


@intrinsic
def _prefetch(context: object, flat: types.Type, place: types.Type) -> tuple:
    """Ask for the cache line of flat[place]."""

    def generate(target: object, builder: ir.IRBuilder, signature: object, arguments: list) -> object:
        array = target.make_array(signature.args[0])(target, builder, arguments[0])
        byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        pointer = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte)
        builder.call(function, [pointer, ir.Constant(i32, 0), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return target.get_dummy_value()

    return types.void(flat, place), generate


@_inlined
def _line(key: np.uint64, num_buckets: np.uint64) -> np.uint64:
    """Where in the flat table the home bucket of a key begins."""
    return ((((key * _MULTIPLIER) >> _HALF) * num_buckets) >> _HALF) * _SIZE


@_inlined
def _next(line: np.uint64, num_buckets: np.uint64) -> np.uint64:
    return line + _SIZE if line + _SIZE < num_buckets * _SIZE else _ZERO


@_inlined
def _is_full(flat: np.ndarray, line: np.uint64) -> bool:
    """Whether a search goes on behind this bucket."""
    return (flat[line + _WIDTH - _ONE] | flat[line + _SIZE - _ONE]) != _ZERO


@_compiled
def _find(flat: np.ndarray, keys: np.ndarray, checks: np.ndarray, words: np.ndarray, start: int, stop: int) -> None:
    """words[start:stop], as of `find_words`; `checks` may be empty."""
    num_buckets = np.uint64(len(flat)) // _SIZE
    open_keys, open_lines = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.uint64)
    for i in range(start, min(start + _AHEAD, stop)):
        _prefetch(flat, _line(keys[i], num_buckets))
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        num_open = 0
        for i in range(first, last):
            _prefetch(flat, _line(keys[min(i + _AHEAD, stop - 1)], num_buckets))
            line = _line(keys[i], num_buckets)
            word = _match(flat, line, keys[i])
            words[i] = word
            open_keys[num_open], open_lines[num_open] = i, line
            num_open += np.int64(word == _ZERO) & np.int64(_is_full(flat, line))
        while num_open:
            for j in range(num_open):
                open_lines[j] = _next(open_lines[j], num_buckets)
                _prefetch(flat, open_lines[j])
            num_before, num_open = num_open, 0
            for j in range(num_before):
                i, line = open_keys[j], open_lines[j]
                word = _match(flat, line, keys[i])
                words[i] = word
                open_keys[num_open], open_lines[num_open] = i, line
                num_open += np.int64(word == _ZERO) & np.int64(_is_full(flat, line))
        if len(checks):
            for i in range(first, last):
                words[i] &= _ZERO - np.uint64((words[i] ^ checks[i]) >> _HALF == _ZERO)


@_compiled
def _find_singles(
    flat: np.ndarray,
    keys: np.ndarray,
    checks: np.ndarray,
    words: np.ndarray,
    ends: np.ndarray,
    values: np.ndarray,
    start: int,
    stop: int,
) -> tuple[int, bool]:
    """As `_find`, and from values[start] on the ordinals that words hold, their running count in ends[start:stop].

    Returns the count, and whether no word refers to the pool: then the ordinals are complete.
    """
    num_found, references = 0, _ZERO
    for first in range(start, stop, _PART):
        last = min(first + _PART, stop)
        _find(flat, keys, checks, words, first, last)
        for i in range(first, last):
            reference = words[i] & _LOW
            references |= reference
            values[start + num_found] = np.int64(reference) - 1
            num_found += reference != _ZERO
            ends[i] = num_found
    return num_found, references < _POOLED


@_compiled
def _measure(words: np.ndarray, pool: np.ndarray, lengths: np.ndarray, start: int, stop: int) -> None:
    for i in range(start, stop):
        reference = words[i] & _LOW
        lengths[i] = pool[np.int64(reference - _POOLED)] if reference >= _POOLED else np.int64(reference != _ZERO)


@_compiled
def _fill(words: np.ndarray, pool: np.ndarray, offsets: np.ndarray, values: np.ndarray, start: int, stop: int) -> None:
    for i in range(start, stop):
        first, length = offsets[i], offsets[i + 1] - offsets[i]
        reference = words[i] & _LOW
        if reference < _POOLED:
            if length:
                values[first] = np.int64(reference) - 1
        else:
            place = np.int64(reference - _POOLED) + 1
            for j in range(length):
                values[first + j] = pool[place + j]


@_compiled
def _claim(flat: np.ndarray, keys: np.ndarray, words: np.ndarray, stored: np.ndarray) -> int:
    num_buckets, num_filled = np.uint64(len(flat)) // _SIZE, 0
    for i in range(len(keys)):
        _prefetch(flat, _line(keys[min(i + _AHEAD, len(keys) - 1)], num_buckets))
        line = _line(keys[i], num_buckets)
        free, word = _NOWHERE, _ZERO
        while True:
            for place in range(line, line + _WIDTH):
                if flat[place + _WIDTH] == _ZERO:
                    free = place if free == _NOWHERE else free
                elif flat[place] == keys[i]:
                    word = flat[place + _WIDTH]
            if word != _ZERO or not _is_full(flat, line):
                break
            line = _next(line, num_buckets)
        if word == _ZERO:
            num_filled += flat[free] == _ZERO
            flat[free], flat[free + _WIDTH] = keys[i], words[i]
        stored[i] = word
    return num_filled


@_compiled
def _replace(flat: np.ndarray, keys: np.ndarray, words: np.ndarray) -> int:
    num_buckets, num_found = np.uint64(len(flat)) // _SIZE, 0
    for i in range(len(keys)):
        _prefetch(flat, _line(keys[min(i + _AHEAD, len(keys) - 1)], num_buckets))
        line = _line(keys[i], num_buckets)
        while _match(flat, line, keys[i]) == _ZERO and _is_full(flat, line):
            line = _next(line, num_buckets)
        for place in range(line, line + _WIDTH):
            if flat[place] == keys[i] and flat[place + _WIDTH] != _ZERO:
                flat[place + _WIDTH] = words[i]
                flat[place] = keys[i] if words[i] != _ZERO else _DELETED
                num_found += 1
                break
    return num_found


@_compiled
def _move(flat: np.ndarray, new: np.ndarray) -> None:
    num_buckets = np.uint64(len(new)) // _SIZE
    for old in range(np.uint64(0), np.uint64(len(flat)), _SIZE):
        for place in range(old, old + _WIDTH):
            if flat[place + _WIDTH] == _ZERO:
                continue
            target = _line(flat[place], num_buckets)
            while new[target + _SIZE - _ONE] != _ZERO:
                target = _next(target, num_buckets)
            while new[target + _WIDTH] != _ZERO:
                target += _ONE
            new[target], new[target + _WIDTH] = flat[place], flat[place + _WIDTH]


def find_words(table: np.ndarray, keys: np.ndarray, checks: np.ndarray | None = None) -> np.ndarray:
    """As `bucket_table.find_words`."""
    keys, words = np.ascontiguousarray(keys), np.empty(len(keys), np.uint64)
    checks = keys[:0] if checks is None else np.ascontiguousarray(checks)
    _split(lambda start, stop: _find(table.reshape(-1), keys, checks, words, start, stop), len(keys))
    return words


def find_rows(table: np.ndarray, pool: np.ndarray, keys: np.ndarray, checks: np.ndarray | None = None) -> Jagged:
    """As `bucket_table.find_rows`."""
    keys, words = np.ascontiguousarray(keys), np.empty(len(keys), np.uint64)
    checks = keys[:0] if checks is None else np.ascontiguousarray(checks)
    offsets, values = np.zeros(len(keys) + 1, np.int64), np.empty(len(keys), np.int64)

    def find(start: int, stop: int) -> tuple[int, int, int, bool]:
        return start, stop, *_find_singles(table.reshape(-1), keys, checks, words, offsets[1:], values, start, stop)

    found = _split(find, len(keys))
    if not all(is_complete for *_, is_complete in found):
        return rows_of(words, pool)
    total = 0
    for start, stop, num_found, _ in found:
        if total < start:
            values[total : total + num_found] = values[start : start + num_found]
        offsets[start + 1 : stop + 1] += total
        total += num_found
    return Jagged(offsets, values[:total])


def rows_of(words: np.ndarray, pool: np.ndarray) -> Jagged:
    """As `bucket_table.rows_of`."""
    words = np.ascontiguousarray(words)
    offsets = np.zeros(len(words) + 1, np.int64)
    _split(lambda start, stop: _measure(words, pool, offsets[1:], start, stop), len(words))
    np.cumsum(offsets, out=offsets)
    values = np.empty(offsets[-1], np.int64)
    _split(lambda start, stop: _fill(words, pool, offsets, values, start, stop), len(words))
    return Jagged(offsets, values)


def claim(table: np.ndarray, keys: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, int]:
    """As `bucket_table.claim`."""
    stored = np.empty(len(keys), np.uint64)
    return stored, int(_claim(table.reshape(-1), np.ascontiguousarray(keys), np.ascontiguousarray(words), stored))


def replace(table: np.ndarray, keys: np.ndarray, words: np.ndarray) -> int:
    """As `bucket_table.replace`."""
    return _replace(table.reshape(-1), np.ascontiguousarray(keys), np.ascontiguousarray(words))


def move(table: np.ndarray, new: np.ndarray) -> None:
    """As `bucket_table.move`."""
    _move(table.reshape(-1), new.reshape(-1))


def _split(work: Callable[[int, int], Result], num_keys: int) -> list[Result]:
    """The results of work(start, stop) over all keys: shares of them on all cores where there are enough.

    More shares than cores, as a core may be busy with something else.
    """
    if num_keys < 2 * _MIN_SHARE:
        return [work(0, num_keys)]
    num_shares = min(4 * _num_cores(), num_keys // _MIN_SHARE)
    bounds = [num_keys * i // num_shares for i in range(num_shares + 1)]
    shares = [_threads(os.getpid()).submit(work, *bounds[i : i + 2]) for i in range(1, num_shares)]
    return [work(bounds[0], bounds[1]), *(share.result() for share in shares)]


def _num_cores() -> int:
    return len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def _threads(process_id: int) -> ThreadPoolExecutor:
    """The threads of this process: a forked one has none of its parent's."""
    return ThreadPoolExecutor(max_workers=_num_cores(), thread_name_prefix=f"index-{process_id}")
