"""Random row look-ups: our kernels beside torch's and FBGEMM's, and a plain copy of as many bytes.

    python benchmarks/bench_table_lookup.py                                                     # one GPU, about 40 s
    python benchmarks/bench_table_lookup.py --device cpu --table-gb 0.02 --small-gb 0.004 --look-ups 256 --runs 3

For each storage type every way holds the same rows, in tables far beyond the L2 cache and in a small one. First each
way is compared with float64 rows computed on the CPU, into memory that was filled with NaN; ours also with row numbers
that the table does not have. Then all ways take turns, each first as often as the others and each with row numbers of
its own, drawn evenly, so that no way finds its rows in the L2 cache; times are medians by CUDA events on an idle GPU.
`of a copy` is the time of `copy_` between two buffers that make it read and write as many bytes as the look-up (stored
rows in, result out), over the time of the look-up. Float rows come out in the type they are stored in, quantised rows
as float16. `--inference-tbe` adds FBGEMM's tables of quantised rows: on an H100 their kernel ended in a CUDA error with
rows of 1,024 (FBGEMM 1.6.0, one architecture of its wheel). On a CPU the times mean nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode, EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_inference import IntNBitTableBatchedEmbeddingBagsCodegen
from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
from torch import Tensor

from widedeep_kb.memory.gather import gather_rows
from widedeep_kb.memory.quantised import dequantise, gather_quantised
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell
from widedeep_kb.studies.timing import elapsed_ms

NUM_CHECKED = 3000
GROUPS = 8
FLOATS = {"fp32": (torch.float32, SparseType.FP32), "fp16": (torch.float16, SparseType.FP16)}
CODES = {"int8": (8, SparseType.INT8), "int4": (4, SparseType.INT4)}
Way = Callable[[Tensor], Tensor]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--table-gb", type=float, default=8.6, help="of each large table")
    parser.add_argument("--small-gb", type=float, default=0.016, help="of each small one: it fits into the L2 cache")
    parser.add_argument("--embedding-dim", type=int, default=1024)
    parser.add_argument("--look-ups", default="2560,262144", help="rows asked for at once, by commas")
    parser.add_argument("--formats", default="fp16,fp32,int8,int4")
    parser.add_argument("--inference-tbe", action="store_true", help="time FBGEMM's quantised tables too")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--launches", action="store_true", help="our float kernel with other cuts of the work too")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Shape:
    """Of a table: rows and numbers in a row."""

    rows: int
    dim: int


def content(row_ids: Tensor, dim: int) -> Tensor:
    """What float rows hold, float64 [N, D]: exact in half precision, no two rows of a block of 4,093 alike."""
    columns = torch.arange(dim, device=row_ids.device)
    return ((row_ids[:, None] * 7919 + columns * (row_ids[:, None] % 1021 + 1)) % 4093 - 2046).double() / 256


def codes(row_ids: Tensor, dim: int, *, num_bits: int) -> Tensor:
    """What quantised rows hold, int64 [N, D]."""
    columns = torch.arange(dim, device=row_ids.device)
    return (row_ids[:, None] * 7919 + columns * (row_ids[:, None] % 1021 + 1)) % 4093 % 2**num_bits


def scale_and_bias(row_ids: Tensor) -> Tensor:
    """Float64 [N, 2] of each row, exact in half precision."""
    return torch.stack([(row_ids % 7 + 1) / 128, (row_ids % 11 - 5) / 4], dim=1).double()


def fill(rows: Tensor, make: Callable[[Tensor], Tensor]) -> None:
    """Writes `make(row numbers)` into all rows, made on their device."""
    for start in range(0, rows.shape[0], 1 << 15):
        part = torch.arange(start, min(start + (1 << 15), rows.shape[0]), device=rows.device)
        rows[start : start + len(part)].copy_(make(part))


def float_ways(name: str, shape: Shape, *, device: torch.device, with_launches: bool) -> dict[str, Way]:
    """Ways to look up float rows; FBGEMM works on a copy of its own."""
    dtype, kind = FLOATS[name]
    rows = torch.empty(shape.rows, shape.dim, dtype=dtype, device=device)
    fill(rows, lambda ids: content(ids, shape.dim))
    is_cuda = device.type == "cuda"
    location = EmbeddingLocation.DEVICE if is_cuda else EmbeddingLocation.HOST
    tbe = SplitTableBatchedEmbeddingBagsCodegen(
        [(shape.rows, shape.dim, location, ComputeDevice.CUDA if is_cuda else ComputeDevice.CPU)],
        weights_precision=kind,
        output_dtype=kind if is_cuda else SparseType.FP32,
        optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
        pooling_mode=PoolingMode.NONE,
        device=device,
        bounds_check_mode=BoundsCheckMode.NONE,
    )
    (tbe.weights_dev if is_cuda else tbe.weights_host).data.view(shape.rows, shape.dim).copy_(rows)
    ways: dict[str, Way] = {
        "ours": lambda ids: gather_rows(rows, ids),
        "torch embedding": lambda ids: torch.nn.functional.embedding(ids, rows),
        "torch index_select": lambda ids: rows.index_select(0, ids),
        "FBGEMM TBE": lambda ids: tbe(ids, torch.arange(len(ids) + 1, device=device)),
    }
    if with_launches and is_cuda:
        from widedeep_kb.memory.gather_triton import Launch, gather_on_gpu

        for cut in (Launch(1, 1), Launch(1, 2), Launch(2, 2), Launch(2, 4), Launch(4, 4), Launch(8, 8)):
            ways[f"ours, {cut.rows} rows by {cut.warps} warps"] = lambda ids, cut=cut: gather_on_gpu(
                rows, ids, dtype=dtype, launch=cut
            )
    return ways


def code_ways(name: str, shape: Shape, *, device: torch.device, with_tbe: bool) -> dict[str, Way]:
    """Ways to look up quantised rows, each slot with its own scale; FBGEMM's tables have one scale a row."""
    num_bits = CODES[name][0]
    scale_dtype = torch.float32 if num_bits == 8 else torch.float16
    group = shape.dim * num_bits // 8 // GROUPS
    packed = torch.empty(shape.rows, GROUPS, group + 2 * scale_dtype.itemsize, dtype=torch.uint8, device=device)
    fill(packed[..., :group], lambda ids: packed_codes(ids, shape.dim, num_bits=num_bits).view(len(ids), GROUPS, group))
    fill(packed[..., group:], lambda ids: scale_and_bias(ids).to(scale_dtype).view(torch.uint8)[:, None])
    flat, layout = packed.flatten(1), {"num_bits": num_bits, "num_groups": GROUPS}
    ways: dict[str, Way] = {
        "ours": lambda ids: gather_quantised(flat, ids, **layout, dtype=torch.float16),
        "torch index_select, FBGEMM's dequantise": lambda ids: dequantise(flat.index_select(0, ids), **layout).half(),
    }
    return {**ways, **inference_tbe(name, shape, device=device)} if with_tbe else ways


def inference_tbe(name: str, shape: Shape, *, device: torch.device) -> dict[str, Way]:
    """FBGEMM's own quantised table with the same rows."""
    num_bits, kind = CODES[name]
    location = EmbeddingLocation.DEVICE if device.type == "cuda" else EmbeddingLocation.HOST
    tbe = IntNBitTableBatchedEmbeddingBagsCodegen(
        [("", shape.rows, shape.dim, kind, location)],
        pooling_mode=PoolingMode.NONE,
        device=device,
        bounds_check_mode=BoundsCheckMode.NONE,
        output_dtype=SparseType.FP16,
    )
    tbe.initialize_weights()
    ((weights, scales),) = tbe.split_embedding_weights()
    fill(weights, lambda ids: packed_codes(ids, shape.dim, num_bits=num_bits))
    fill(scales, lambda ids: scale_and_bias(ids).half().view(torch.uint8))

    def look_up(row_ids: Tensor) -> Tensor:
        return tbe(row_ids.int(), torch.arange(len(row_ids) + 1, dtype=torch.int32, device=device))

    return {"FBGEMM inference TBE": look_up}


def packed_codes(row_ids: Tensor, dim: int, *, num_bits: int) -> Tensor:
    """uint8 [N, bytes]; of two 4-bit codes in a byte the lower half is the first."""
    values = codes(row_ids, dim, num_bits=num_bits).to(torch.uint8)
    return values if num_bits == 8 else values[:, ::2] | (values[:, 1::2] << 4)


def wanted_rows(name: str, row_ids: Tensor, dim: int) -> Tensor:
    """float64 [N, D] on the CPU."""
    if name in FLOATS:
        return content(row_ids, dim)
    scale, bias = scale_and_bias(row_ids)[:, None].unbind(-1)
    return codes(row_ids, dim, num_bits=CODES[name][0]) * scale + bias


def check(name: str, ways: dict[str, Way], shape: Shape, *, draw: Callable[[int], Tensor]) -> None:
    """Compares each way with the float64 rows.

    Raises:
        ValueError: a way that differs.
    """
    ids = draw(NUM_CHECKED)
    wanted = wanted_rows(name, ids.cpu(), shape.dim)
    for way, look_up in ways.items():
        for dtype in (torch.float32, torch.float16):
            torch.full(wanted.shape, torch.nan, dtype=dtype, device=ids.device)  # left for the result
        found = look_up(ids).cpu().double()
        if not torch.allclose(found, wanted, rtol=2**-10 if name in CODES else 0, atol=0):
            raise ValueError(f"{name}, {way}: off by {float((found - wanted).abs().max())}")
    strangers = torch.tensor([-1, shape.rows, -(2**62), 2**62], device=ids.device)
    torch.full((4, shape.dim), torch.nan, dtype=torch.float16, device=ids.device)
    if ways["ours"](strangers).any():
        raise ValueError(f"{name}: row numbers outside the table do not give zeros")
    tell(check="equal to float64 rows", format=name, table_rows=shape.rows, ways=len(ways), rows=NUM_CHECKED)


def time_ways(
    name: str, ways: dict[str, Way], shape: Shape, *, draw: Callable[[int], Tensor], count: int, num_runs: int
) -> list[list[str]]:
    """Rows of the table: each way, and the plain copy of as many bytes last."""
    device = draw(1).device
    stored = shape.dim * (FLOATS[name][0].itemsize if name in FLOATS else CODES[name][0] / 8)
    result = stored if name in FLOATS else shape.dim * 2
    copied = torch.zeros(2, int(count * (stored + result) / 2), dtype=torch.uint8, device=device)
    ways = {**ways, "plain copy": lambda _ids: copied[1].copy_(copied[0])}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for run in range(num_runs + 3):
        turns = list(ways.items())
        for way, look_up in turns[run % len(turns) :] + turns[: run % len(turns)]:
            ids = draw(count)
            spent = elapsed_ms(lambda: look_up(ids), device=device, hides_launch=True)  # noqa: B023 - called at once
            if run >= 3:
                times[way].append(spent)
    medians = {way: statistics.median(spent) for way, spent in times.items()}
    lines, table_gb = [], shape.rows * stored / 1e9
    for way, ms in medians.items():
        gb_s, share = count * (stored + result) / ms / 1e6, medians["plain copy"] / ms
        figures = {"format": name, "table_gb": round(table_gb, 3), "rows": count, "way": way}
        tell(**figures, ms=round(ms, 4), gb_s=round(gb_s, 1), of_a_copy=round(share, 3))
        lines.append([name, f"{table_gb:.2f}", f"{count:,}", way, f"{ms:.4f}", f"{gb_s:,.0f}", f"{share:.2f}"])
    return lines


@torch.no_grad()  # not inference mode, which FBGEMM's training kernels do not take
def main() -> None:
    """Check, time and print."""
    args, started = parse_args(), time.perf_counter()
    device, lines = torch.device(args.device), []
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
    tell(device=machine, torch=torch.__version__)
    generator = torch.Generator(device).manual_seed(0)
    for name in args.formats.split(","):
        stored = args.embedding_dim * (FLOATS[name][0].itemsize if name in FLOATS else CODES[name][0] / 8)
        for table_gb in (args.table_gb, args.small_gb):
            shape = Shape(int(table_gb * 1e9 / stored), args.embedding_dim)
            if name in FLOATS:
                ways = float_ways(name, shape, device=device, with_launches=args.launches)
            else:
                ways = code_ways(name, shape, device=device, with_tbe=args.inference_tbe)

            def draw(count: int, num_rows: int = shape.rows) -> Tensor:
                return torch.randint(num_rows, (count,), generator=generator, device=device)

            check(name, ways, shape, draw=draw)
            for count in map(int, args.look_ups.split(",")):
                lines += time_ways(name, ways, shape, draw=draw, count=count, num_runs=args.runs)
            del ways
    header = ["stored as", "table GB", "rows", "way", "ms", "GB/s", "of a copy"]
    print(f"\n{machine}, rows of {args.embedding_dim} numbers\n\n{markdown_table(header, lines)}")
    tell(seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
