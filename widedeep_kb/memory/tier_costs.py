"""What a look-up of rows costs in each place they can be: bandwidths measured on one machine, and a cache's hit rate.

In: rows asked for, bytes of a row, where it is. Out: milliseconds. No torch: this is arithmetic for planning.
Letters: N rows of the table, C rows of the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Lane(NamedTuple):
    """A way to rows: so many milliseconds for the call itself, and bytes a second behind it."""

    call_ms: float
    bytes_per_s: float

    def ms(self, num_bytes: float) -> float:
        """Milliseconds for so many bytes."""
        return self.call_ms + 1e3 * num_bytes / self.bytes_per_s


@dataclass(frozen=True)
class Machine:
    """Measured speeds.

    Attributes:
        name: the GPU.
        gpu: rows gathered in GPU memory and converted (bytes read and written).
        host: rows read from page-locked host memory over PCIe by a gather kernel, no cache.
        cache: a look-up through FBGEMM's cache: the call, and the rows that miss, each read and another written back.
        copied: rows gathered by 16 CPU cores into page-locked memory, then copied.
        nvlink: rows exchanged between the GPUs of one machine; an estimate.
        cpu: rows gathered in the CPU's own memory by one thread of another machine, and converted.
        source: what measured them on the GPU.
        cpu_source: what `cpu` is of.
    """

    name: str
    gpu: Lane
    host: Lane
    cache: Lane
    copied: Lane
    nvlink: Lane
    cpu: Lane
    source: str
    cpu_source: str


H100 = Machine(
    name="NVIDIA H100 80GB",
    gpu=Lane(0.066, 1.5e12),
    host=Lane(0.05, 45e9),
    cache=Lane(0.44, 21e9),
    copied=Lane(0.11, 17.5e9),
    nvlink=Lane(0.05, 200e9),
    cpu=Lane(0.02, 2e9),
    source="benchmarks/bench_cached_rows.py",
    cpu_source="one thread of a busy x86-64 core, an upper bound",
)


FIND_MS = 0.44  # a question's text to its facts, among 100,000 keys on a busy core: benchmarks/bench_keys.py


def gpu_ms(num_rows: float, *, row_bytes: int, out_bytes: int, machine: Machine = H100) -> float:
    """Rows in GPU memory: read, converted to float32 (`out_bytes` a row) and written."""
    return machine.gpu.ms(num_rows * (row_bytes + out_bytes))


def host_ms(num_rows: float, *, row_bytes: int, machine: Machine = H100) -> float:
    """Rows in page-locked host memory, read over PCIe without a cache."""
    return machine.host.ms(num_rows * row_bytes)


def copied_ms(num_rows: float, *, row_bytes: int, machine: Machine = H100) -> float:
    """Rows gathered by the CPU and copied to the GPU."""
    return machine.copied.ms(num_rows * row_bytes)


def cached_ms(num_rows: float, *, row_bytes: int, out_bytes: int, hit_rate: float, machine: Machine = H100) -> float:
    """Rows in host memory behind a cache on the GPU that holds `hit_rate` of what is asked."""
    gathered = num_rows * (row_bytes + out_bytes) / machine.gpu.bytes_per_s
    return machine.cache.ms(num_rows * (1 - hit_rate) * row_bytes) + 1e3 * gathered


def exchange_ms(num_rows: float, *, out_bytes: int, world_size: int, machine: Machine = H100) -> float:
    """What dealing rows over GPUs adds: the float32 rows go from where they are to where they were asked for."""
    return machine.nvlink.ms(num_rows * out_bytes * (world_size - 1) / world_size) if world_size > 1 else 0.0


def cpu_ms(num_rows: float, *, row_bytes: int, out_bytes: int, machine: Machine = H100) -> float:
    """Rows in the CPU's memory, gathered and converted by one thread."""
    return machine.cpu.ms(num_rows * (row_bytes + out_bytes))


def lru_hit_rate(num_cached: int, num_rows: int, *, skew: float) -> float:
    """Share of look-ups that an LRU cache of C of N rows serves, when row i is asked for in proportion to 1 / i^skew.

    Che's approximation (Che, Tung and Wang 2002, "Hierarchical Web Caching Systems", section III): row i is in the
    cache with probability 1 - exp(-p_i t), and t is such that C rows are. Rows of neighbouring ranks are grouped.

    Args:
        num_cached: C.
        num_rows: N, at least 1.
        skew: 0 = all rows alike.

    Raises:
        ValueError: a number below 0, or no rows.
    """
    if num_cached < 0 or num_rows < 1 or skew < 0:
        raise ValueError(f"need a cache, rows and a skew of at least 0, 1, 0; got {num_cached}, {num_rows}, {skew}")
    if num_cached >= num_rows:
        return 1.0
    ranks, counts = _rank_groups(num_rows)
    chances = ranks**-skew
    chances /= (chances * counts).sum()
    low, high = 0.0, 1.0
    while ((1 - np.exp(-chances * high)) * counts).sum() < num_cached:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        is_short = ((1 - np.exp(-chances * middle)) * counts).sum() < num_cached
        low, high = (middle, high) if is_short else (low, middle)
    return float((chances * (1 - np.exp(-chances * high)) * counts).sum())


def _rank_groups(num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks 1 to N in groups of growing size: float64 mean rank and number of ranks of each."""
    edges = np.unique(
        np.append(np.geomspace(1, num_rows + 1, 20_000).astype(np.int64), [*range(1, 1000), num_rows + 1])
    )
    edges = edges[edges <= num_rows + 1]
    return (edges[:-1] + edges[1:] - 1) / 2, np.diff(edges).astype(np.float64)
