"""Costs of look-ups, and the cache's predicted hit rate against a simulated cache."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from widedeep_kb.memory.tier_costs import H100, Lane, cached_ms, exchange_ms, gpu_ms, host_ms, lru_hit_rate


def simulated(num_cached: int, num_rows: int, *, skew: float, num_asked: int = 60_000) -> float:
    """Hit rate of a real LRU cache over the second half of random look-ups."""
    chances = np.arange(1, num_rows + 1, dtype=np.float64) ** -skew
    asked = np.random.default_rng(0).choice(num_rows, size=num_asked, p=chances / chances.sum()).tolist()
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for i, row in enumerate(asked):
        hits += i >= num_asked // 2 and row in cache
        cache[row] = None
        cache.move_to_end(row)
        if len(cache) > num_cached:
            cache.popitem(last=False)
    return hits / (num_asked - num_asked // 2)


@pytest.mark.parametrize("skew", [0.0, 0.7, 1.0, 1.3])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_hit_rate_against_a_simulation(skew: float, share: float) -> None:
    num_rows = 5000
    cached = int(share * num_rows)
    assert lru_hit_rate(cached, num_rows, skew=skew) == pytest.approx(simulated(cached, num_rows, skew=skew), abs=0.015)


@pytest.mark.parametrize("num_rows", [1, 7, 999, 1000, 1001, 10**6, 3 * 10**9])
def test_hit_rate_of_even_look_ups_is_the_share(num_rows: int) -> None:
    for cached in {0, num_rows // 3, num_rows - 1, num_rows, num_rows + 5}:
        assert lru_hit_rate(cached, num_rows, skew=0.0) == pytest.approx(min(1.0, cached / num_rows), abs=1e-9)


def test_hit_rate_grows_with_cache_and_skew() -> None:
    rates = [lru_hit_rate(c, 10**8, skew=1.0) for c in (10**3, 10**5, 10**7)]
    assert rates == sorted(rates) and rates[0] > 0.2
    assert lru_hit_rate(10**6, 10**8, skew=1.2) > lru_hit_rate(10**6, 10**8, skew=0.8)


@pytest.mark.parametrize("bad", [(-1, 5, 1.0), (1, 0, 1.0), (1, 5, -0.1)])
def test_bad_caches_are_refused(bad: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="of at least 0, 1, 0"):
        lru_hit_rate(bad[0], bad[1], skew=bad[2])


def test_costs() -> None:
    assert Lane(0.5, 1e9).ms(2e6) == pytest.approx(2.5)
    sizes = {"row_bytes": 2048, "out_bytes": 4096}
    hot = [cached_ms(10_000, **sizes, hit_rate=rate) for rate in (0.0, 0.5, 1.0)]
    assert hot == sorted(hot, reverse=True)
    assert hot[2] == pytest.approx(H100.cache.call_ms + 1e3 * 10_000 * 6144 / H100.gpu.bytes_per_s)
    assert gpu_ms(10_000, **sizes) < host_ms(10_000, row_bytes=2048)
    exchanged = [exchange_ms(10_000, out_bytes=4096, world_size=size) for size in (1, 2, 8)]
    assert exchanged[0] == 0 < exchanged[1] < exchanged[2]
