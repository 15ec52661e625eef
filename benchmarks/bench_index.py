"""The exact index beside its alternatives: build, look-up, insert, delete, save, load, bytes per key.

    python benchmarks/bench_index.py --sizes 1000000 10000000             # CPU: numba, numpy, faiss, dict
    python benchmarks/bench_index.py --sizes 100000000 --rounds 5         # 5 GB of memory, 2 GB of disk
    python benchmarks/bench_index.py --device cuda --sizes 1000000 10000000 100000000
    TRITON_INTERPRET=1 python benchmarks/bench_index.py --device interpreter --sizes 500 --queries 200 --rounds 2

Keys are a bijection of 0, 1, 2, ..., so that every answer is known; half of the keys asked for are absent. Each answer
is checked before anything is timed. Every round times all variants in turn, each with queries of its own (those of
another variant would be in the cache); medians. One JSON line a result, a Markdown table last.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from widedeep_kb.keys import mix
from widedeep_kb.memory import bucket_table
from widedeep_kb.memory.index import ExactIndex

POISON = -7_777_777_777
MANY = 1_000_000  # keys inserted and deleted


def main() -> None:
    """Run one part and print its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda", "interpreter"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--queries", type=int, help="keys a look-up (default: 2^21, on a GPU 2^24)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--scratch", type=Path, help="folder for the saved index (default: a temporary one)")
    args = parser.parse_args()
    num_queries = args.queries or (1 << 21 if args.device == "cpu" else 1 << 24)
    results: list[dict] = []
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        for size in args.sizes:
            if args.device == "cpu":
                measure_cpu(size, num_queries=num_queries, rounds=args.rounds, path=Path(folder) / "index", out=results)
            else:
                device = torch.device("cuda" if args.device == "cuda" else "cpu")
                measure_gpu(
                    size, device, num_queries=num_queries, rounds=args.rounds, path=Path(folder) / "index", out=results
                )
            gc.collect()
    print_table(results)


def report(out: list[dict], **values: object) -> None:
    """Print and keep one result."""
    out.append(values)
    print(json.dumps(values), flush=True)


def turned(variants: dict[str, Callable], number: int) -> list[tuple[str, Callable]]:
    """The variants, another one first in each round: the one behind a slow one finds colder caches."""
    pairs = list(variants.items())
    return pairs[number % len(pairs) :] + pairs[: number % len(pairs)]


def print_table(results: list[dict]) -> None:
    """The results as Markdown: a row for each variant and measurement, a column for each number of keys."""
    sizes = sorted({result["keys"] for result in results})
    rows: dict[tuple, dict[int, object]] = {}
    for result in results:
        rows.setdefault((result["variant"], result["what"]), {})[result["keys"]] = result["value"]
    print("\n| variant | measurement | " + " | ".join(f"{size:.0e} keys" for size in sizes) + " |")
    print("|---|---|" + "---|" * len(sizes))
    for (variant, what), values in rows.items():
        print(f"| {variant} | {what} | " + " | ".join(f"{values[s]:.4g}" if s in values else "" for s in sizes) + " |")


# --- CPU ---------------------------------------------------------------------------------------------------------


def keys_of(numbers: np.ndarray) -> np.ndarray:
    """uint64 keys of numbers."""
    return mix(numbers.astype(np.uint64) + np.uint64(0x51ED))


def checks_of(keys: np.ndarray) -> np.ndarray:
    """uint64 checks of keys."""
    return keys * np.uint64(0x9E3779B97F4A7C15)


def draw(rng: np.random.Generator, size: int, num_queries: int) -> np.ndarray:
    """int64 numbers of which half have no key among the first `size`."""
    return rng.integers(0, 2 * size, num_queries)


def timed(work: Callable, *arguments: object) -> tuple[float, object]:
    """Seconds that `work` takes, and what it returns."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


def measure_cpu(size: int, *, num_queries: int, rounds: int, path: Path, out: list[dict]) -> None:
    """Everything about tables of `size` keys on the CPU."""
    rng = np.random.default_rng(size)
    engine = "numba" if find_spec("numba") else "numpy"
    warm = ExactIndex(engine=engine)  # compiles
    warm.insert(keys_of(np.arange(99)), np.arange(99), checks_of(keys_of(np.arange(99))))
    warm.delete(keys_of(np.arange(9)), np.arange(9))
    warm.compact()
    del warm
    keys = keys_of(np.arange(size))
    checks, ordinals = checks_of(keys), np.arange(size)
    index = ExactIndex(engine=engine)
    seconds, _ = timed(index.insert, keys, ordinals, checks)
    del keys, checks, ordinals
    report(out, keys=size, variant=f"ours, {engine}", what="build, s", value=seconds)
    report(out, keys=size, variant=f"ours, {engine}", what="bytes a key, check included", value=index.size_bytes / size)
    variants = {f"ours, {engine}": index.lookup}
    seconds, _ = timed(index.save, path)
    report(out, keys=size, variant=f"ours, {engine}", what="save, s", value=seconds)
    seconds, mapped = timed(partial(ExactIndex.load, path, engine=engine))
    report(out, keys=size, variant=f"ours, {engine}", what="load as a memory map, s", value=seconds)
    first = keys_of(draw(rng, size, 100_000))
    seconds, _ = timed(mapped.lookup, first, checks_of(first))
    report(out, keys=size, variant=f"ours, {engine}", what="first 100,000 look-ups in the map, s", value=seconds)
    variants[f"ours, {engine}, memory map"] = mapped.lookup
    if engine != "numpy" and size <= 10_000_000:
        variants["ours, numpy"] = ExactIndex.from_arrays(index.arrays(), engine="numpy").lookup
    variants |= others(size, out)
    compare(variants, rng, size, num_queries=num_queries, rounds=rounds, out=out)
    del variants, mapped
    change(index, size, variant=f"ours, {engine}", out=out)


def others(size: int, out: list[dict]) -> dict[str, Callable]:
    """faiss' map, and up to 10^6 keys a dict: built and reported."""
    found: dict[str, Callable] = {}
    if find_spec("faiss"):
        import faiss

        capacity = 1 << int(np.ceil(np.log2(size / 0.9)))
        table = faiss.MapInt64ToInt64(capacity)
        seconds = 0.0
        for first in range(0, size, 10_000_000):  # no more memory than it needs
            numbers = np.arange(first, min(first + 10_000_000, size))
            keys = keys_of(numbers).view(np.int64)
            seconds += timed(table.add, keys, numbers)[0]
        report(out, keys=size, variant="faiss MapInt64ToInt64", what="build, s", value=seconds)
        report(out, keys=size, variant="faiss MapInt64ToInt64", what="bytes a key", value=16 * capacity / size)
        found["faiss MapInt64ToInt64"] = lambda keys, _: table.lookup(keys.view(np.int64))
    if size <= 1_000_000:
        keys = keys_of(np.arange(size)).tolist()
        seconds, mapping = timed(dict, zip(keys, range(size), strict=True))
        report(out, keys=size, variant="dict", what="build, s", value=seconds)
        found["dict"] = lambda keys, _: np.array([mapping.get(key, -1) for key in keys.tolist()])
    return found


def compare(
    variants: dict[str, Callable],
    rng: np.random.Generator,
    size: int,
    *,
    num_queries: int,
    rounds: int,
    out: list[dict],
) -> None:
    """Check the answers of all variants, then time them in turn."""
    for what, count in ((f"{num_queries:,}", num_queries), ("32,768", 32_768), ("60", 60)):
        seconds: dict[str, list[float]] = {variant: [] for variant in variants}
        for number in range(rounds + 1):  # the first round is warm-up, and checked
            for variant, look_up in turned(variants, number):
                if number > 3 and variant in ("dict", "ours, numpy") and count > 1_000_000:
                    continue
                numbers = draw(rng, size, count)
                keys = keys_of(numbers)
                checks = checks_of(keys)
                taken, answer = timed(look_up, keys, checks)
                if number:
                    seconds[variant].append(taken)
                    continue
                expected = np.where(numbers < size, numbers, -1)
                if isinstance(answer, tuple):
                    single = np.full(count, POISON)
                    single[answer.lengths == 0] = -1
                    single[answer.rows] = answer.values
                    answer = single
                if not np.array_equal(answer, expected):
                    raise SystemExit(f"{variant}: wrong answers at {size} keys")
        for variant, taken in seconds.items():
            median = statistics.median(taken)
            if count == 60:
                report(out, keys=size, variant=variant, what="look-up of 60 keys, us", value=median * 1e6)
            else:
                what_ = f"look-ups, millions a second ({what} at once)"
                report(out, keys=size, variant=variant, what=what_, value=count / median / 1e6)


def change(index: ExactIndex, size: int, *, variant: str, out: list[dict]) -> None:
    """Insert new keys, then delete them and as many old ones."""
    count = min(MANY, size)
    numbers = np.arange(size, size + count)
    keys = keys_of(numbers)
    checks = checks_of(keys)
    seconds, _ = timed(index.insert, keys, numbers, checks)
    report(out, keys=size, variant=variant, what="insert, millions a second", value=count / seconds / 1e6)
    gone = np.concatenate([numbers, np.arange(0, size, max(1, size // count))])
    seconds, taken = timed(index.delete, keys_of(gone), gone)
    report(out, keys=size, variant=variant, what="delete, millions a second", value=len(gone) / seconds / 1e6)
    found = index.lookup(keys_of(gone))
    if taken != len(gone) or len(found.values) or index.num_keys != size + count - len(gone):
        raise SystemExit(f"{variant}: deleting went wrong at {size} keys")


# --- GPU ---------------------------------------------------------------------------------------------------------


def mixed(numbers: torch.Tensor) -> torch.Tensor:
    """`keys_of` on a GPU: int64 of the same bits."""
    values = numbers + 0x51ED
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, None)):
        values = values ^ ((values >> shift) & ((1 << (64 - shift)) - 1))
        if factor is not None:
            values = values * (factor - (1 << 64))
    return values


def gpu_checks(keys: torch.Tensor) -> torch.Tensor:
    """`checks_of` on a GPU."""
    return keys * (0x9E3779B97F4A7C15 - (1 << 64))


def gpu_timed(device: torch.device, work: Callable, *arguments: object) -> tuple[float, object]:
    """Seconds between two CUDA events (by the clock without a GPU), and what `work` returns."""
    if device.type == "cpu":
        return timed(work, *arguments)
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    result = work(*arguments)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3, result


def measure_gpu(size: int, device: torch.device, *, num_queries: int, rounds: int, path: Path, out: list[dict]) -> None:
    """Everything about a table of `size` keys on a GPU."""
    from widedeep_kb.memory.gpu_index import GpuIndex, Launch

    where = torch.cuda.get_device_name() if device.type == "cuda" else "Triton's interpreter"
    numbers = torch.arange(size, device=device)
    keys = mixed(numbers)
    warm = GpuIndex(device)
    for shift in (0, 30, 70):  # compiles, grows, and has rows in the pool
        warm.insert(keys[:99], numbers[:99] + shift, gpu_checks(keys[:99]))
        warm.insert(keys[shift : shift + 99], numbers[:99], gpu_checks(keys[shift : shift + 99]))
        warm.delete(keys[: shift + 30], numbers[: shift + 30])
    warm.compact()
    index = GpuIndex(device)
    checks = gpu_checks(keys)
    seconds, _ = gpu_timed(device, index.insert, keys, numbers, checks)
    report(out, keys=size, variant=where, what="build, s", value=seconds)
    report(out, keys=size, variant=where, what="bytes a key, check included", value=index.size_bytes / size)
    del checks
    ordered, order = torch.sort(keys)
    del keys, numbers
    check_gpu(index, size, device, num_queries=num_queries)
    variants: dict[str, Callable] = {}
    for block, warps in ((32, 1), (64, 1), (64, 2), (128, 4)):
        launch = Launch(queries_per_program=block, num_warps=warps)
        variants[f"words, {block} keys and {warps} warps a program"] = partial(words_with, index, launch)
    variants["lookup, rows with all offsets"] = partial(rows_with, index, Launch())
    variants["torch.searchsorted, no checks"] = partial(search, ordered, order)
    for count, label in ((num_queries, "millions a second"), (60, "us for 60 keys")):
        taken: dict[str, list[float]] = {variant: [] for variant in variants}
        for number in range(rounds + 1):
            for variant, look_up in turned(variants, number):
                keys = mixed(torch.randint(0, 2 * size, (count,), device=device))
                checks, result = gpu_checks(keys), torch.full((count,), POISON, device=device)
                seconds, _ = gpu_timed(device, look_up, keys, checks, result)
                if number:
                    taken[variant].append(seconds)
        for variant, times in taken.items():
            median = statistics.median(times)
            value = median * 1e6 if count == 60 else count / median / 1e6
            report(out, keys=size, variant=f"{where}: {variant}", what=f"look-ups, {label}", value=value)
    del ordered, order
    change_gpu(index, size, device, variant=where, path=path, out=out)


def words_with(index: object, launch: object, keys: torch.Tensor, checks: torch.Tensor, result: torch.Tensor) -> None:
    """One look-up with a given launch."""
    index.launch = launch
    index.lookup_words(keys, checks, out=result)


def rows_with(index: object, launch: object, keys: torch.Tensor, checks: torch.Tensor, result: torch.Tensor) -> None:
    """One look-up of whole rows."""
    index.launch = launch
    index.lookup(keys, checks)


def search(
    ordered: torch.Tensor, order: torch.Tensor, keys: torch.Tensor, checks: torch.Tensor, result: torch.Tensor
) -> None:
    """The plain alternative: binary search in sorted keys; the ordinal, -1 for a miss."""
    places = torch.searchsorted(ordered, keys).clamp_(max=ordered.numel() - 1)
    result.copy_(torch.where(ordered[places] == keys, order[places], -1))


def check_gpu(index: object, size: int, device: torch.device, *, num_queries: int) -> None:
    """Compare all answers with what they must be, and some with numpy's search of the same table."""
    from widedeep_kb.memory.gpu_index import Launch

    numbers = torch.randint(0, 2 * size, (num_queries,), device=device)
    keys = mixed(numbers)
    expected = torch.where(numbers < size, numbers + 1, 0)
    for launch in (Launch(), Launch(queries_per_program=128, num_warps=4)):
        result = torch.full_like(keys, POISON)
        words_with(index, launch, keys, gpu_checks(keys), result)
        if not torch.equal(result & 0xFFFFFFFF, expected):
            raise SystemExit(f"wrong words at {size} keys with {launch}")
        words_with(index, launch, keys, ~gpu_checks(keys), result)
        if int(torch.count_nonzero(result)):
            raise SystemExit(f"wrong checks were overlooked at {size} keys with {launch}")
    offsets, values = index.lookup(keys, gpu_checks(keys))
    if not (torch.equal(torch.diff(offsets), (expected > 0).long()) and torch.equal(values, numbers[numbers < size])):
        raise SystemExit(f"wrong rows at {size} keys")
    some = keys[: min(num_queries, 20_000)]
    if size <= 10_000_000:
        reference = bucket_table.find_words(index.arrays()["table"], some.cpu().numpy().view(np.uint64))
        if not np.array_equal(index.lookup_words(some).cpu().numpy().view(np.uint64), reference):
            raise SystemExit(f"other words than numpy's at {size} keys")


def change_gpu(index: object, size: int, device: torch.device, *, variant: str, path: Path, out: list[dict]) -> None:
    """Insert new keys, delete them and as many old ones, save and load."""
    count = min(MANY, size)
    numbers = torch.arange(size, size + count, device=device)
    keys = mixed(numbers)
    seconds, _ = gpu_timed(device, index.insert, keys, numbers, gpu_checks(keys))
    report(out, keys=size, variant=variant, what="insert, millions a second", value=count / seconds / 1e6)
    gone = torch.cat([numbers, torch.arange(0, size, max(1, size // count), device=device)])
    seconds, taken = gpu_timed(device, index.delete, mixed(gone), gone)
    report(out, keys=size, variant=variant, what="delete, millions a second", value=gone.numel() / seconds / 1e6)
    left = index.lookup(mixed(gone)).values.numel()
    if taken != gone.numel() or left or index.num_keys != size + count - gone.numel():
        raise SystemExit(f"deleting went wrong at {size} keys")
    index.to_index().save(path)
    seconds, loaded = gpu_timed(device, lambda: ExactIndex.load(path).to_device(device))
    report(out, keys=size, variant=variant, what="load a file to the device, s", value=seconds)
    sample = torch.randint(0, 2 * size, (1000,), device=device)
    if not torch.equal(loaded.lookup(mixed(sample)).values, index.lookup(mixed(sample)).values):
        raise SystemExit(f"the loaded index answers otherwise at {size} keys")
    path.unlink()


if __name__ == "__main__":
    main()
