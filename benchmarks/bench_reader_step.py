"""Where the time of a reader's training step goes: host, GPU, the writer's pass, eager and compiled layers.

    python benchmarks/bench_reader_step.py --materials materials/ --batch-size 512 --steps 40

Prints one JSON object a variant (medians over steps) and, with `--profile`, the kernels that take most time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.reader import Reader, ReaderConfig
from widedeep_kb.training.batches import Batch
from widedeep_kb.training.compiled import compiled_layers
from widedeep_kb.training.datamodule import Batching
from widedeep_kb.training.lit_module import ReaderModule
from widedeep_kb.training.materials import Materials, load_materials
from widedeep_kb.training.reader_run import ingredients_for
from widedeep_kb.training.recipe import Recipe, make_chunk

WARM_UP = 4


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llm")
    parser.add_argument("--materials", type=Path)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--variants", default="eager,compiled")
    parser.add_argument("--profile", action="store_true")
    return parser.parse_args()


def wait() -> None:
    """Until the GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def step(module: ReaderModule, optimizer: torch.optim.Optimizer, batch: Batch, *, number: int) -> None:
    """One training step as Lightning runs it."""
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=batch.input_ids.is_cuda):
        loss = module.training_step(batch, number)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.reader.parameters(), 1.0)
    optimizer.step()


def measure(module: ReaderModule, batches: list[Batch], *, has_profile: bool) -> dict[str, float]:
    """Milliseconds a step: until the host is free again, and until the GPU is done."""
    optimizer = torch.optim.AdamW(module.reader.parameters(), lr=1e-4)
    host, total = [], []
    started = time.perf_counter()
    for number, batch in enumerate(batches[:WARM_UP]):
        step(module, optimizer, batch, number=number)
        wait()
    first = time.perf_counter() - started
    for number, batch in enumerate(batches[WARM_UP:]):
        started = time.perf_counter()
        step(module, optimizer, batch, number=number)
        host.append(time.perf_counter() - started)
        wait()
        total.append(time.perf_counter() - started)
    started = time.perf_counter()
    for number, batch in enumerate(batches[WARM_UP:]):
        step(module, optimizer, batch, number=number)
    wait()
    flow = (time.perf_counter() - started) / (len(batches) - WARM_UP)
    if has_profile:
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
            for number, batch in enumerate(batches[-4:]):
                step(module, optimizer, batch, number=number)
            wait()
        print(found.key_averages().table(sort_by="self_cuda_time_total", row_limit=28, max_name_column_width=60))
    size = len(batches[0].lengths)
    return {
        "warm_up_s": round(first, 1),
        "host_ms": round(1000 * statistics.median(host), 1),
        "step_ms": round(1000 * statistics.median(total), 1),
        "questions_per_second": round(size / flow),
    }


def batches_for(lm: FrozenLM, args: argparse.Namespace, reader: Reader) -> list[Batch]:
    """Batches of one chunk; prints what they cost."""
    materials = load_materials(args.materials) if args.materials else Materials((), frozenset(), frozenset(), {})
    ingredients = ingredients_for(
        lm,
        materials.tables,
        kept_out_subjects=materials.kept_out_subjects,
        kept_out_relations=materials.kept_out_relations,
    )
    recipe = Recipe().scaled(args.batch_size * args.steps / Recipe().num_questions * 1.2)
    times = [time.perf_counter()]
    chunk = make_chunk(ingredients, recipe, seed=0, tokenizer=lm.tokenizer)
    times.append(time.perf_counter())
    packed = Batching(args.batch_size)(chunk, 0)
    times.append(time.perf_counter())
    batches = list(packed.on_device(lm, writer_layers=reader.config.writer_layers))[: args.steps]
    wait()
    times.append(time.perf_counter())
    seconds = [round(b - a, 2) for a, b in zip(times, times[1:], strict=False)]
    tokens = [batch.input_ids.numel() for batch in batches]
    shown = dict(zip(("make_chunk_s", "cut_s", "writer_pass_s"), seconds, strict=True))
    shown |= {"questions": len(chunk), "facts": len(chunk.facts), "tokens_per_step": round(statistics.mean(tokens))}
    print(json.dumps(shown), flush=True)
    return batches


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_float32_matmul_precision("high")
    lm = load_lm(args.llm)
    reader = Reader(ReaderConfig.for_lm(lm)).to(lm.device)
    batches = batches_for(lm, args, reader)
    module = ReaderModule(lm, reader, max_steps=1000)
    module.log = lambda *_, **__: None  # there is no trainer
    for variant in args.variants.split(","):
        with compiled_layers(lm) if variant == "compiled" else nullcontext():
            print(json.dumps({"variant": variant} | measure(module, batches, has_profile=args.profile)), flush=True)


if __name__ == "__main__":
    main()
