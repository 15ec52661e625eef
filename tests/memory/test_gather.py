"""Row look-ups against rows picked one by one in float64: torch's path here, the Triton kernels interpreted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from widedeep_kb.memory.gather import HAS_TRITON, gather_rows
from widedeep_kb.memory.quantised import dequantise, gather_quantised, quantise

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(not (HAS_TRITON and IS_INTERPRETED), reason="run by the last test, in its process")


def slow_rows(rows: Tensor, row_ids: Tensor) -> Tensor:
    """float64 [N, D], row by row; zeros where there is no row."""
    zeros = torch.zeros(rows.shape[1], dtype=torch.float64)
    picked = [rows[i].double() if 0 <= i < len(rows) else zeros for i in row_ids.tolist()]
    return torch.stack(picked) if picked else torch.zeros(0, rows.shape[1], dtype=torch.float64)


def slow_dequantised(packed: Tensor, *, num_bits: int, num_groups: int) -> Tensor:
    """float64 [N, D] of FBGEMM's layout, group by group from its definition."""
    out = []
    for row in packed:
        for group in row.chunk(num_groups):
            size = len(group) - (8 if num_bits == 8 else 4)
            scale, bias = group[size:].view(torch.float32 if num_bits == 8 else torch.float16).double()
            codes = group[:size] if num_bits == 8 else torch.stack([group[:size] & 15, group[:size] >> 4], 1).flatten()
            out.append(codes.double() * scale + bias)
    return torch.stack(out).reshape(len(packed), -1)


def ids_with_strangers(num_rows: int, count: int) -> Tensor:
    """Row numbers in a random order, some of them of no row."""
    ids = torch.randint(num_rows, (count,))
    strangers = torch.tensor([-1, num_rows, -(2**62), 2**62, 2**31, -num_rows])
    return torch.cat([ids, strangers])[torch.randperm(count + len(strangers))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [4, 12, 1024])
def test_rows_by_number(dtype: torch.dtype, dim: int) -> None:
    rows = torch.randn(37, dim).to(dtype)
    for ids in (ids_with_strangers(37, 50), torch.randint(37, (20,)), torch.zeros(0, dtype=torch.int64)):
        assert torch.equal(gather_rows(rows, ids, dtype=torch.float32).double(), slow_rows(rows, ids))
        assert gather_rows(rows, ids).dtype == dtype
    assert not gather_rows(rows[:0], torch.tensor([0, -1])).any()


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("groups, size", [(8, 128), (8, 4), (3, 12)])
def test_quantised_rows_within_half_a_step(bits: int, groups: int, size: int) -> None:
    values = torch.randn(29, groups * size) * torch.rand(29, 1) * 10
    values[3] = 0
    values.view(29, groups, size)[5, 1:] = 0
    packed = quantise(values, num_bits=bits, num_groups=groups)
    ids = ids_with_strangers(29, 40)
    found = gather_quantised(packed, ids, num_bits=bits, num_groups=groups)
    stored = slow_dequantised(packed, num_bits=bits, num_groups=groups)
    torch.testing.assert_close(found.double(), slow_rows(stored, ids), rtol=1e-6, atol=1e-6)
    grouped = values.view(29, groups, size)
    step = (grouped.amax(-1) - grouped.amin(-1)) / (2**bits - 1)
    error = (dequantise(packed, num_bits=bits, num_groups=groups) - values).view_as(grouped).abs().amax(-1)
    slack = 1e-5 if bits == 8 else 4e-3 * (1 + grouped.abs().amax(-1))  # 4-bit scales and biases are float16
    assert (error <= step / 2 + slack).all()
    assert not error[grouped.abs().amax(-1) == 0].any(), "an empty slot stays empty"


def test_refusals() -> None:
    rows = torch.zeros(4, 8)
    for ids in (torch.zeros(2, dtype=torch.int32), torch.zeros(2, 2, dtype=torch.int64)):
        with pytest.raises(ValueError, match="row_ids must be torch.int64"):
            gather_rows(rows, ids)
    with pytest.raises(ValueError, match="contiguous"):
        gather_rows(rows.T, torch.zeros(1, dtype=torch.int64))


@interpreted
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [4, 12, 1024])
def test_kernel(dtype: torch.dtype, dim: int) -> None:
    from widedeep_kb.memory.gather_triton import Launch, gather_on_gpu

    rows, ids = torch.randn(37, dim).to(dtype), ids_with_strangers(37, 41)
    for launch in (None, Launch(1, 4), Launch(4, 2)):
        for out in (torch.float32, dtype):
            found = gather_on_gpu(rows, ids, dtype=out, launch=launch)
            assert found.dtype == out
            assert torch.equal(found.double(), slow_rows(rows, ids))


@interpreted
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("groups, size", [(8, 128), (8, 4), (3, 12)])
def test_quantised_kernel(bits: int, groups: int, size: int) -> None:
    from widedeep_kb.memory.gather_triton import Launch, gather_quantised_on_gpu

    packed = quantise(torch.randn(29, groups * size) * 5, num_bits=bits, num_groups=groups)
    ids = ids_with_strangers(29, 31)
    wanted = slow_rows(slow_dequantised(packed, num_bits=bits, num_groups=groups), ids)
    for launch in (None, Launch(2, 4)):
        layout = {"num_bits": bits, "num_groups": groups, "launch": launch}
        found = gather_quantised_on_gpu(packed, ids, dtype=torch.float32, **layout)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not HAS_TRITON or IS_INTERPRETED, reason="needs Triton, and is not for the process it starts")
def test_kernels_interpreted() -> None:
    """Triton's interpreter has to be chosen before Triton is imported: in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "kernel", str(Path(__file__))]
    done = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "." * 15 in done.stdout
