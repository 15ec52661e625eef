"""Times of work on a GPU or a CPU, for benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def elapsed_ms(work: Callable[[], object], *, device: torch.device, hides_launch: bool = False) -> float:
    """Milliseconds until the work is done, begun on an idle GPU (by CUDA events; by the clock elsewhere).

    Args:
        work: called once.
        device: where it runs.
        hides_launch: keep the GPU busy for 0.2 ms before, so that the host gets ahead: without the time of launches.
    """
    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - started)
    torch.cuda.synchronize(device)
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    if hides_launch:
        torch.cuda._sleep(400_000)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)
