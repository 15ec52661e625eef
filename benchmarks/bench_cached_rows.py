"""Rows in host memory behind a cache on the GPU, beside all rows on the GPU and rows copied through pinned memory.

    python benchmarks/bench_cached_rows.py                                                             # one GPU, 50 s
    python benchmarks/bench_cached_rows.py --device cpu --rows 4000 --look-ups 48,512 --prompts 4x8 --runs 3  # no GPU

Every way is first compared with float64 rows computed on the CPU, into memory that was filled with NaN. Then all ways
take turns on the same row numbers, fresh ones for each look-up, drawn evenly or with chances 1 / rank (Zipf), after the
caches were filled by such look-ups. Times are medians from the call to the last row being there, by CUDA events on an
idle GPU. `predicted` is what `widedeep-kb plan` reckons with. Last come passes of the LLM over whole prompts: with rows
already there, with rows fetched before the pass, and with rows fetched beside its lower layers.
On a CPU the cache is left out: plain rows stand in for it, and the times mean nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.cached_rows import STATE_BYTES, CachedRows, RowCache, num_cached_rows
from widedeep_kb.memory.gather import gather_rows
from widedeep_kb.memory.hooks import Binding, MemoryHooks
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.memory.tier_costs import cached_ms, copied_ms, gpu_ms, host_ms, lru_hit_rate
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.timing import elapsed_ms

DTYPE = torch.float16
SKEWS = {"uniform": 0.0, "zipf": 1.0}
WARM_UP = 32_768  # rows of a look-up that fills the caches
NUM_CHECKED = 4096
NUM_UNCACHED = 4  # ways without a cache
ROWS_PER_PROMPT = 32


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table; each way has its own copy")
    parser.add_argument("--embedding-dim", type=int, default=1024)
    parser.add_argument("--ratios", default="0.02,0.1,0.3", help="of the rows that the caches hold, by commas")
    parser.add_argument("--look-ups", default="48,2560,32768", help="rows asked for at once, by commas")
    parser.add_argument("--prompts", default="64x24,512x24,512x128", help="prompts x tokens of a pass, by commas")
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--llm", default=None)
    return parser.parse_args(argv)


class PlainRows:
    """Stands in for `RowCache` on a CPU."""

    def __init__(self, num_rows: int, embedding_dim: int) -> None:
        self.rows = torch.zeros(num_rows, embedding_dim, dtype=DTYPE)

    def lookup(self, row_ids: Tensor) -> Tensor:
        """float32 [N, D]."""
        return self.rows.index_select(0, row_ids).float()

    def is_cached(self, row_ids: Tensor) -> Tensor:
        """All of them."""
        return torch.ones_like(row_ids, dtype=torch.bool)

    def clear(self) -> None:
        """Nothing to forget."""


def content(row_ids: Tensor, embedding_dim: int) -> Tensor:
    """What rows hold, float64 [N, D]: exact in half precision, and no two rows alike."""
    columns = torch.arange(embedding_dim, device=row_ids.device)
    return ((row_ids[:, None] * 7919 + columns * (row_ids[:, None] % 1021 + 1)) % 4093 - 2046).double() / 256


def fill(rows: Tensor, *, device: torch.device) -> None:
    """Writes every row's content, made on `device`."""
    for part in torch.arange(rows.shape[0], device=device).split(1 << 16):
        rows[int(part[0]) : int(part[-1]) + 1].copy_(content(part, rows.shape[1]))


class Ways:
    """The same rows in each place, and the ways to look them up.

    Args:
        num_rows, embedding_dim: of the table.
        ratios: shares of the rows that the caches hold.
        device: where rows are wanted.
    """

    def __init__(self, num_rows: int, embedding_dim: int, *, ratios: list[float], device: torch.device) -> None:
        self.device, self.num_rows = device, num_rows
        self.on_gpu = torch.empty(num_rows, embedding_dim, dtype=DTYPE, device=device)
        fill(self.on_gpu, device=device)
        self.on_cpu = torch.empty(num_rows, embedding_dim, dtype=DTYPE)
        self.on_cpu.copy_(self.on_gpu)
        self.caches = {ratio: self._cache(ratio) for ratio in ratios}
        self.pinned = torch.empty(WARM_UP, embedding_dim, dtype=DTYPE, pin_memory=device.type == "cuda")

    def _cache(self, ratio: float) -> RowCache | PlainRows:
        num_rows, dim = self.on_gpu.shape
        cache_bytes = int(ratio * num_rows * (dim * DTYPE.itemsize + STATE_BYTES))
        cache_rows = num_cached_rows(cache_bytes, row_bytes=dim * DTYPE.itemsize)
        make = {"device": self.device, "dtype": DTYPE, "cache_rows": cache_rows}
        cache = RowCache(num_rows, dim, **make) if self.device.type == "cuda" else PlainRows(num_rows, dim)
        cache.rows.copy_(self.on_gpu)
        return cache

    def all(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """Name -> look-up of row numbers on `device`, float32 [N, D]."""
        host = next(iter(self.caches.values())).rows
        return {
            "all rows on the GPU": lambda ids: gather_rows(self.on_gpu, ids, dtype=torch.float32),
            "host rows, copied through pinned memory": self.through_pinned,
            "host rows, read over PCIe by index_select": lambda ids: host.index_select(0, ids).float(),
            "host rows, read over PCIe by our gather": lambda ids: gather_rows(host, ids, dtype=torch.float32),
            **{f"host rows, cache of {ratio:.0%}": cache.lookup for ratio, cache in self.caches.items()},
        }

    def through_pinned(self, row_ids: Tensor) -> Tensor:
        """Gathered by the CPU, copied, converted on the GPU."""
        buffer = self.pinned[: row_ids.numel()]
        torch.index_select(self.on_cpu, 0, row_ids.cpu(), out=buffer)
        return buffer.to(self.device, non_blocking=True).float()


@dataclass(frozen=True)
class Draw:
    """Draws row numbers with chances 1 / rank^skew; ranks are spread over the table."""

    num_rows: int
    skew: float
    generator: torch.Generator

    def __call__(self, count: int) -> Tensor:
        """int64 [count] on the generator's device."""
        share = torch.rand(count, generator=self.generator, device=self.generator.device, dtype=torch.float64)
        if self.skew == 0:
            return (share * self.num_rows).long()
        ranks = torch.arange(1, self.num_rows + 1, device=share.device, dtype=torch.float64)
        chances = (ranks**-self.skew).cumsum(0)
        return (
            torch.searchsorted(chances, share * chances[-1]).clamp_(max=self.num_rows - 1) * 7_368_787 % self.num_rows
        )


def poison(shape: tuple[int, ...], *, device: torch.device) -> None:
    """Leaves NaN in the memory that the next tensor of this shape gets."""
    torch.full(shape, torch.nan, device=device)


def check(ways: Ways, draw: Draw) -> None:
    """Compares each way with the float64 rows, twice: with a cold and with a warm cache.

    Raises:
        ValueError: a way that differs.
    """
    row_ids = draw(NUM_CHECKED)
    wanted = content(row_ids.cpu(), ways.on_cpu.shape[1])
    for name, look_up in ways.all().items():
        for _ in range(2):
            poison(wanted.shape, device=ways.device)
            ways.pinned.fill_(torch.nan)
            found = look_up(row_ids).cpu().double()
            if not torch.equal(found, wanted):
                raise ValueError(f"{name}: off by {float((found - wanted).abs().max())}")
    tell(check="equal to float64 rows", ways=len(ways.all()), rows=NUM_CHECKED, skew=draw.skew)


def predictions(ways: Ways, count: int, *, skew: float) -> Iterator[tuple[float | None, float]]:
    """Hit rate and milliseconds that the plan reckons with, in the order of `Ways.all`."""
    dim, out_bytes = ways.on_cpu.shape[1], 4 * ways.on_cpu.shape[1]
    row_bytes = dim * DTYPE.itemsize
    yield None, gpu_ms(count, row_bytes=row_bytes, out_bytes=out_bytes)
    yield None, copied_ms(count, row_bytes=row_bytes)
    yield None, host_ms(count, row_bytes=row_bytes)
    yield None, host_ms(count, row_bytes=row_bytes)
    for ratio in ways.caches:
        hit_rate = lru_hit_rate(int(ratio * ways.num_rows), ways.num_rows, skew=skew)
        yield hit_rate, cached_ms(count, row_bytes=row_bytes, out_bytes=out_bytes, hit_rate=hit_rate)


def time_look_ups(ways: Ways, draw: Draw, count: int, *, num_runs: int) -> list[list[str]]:
    """Rows of the table for look-ups of `count` rows; the caches are as the look-ups before left them."""
    times: dict[str, list[float]] = {name: [] for name in ways.all()}
    missed: dict[str, list[float]] = {name: [] for name in ways.all()}
    for run in range(num_runs + 2):
        row_ids = draw(count)
        distinct = row_ids.unique()
        for (name, look_up), cache in zip(
            ways.all().items(), [None] * NUM_UNCACHED + list(ways.caches.values()), strict=True
        ):
            misses = 0 if cache is None else int((~cache.is_cached(distinct)).sum())
            spent = elapsed_ms(lambda: look_up(row_ids), device=ways.device)  # noqa: B023 - called at once
            if run >= 2:
                times[name].append(spent)
                missed[name].append(misses / count)
    lines = []
    for (name, spent), (hit_rate, predicted) in zip(
        times.items(), predictions(ways, count, skew=draw.skew), strict=True
    ):
        measured = statistics.median(spent)
        hits = None if hit_rate is None else 1 - statistics.mean(missed[name])
        gb_s = count * ways.on_cpu.shape[1] * DTYPE.itemsize / measured / 1e6
        row = {"rows": count, "skew": draw.skew, "way": name, "ms": round(measured, 4), "stored_gb_s": round(gb_s, 1)}
        tell(**row, hit_rate=hits, predicted_hit_rate=hit_rate, predicted_ms=round(predicted, 4))
        shares = "" if hits is None else f"{hits:.3f} / {hit_rate:.3f}"
        lines.append([f"{count:,}", name, f"{measured:.3f}", f"{gb_s:.1f}", shares, f"{predicted:.3f}"])
    return lines


class Passes:
    """Passes of the LLM over prompts whose rows come from different places.

    Args:
        lm: the LLM, with memory attached for good.
        ways: where the rows are.
        num_prompts, num_tokens: B and T.
    """

    def __init__(self, lm: FrozenLM, ways: Ways, *, num_prompts: int, num_tokens: int) -> None:
        reader = Reader(ReaderConfig.for_lm(lm)).to(lm.device).eval()
        if reader.writer.row_width != ways.on_cpu.shape[1]:
            raise ValueError(f"rows of this LLM's readers have {reader.writer.row_width} numbers")
        self.lm, self.ways, self.hooks = lm, ways, MemoryHooks(lm, reader)
        self.tables = [self._table(cache_from_rows=first) for first in (1 << 40, 1)]
        self.tokens = torch.randint(5, 5000, (num_prompts, num_tokens), device=lm.device)
        self.shape = (num_prompts, ROWS_PER_PROMPT, reader.writer.row_width)

    def _table(self, *, cache_from_rows: int) -> CachedRows:
        cache, dim = next(iter(self.ways.caches.values())), self.ways.on_cpu.shape[1]
        options = {"cache_bytes": 1 << 30, "cache_from_rows": cache_from_rows, "make_cache": lambda *_, **__: cache}
        return CachedRows(self.ways.num_rows, dim, device=self.ways.device, dtype=DTYPE, **options)

    def kinds(self, row_ids: Tensor) -> dict[str, Callable[[], Tensor]]:
        """The passes by name; each returns the last hidden states."""
        there, (host, cached) = self._gathered(row_ids), self.tables
        return {
            "rows there before": lambda: self._pass(Binding(rows=there)),
            "rows on the GPU, then the pass": lambda: self._pass(Binding(rows=self._gathered(row_ids))),
            "host rows, then the pass": lambda: self._after(host, row_ids),
            "host rows, beside the pass": lambda: self._beside(host, row_ids),
            "host rows, cold cache, then the pass": lambda: self._after(cached, row_ids),
            "host rows, cold cache, beside the pass": lambda: self._beside(cached, row_ids),
        }

    def _gathered(self, row_ids: Tensor) -> Tensor:
        return gather_rows(self.ways.on_gpu, row_ids, dtype=torch.float32).view(self.shape)

    def _after(self, table: CachedRows, row_ids: Tensor) -> Tensor:
        return self._pass(Binding(rows=table.known_rows(row_ids).view(self.shape)))

    def _beside(self, table: CachedRows, row_ids: Tensor) -> Tensor:
        with table.ahead() as pending:
            rows = table.known_rows(row_ids).view(self.shape)
        return self._pass(Binding(rows=rows, pending=pending))

    def _pass(self, binding: Binding) -> Tensor:
        with self.hooks.bind(binding):
            return self.lm.decoder(input_ids=self.tokens, use_cache=False)[0]


def time_passes(passes: Passes, draw: Draw, *, num_runs: int) -> list[list[str]]:
    """Rows of the second table.

    Raises:
        ValueError: a pass whose result differs from that with all rows on the GPU.
    """
    count, device, size = passes.shape[0] * ROWS_PER_PROMPT, passes.ways.device, passes.tokens.shape
    times: dict[str, list[float]] = {}
    for run in range(num_runs + 2):
        results: list[Tensor] = []
        for name, work in passes.kinds(draw(count)).items():
            passes.tables[0].cache.clear()
            spent = elapsed_ms(lambda: results.append(work()), device=device)  # noqa: B023 - called at once
            if run >= 2:
                times.setdefault(name, []).append(spent)
            if not torch.equal(results[0], results[-1]):
                raise ValueError(f"{name}: off by {float((results[0] - results[-1]).abs().max())}")
    base = statistics.median(next(iter(times.values())))
    lines = []
    for name, spent in times.items():
        median = statistics.median(spent)
        sizes = {"prompts": size[0], "tokens": size[1], "rows": count}
        tell(**sizes, way=name, ms=round(median, 3), added_ms=round(median - base, 3))
        lines.append([f"{size[0]} x {size[1]}", f"{count:,}", name, f"{median:.2f}", f"{median - base:+.2f}"])
    return lines


def warm_up(ways: Ways, draw: Draw) -> None:
    """Fills the caches as a long run of look-ups would."""
    for _ in range(max(1, 4 * ways.num_rows // WARM_UP)):
        row_ids = draw(WARM_UP)
        for cache in ways.caches.values():
            cache.lookup(row_ids)


@torch.inference_mode()
def main() -> None:
    """Check, time and print."""
    args = parse_args()
    quiet_libraries()
    device, started = torch.device(args.device), time.perf_counter()
    ratios, sizes = [float(r) for r in args.ratios.split(",")], [int(n) for n in args.look_ups.split(",")]
    with torch.inference_mode(False):
        ways = Ways(args.rows, args.embedding_dim, ratios=ratios, device=device)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU (nothing is cached)"
    tell(
        device=machine,
        torch=torch.__version__,
        table_gb=ways.on_gpu.nbytes / 1e9,
        setup_s=time.perf_counter() - started,
    )
    generator = torch.Generator(device).manual_seed(0)
    header = ["rows", "way", "ms", "stored GB/s", "hit rate measured / predicted", "predicted ms"]
    for law, skew in SKEWS.items():
        draw = Draw(args.rows, skew, generator)
        check(ways, draw)
        warm_up(ways, draw)
        lines = [line for n in sizes for line in time_look_ups(ways, draw, n, num_runs=args.runs)]
        print(
            f"\n{machine}, {args.rows:,} rows of {args.embedding_dim} fp16, {law}\n\n{markdown_table(header, lines)}\n"
        )
    lm, draw, lines = load_lm(args.llm, device=device), Draw(args.rows, 0.0, generator), []
    for size in args.prompts.split(","):
        num_prompts, num_tokens = map(int, size.split("x"))
        passes = Passes(lm, ways, num_prompts=num_prompts, num_tokens=num_tokens)
        lines += time_passes(passes, draw, num_runs=args.runs)
        passes.hooks.remove()
    print("\n" + markdown_table(["prompts x tokens", "rows", "way", "ms", "added ms"], lines))
    tell(seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
