"""Generation with memory against the bare LLM: tokens a second, same prompts, same batch, same number of new tokens.

    python benchmarks/bench_generate.py --batch-sizes 1,64 --facts 1,8,32 --new-tokens 64 --runs 5

Every run generates exactly `--new-tokens` tokens a prompt. The kinds of run take turns, so that a change of the
machine's load meets all of them; the ratio is that of the medians. `bare` has no hook on the LLM at all. Runs with
memory include finding the facts. Kinds with `, steps` decode in fixed buffers, by CUDA graphs on a GPU, the bare LLM as
well as the memory, and are compared with `bare, steps`; `step_ms` is one replayed step alone. Once for each batch size,
outside the timing, the aten operations of a decode step are counted, and finding the facts and the pass over the
prompts are timed apart. Prints JSON lines after each batch size, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from widedeep_kb.answering import ask_prompt
from widedeep_kb.decode_step import Ending
from widedeep_kb.decoding import GreedyDecoder
from widedeep_kb.lm import left_pad
from widedeep_kb.memory.hooks import MemoryHooks
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell

NUM_FACTS = 32  # of each subject: all that a question can bring
KINDS = {
    "hits": "with memory",
    "observed": "the same, attention on each fact noted, as `ask` does",
    "no hit": "with memory, no fact found",
    "bare, steps": "the LLM without hooks, fixed buffers",
    "hits, steps": "with memory, fixed buffers",
}
NAMES = {1: "Tarnix", 8: "Boldrem", 32: "Quorvex"}  # of subjects with so many facts
STEP_TURNS = 3  # runs by steps for each other run: they are short


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", default="1,64", help="by commas")
    parser.add_argument("--facts", default="32", help="of a prompt, by commas: 1, 8 or 32; fewer than most: steps only")
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5, help="of each kind, after one that is not counted")
    parser.add_argument("--steps-only", action="store_true", help="time only the runs by steps in fixed buffers")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm", default=None)
    return parser.parse_args(argv)


def records(num_subjects: int, *, num_facts: int = NUM_FACTS) -> list[dict[str, str]]:
    """Facts of subjects with `num_facts` facts each."""
    return [
        {"subject": f"{NAMES[num_facts]} {s}", "relation": f"setting {r} of the relay", "object": f"{s * 100 + r} mV"}
        for s in range(num_subjects)
        for r in range(num_facts)
    ]


def questions(batch_size: int, *, is_known: bool, num_facts: int = NUM_FACTS) -> list[str]:
    """One question a subject that names no relation, so that all facts are read; unknown subjects: as many words."""
    name = NAMES[num_facts] if is_known else "Zembrel"
    return [f"What would you tell a newcomer about the machine {name} {s}?" for s in range(batch_size)]


class Runs:
    """The kinds of run on one batch of prompts.

    Args:
        memory: holds the facts of `records`.
        batch_size: prompts.
        new_tokens: generated for each prompt, no fewer and no more.
        num_facts: of each subject.
    """

    def __init__(
        self, memory: KnowledgeMemory, *, batch_size: int, new_tokens: int, num_facts: int = NUM_FACTS
    ) -> None:
        self.memory, self.batch_size, self.new_tokens = memory, batch_size, new_tokens
        self.num_facts = num_facts
        self.bare_decoder = GreedyDecoder(memory.lm)
        self.texts = {known: questions(batch_size, is_known=known, num_facts=num_facts) for known in (True, False)}
        self.inputs = {is_known: self._inputs(texts) for is_known, texts in self.texts.items()}

    def kinds(self) -> dict[str, Callable[[], Tensor]]:
        """The runs by transformers' `generate` by name. Each returns the tokens [B, T]."""
        return {"bare": self.bare, "hits": self.hits, "observed": self.observed, "no hit": self.no_hit}

    def step_kinds(self) -> dict[str, Callable[[], Tensor]]:
        """The runs by steps in fixed buffers, by name."""
        return {"bare, steps": self.bare_steps, "hits, steps": self.hits_steps}

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
        return self._with_memory(is_known=True, generation="transformers")

    def hits_steps(self) -> Tensor:
        """The same by steps in fixed buffers."""
        return self._with_memory(is_known=True, generation="cuda_graph")

    def bare_steps(self) -> Tensor:
        """The LLM without hooks by steps in fixed buffers."""
        lm = self.memory.lm
        ends = lm.model.generation_config.eos_token_id
        ends = tuple(ends) if isinstance(ends, list) else (ends,)
        ending = Ending(ends, lm.tokenizer.pad_token_id, self.new_tokens, min_new_tokens=self.new_tokens)
        self.memory.hooks.remove()
        try:
            return self.bare_decoder.generate(**self.inputs[True], ending=ending)
        finally:
            self.memory.hooks = MemoryHooks(self.memory.lm, self.memory.reader)

    def no_hit(self) -> Tensor:
        """The same, for questions about subjects that memory does not know."""
        return self._with_memory(is_known=False, generation="transformers")

    def observed(self) -> Tensor:
        """With memory and with the attention on each slot computed."""
        binding, _ = self.memory.binding(self.texts[True], observe=lambda _index, _wide, _deep_mass: None)
        with self.memory.hooks.bind(binding):
            return self.memory.lm.model.generate(**self.inputs[True], **self._options())

    def _with_memory(self, *, is_known: bool, generation: str) -> Tensor:
        texts = self.texts[is_known]
        return self.memory.generate(**self.inputs[is_known], texts=texts, generation=generation, **self._options())

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


@torch.inference_mode()
def parts_ms(runs: Runs, *, num_runs: int) -> dict[str, float]:
    """Median milliseconds of finding the facts and of the bare LLM's pass over the prompts."""
    memory, device = runs.memory, runs.memory.lm.device
    memory.hooks.remove()
    parts = {
        "lookup": lambda: memory.binding(runs.texts[True]),
        "first pass": lambda: memory.lm.model(**runs.inputs[True], use_cache=True, logits_to_keep=1),
    }
    found = {}
    for name, part in parts.items():
        times = [seconds(part, device=device) for _ in range(num_runs + 2)][2:]
        found[name] = round(1000 * statistics.median(times), 3)
    memory.hooks = MemoryHooks(memory.lm, memory.reader)
    share = (memory.reader.config.adapter_layers[0] + 1) / len(memory.lm.layers)
    return {**found, "layers up to the first adapter": round(share * found["first pass"], 3)}


@torch.inference_mode()
def step_ms(decoder: GreedyDecoder, *, num_runs: int = 20, num_steps: int = 16) -> float:
    """Median milliseconds of the step that `decoder` used last, over `num_runs` runs of `num_steps`.

    On a CPU a step is run without its memory, so that this is of use on a GPU only.
    """
    step = next(reversed(decoder._steps.values()))
    times = []
    for _ in range(num_runs):
        step.cursor.zero_()
        step.count.zero_()
        times.append(seconds(lambda: [step.run() for _ in range(num_steps)], device=decoder.lm.device))
    return 1000 * statistics.median(times) / num_steps


def measure(
    runs: Runs, *, num_runs: int, step_runs: Sequence[Runs] = (), steps_only: bool = False
) -> dict[tuple[str, int], list[float]]:
    """Seconds of each kind of run, taken in turns, after two of each that are not counted: the second captures.

    Args:
        runs: of `Runs.kinds`.
        num_runs: of each kind.
        step_runs: of `Runs.step_kinds`, `STEP_TURNS` times a turn; the first one's `bare, steps` stands for all.
        steps_only: leave out `Runs.kinds`.
    """
    device = runs.memory.lm.device
    kinds = {} if steps_only else {(name, runs.num_facts): run for name, run in runs.kinds().items()}
    steps = {
        (name, own.num_facts): run
        for i, own in enumerate(step_runs)
        for name, run in own.step_kinds().items()
        if i == 0 or name != "bare, steps"
    }
    for run in [*kinds.values(), *steps.values(), *steps.values()]:
        run()
    times: dict[tuple[str, int], list[float]] = {key: [] for key in {**kinds, **steps}}
    for _ in range(num_runs):
        for key, run in kinds.items():
            times[key].append(seconds(run, device=device))
        for _ in range(STEP_TURNS):
            for key, run in steps.items():
                times[key].append(seconds(run, device=device))
    return times


def equal_share(ours: Tensor, theirs: Tensor, *, num_new: int) -> float:
    """Share of new tokens [B, N] that two runs have in common up to the first that differs in each sequence."""
    return float((ours[:, -num_new:] == theirs[:, -num_new:]).long().cumprod(1).float().mean())


def results(runs: list[Runs], *, num_runs: int, steps_only: bool = False) -> list[dict[str, object]]:
    """One result a kind of run and number of facts: `runs` are of one batch size, the most facts first."""
    first = runs[0]
    times = measure(first, num_runs=num_runs, step_runs=runs, steps_only=steps_only)
    medians = {key: statistics.median(values) for key, values in times.items()}
    found = []
    for (kind, num_facts), median in medians.items():
        own = next(r for r in runs if r.num_facts == num_facts)
        is_step = kind.endswith("steps")
        bare = medians["bare, steps" if is_step else "bare", first.num_facts]
        result = {"batch_size": own.batch_size, "kind": kind, "facts": num_facts}
        result |= {"tokens_per_s": round(own.batch_size * own.new_tokens / median, 1), "ratio": round(bare / median, 3)}
        result |= {"seconds": [round(min(times[kind, num_facts]), 4), round(max(times[kind, num_facts]), 4)]}
        if is_step:
            ours, theirs = own.step_kinds()[kind](), own.kinds()[kind.removesuffix(", steps")]()
            result["equal_tokens"] = round(equal_share(ours, theirs, num_new=own.new_tokens), 4)
            if own.memory.decoder.is_captured:
                result["step_ms"] = round(step_ms(own.bare_decoder if kind == "bare, steps" else own.memory.decoder), 4)
        found.append(result)
    return found


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    sizes = [int(size) for size in args.batch_sizes.split(",")]
    facts = sorted({int(number) for number in args.facts.split(",")}, reverse=True)
    for number in facts:
        memory.write(records(max(sizes), num_facts=number))
    device = memory.lm.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    tell(llm=memory.lm.identity.name, device=name, num_facts=len(memory.store), runs=args.runs)
    rows = []
    for size in sizes:
        runs = [Runs(memory, batch_size=size, new_tokens=args.new_tokens, num_facts=number) for number in facts]
        found = {str(own.num_facts): own.facts_a_prompt(is_known=True) for own in runs}
        tell(batch_size=size, facts_a_prompt={**found, "no hit": runs[0].facts_a_prompt(is_known=False)})
        few = Runs(memory, batch_size=size, new_tokens=4, num_facts=facts[0])
        counted = {} if args.steps_only else few.kinds()
        counts = {kind: operations_a_step(memory, run) for kind, run in counted.items()}
        tell(batch_size=size, aten_operations_a_decode_step=counts, ms=parts_ms(runs[0], num_runs=args.runs))
        for result in results(runs, num_runs=args.runs, steps_only=args.steps_only):
            tell(**result)
            step = result.get("step_ms", "")
            what = KINDS.get(result["kind"], "the LLM without hooks")
            rows.append([result[k] for k in ("batch_size", "kind")] + [what, result["facts"]])
            rows[-1] += [
                f"{result['tokens_per_s']:.0f}",
                f"{result['ratio']:.3f}",
                step,
                result.get("equal_tokens", ""),
            ]
    columns = ["batch", "run", "what", "facts", "tokens/s", "against bare", "ms a step", "equal tokens"]
    print("\n" + markdown_table(columns, rows))


if __name__ == "__main__":
    main()
