"""Generation with memory against the bare LLM: tokens a second, same prompts, same batch, same number of new tokens.

    python benchmarks/bench_generate.py --batch-sizes 1,64 --new-tokens 64 --runs 5

Every run generates exactly `--new-tokens` tokens a prompt. The kinds of run take turns, so that a change of the
machine's load meets all of them; the ratio is that of the medians. `bare` has no hook on the LLM at all. Runs with
memory include finding the facts. Once for each batch size, outside the timing, the aten operations of a decode step
are counted. Prints JSON lines after each batch size, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from widedeep_kb.lm import left_pad
from widedeep_kb.memory.hooks import MemoryHooks
from widedeep_kb.model import KnowledgeMemory, ask_prompt
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell

NUM_FACTS = 32  # of each subject: all that a question can bring
KINDS = {
    "hits": "with memory, 32 facts a prompt",
    "observed": "the same, attention on each fact noted, as `ask` does",
    "no hit": "with memory, no fact found",
}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", default="1,64", help="by commas")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5, help="of each kind, after one that is not counted")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    return parser.parse_args(argv)


def records(num_subjects: int) -> list[dict[str, str]]:
    """Facts of subjects with `NUM_FACTS` facts each."""
    return [
        {"subject": f"Quorvex {s}", "relation": f"setting {r} of the relay", "object": f"{s * 100 + r} mV"}
        for s in range(num_subjects)
        for r in range(NUM_FACTS)
    ]


def questions(batch_size: int, *, is_known: bool) -> list[str]:
    """One question a subject that names no relation, so that all facts are read; unknown subjects: as many words."""
    name = "Quorvex" if is_known else "Zembrel"
    return [f"What would you tell a newcomer about the machine {name} {s}?" for s in range(batch_size)]


class Runs:
    """The kinds of run on one batch of prompts.

    Args:
        memory: holds the facts of `records`.
        batch_size: prompts.
        new_tokens: generated for each prompt, no fewer and no more.
    """

    def __init__(self, memory: KnowledgeMemory, *, batch_size: int, new_tokens: int) -> None:
        self.memory, self.batch_size, self.new_tokens = memory, batch_size, new_tokens
        self.texts = {is_known: questions(batch_size, is_known=is_known) for is_known in (True, False)}
        self.inputs = {is_known: self._inputs(texts) for is_known, texts in self.texts.items()}

    def kinds(self) -> dict[str, Callable[[], Tensor]]:
        """The runs by name; `bare` and those of `KINDS`. Each returns the tokens [B, T]."""
        return {"bare": self.bare, "hits": self.hits, "observed": self.observed, "no hit": self.no_hit}

    def facts_a_prompt(self, *, is_known: bool) -> float:
        """Mean number of facts that the index brings for a prompt."""
        found = self.memory.store.recall(self.texts[is_known]).hits.ordinals
        return float((found >= 0).sum(axis=1).mean())

    def bare(self) -> Tensor:
        """The LLM without hooks."""
        self.memory.hooks.remove()
        try:
            return self.memory.lm.model.generate(**self.inputs[True], **self._options())
        finally:
            self.memory.hooks = MemoryHooks(self.memory.lm, self.memory.reader)

    def hits(self) -> Tensor:
        """With memory, through `KnowledgeMemory.generate`."""
        return self.memory.generate(**self.inputs[True], texts=self.texts[True], **self._options())

    def no_hit(self) -> Tensor:
        """The same, for questions about subjects that memory does not know."""
        return self.memory.generate(**self.inputs[False], texts=self.texts[False], **self._options())

    def observed(self) -> Tensor:
        """With memory and with the attention on each slot computed."""
        binding, _ = self.memory.binding(self.texts[True], observe=lambda _index, _wide, _deep_mass: None)
        with self.memory.hooks.bind(binding):
            return self.memory.lm.model.generate(**self.inputs[True], **self._options())

    def _inputs(self, texts: list[str]) -> dict[str, Tensor]:
        lm = self.memory.lm
        input_ids, mask = left_pad(lm.encode([ask_prompt(text) for text in texts]), pad_id=lm.tokenizer.pad_token_id)
        return {"input_ids": input_ids.to(lm.device), "attention_mask": mask.to(lm.device)}

    def _options(self) -> dict[str, object]:
        lengths = {"min_new_tokens": self.new_tokens, "max_new_tokens": self.new_tokens}
        return {**lengths, "do_sample": False, "pad_token_id": self.memory.lm.tokenizer.pad_token_id}


@torch.inference_mode()
def seconds(run: Callable[[], Tensor], *, device: torch.device) -> float:
    """Wall-clock seconds of one run, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


@torch.inference_mode()
def operations_a_step(memory: KnowledgeMemory, run: Callable[[], Tensor], *, num_steps: int = 2) -> float:
    """Mean number of aten operations, nested ones too, in the LLM's first passes over single tokens in `run`.

    Args:
        memory: whose LLM `run` calls.
        run: one of `Runs.kinds`, of at least `num_steps` + 1 new tokens.
        num_steps: passes counted.
    """
    forward, counts = memory.lm.model.forward, []

    @functools.wraps(forward)  # `generate` reads its signature
    def counted(*args: object, **kwargs: object) -> object:
        if len(counts) == num_steps or kwargs["input_ids"].shape[1] > 1:
            return forward(*args, **kwargs)
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            output = forward(*args, **kwargs)
        counts.append(sum(event.name.startswith("aten::") for event in profiled.events()))
        return output

    memory.lm.model.forward = counted
    try:
        run()
    finally:
        del memory.lm.model.forward
    return statistics.mean(counts)


def measure(runs: Runs, *, num_runs: int) -> dict[str, list[float]]:
    """Seconds of each kind of run, taken in turns, after a short one of each that is not counted."""
    kinds, device = runs.kinds(), runs.memory.lm.device
    for run in Runs(runs.memory, batch_size=runs.batch_size, new_tokens=4).kinds().values():
        run()
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(num_runs):
        for name, run in kinds.items():
            times[name].append(seconds(run, device=device))
    return times


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    sizes = [int(size) for size in args.batch_sizes.split(",")]
    memory.write(records(max(sizes)))
    device = memory.lm.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    tell(llm=memory.lm.identity.name, device=name, num_facts=len(memory.store), runs=args.runs)
    rows = []
    for size in sizes:
        runs = Runs(memory, batch_size=size, new_tokens=args.new_tokens)
        found = {"hits": runs.facts_a_prompt(is_known=True), "no hit": runs.facts_a_prompt(is_known=False)}
        tell(batch_size=size, facts_a_prompt=found)
        few = Runs(memory, batch_size=size, new_tokens=4)
        counts = {kind: operations_a_step(memory, run) for kind, run in few.kinds().items()}
        tell(batch_size=size, aten_operations_a_decode_step=counts)
        times = measure(runs, num_runs=args.runs)
        medians = {kind: statistics.median(values) for kind, values in times.items()}
        for kind, median in medians.items():
            rate, ratio = size * args.new_tokens / median, medians["bare"] / median
            spread = [round(min(times[kind]), 4), round(max(times[kind]), 4)]
            tell(batch_size=size, kind=kind, tokens_per_s=round(rate, 1), ratio=round(ratio, 3), seconds=spread)
            rows.append([size, kind, KINDS.get(kind, "the LLM without hooks"), f"{rate:.0f}", f"{ratio:.2f}"])
    print("\n" + markdown_table(["batch", "run", "what", "tokens/s", "against bare"], rows))


if __name__ == "__main__":
    main()
