"""What a question costs, and whether it is still answered, from a thousand facts to ten million in one memory.

    python benchmarks/bench_scaling.py --max-facts 1000000
    python benchmarks/bench_scaling.py --max-facts 10000000 --row-format compact

One memory grows by factors of ten. At each size the same questions, about the first thousand facts, are answered:
exact match; median ms of a question with its answer generated, alone and in batches; of the look-up alone (keys, index,
rows). A line is printed as each size ends. With `--in-turns` each size has a memory of its own, and all are timed again
last, question by question in turn, so that a change of the machine's load meets all sizes: medians, and the median of
each time over that with the fewest facts.

The first `--written` facts are synthetic ones taken in by `write` as it is. Those after them are *fillers*: also taken
in by `write` (the table checked, names and cues hashed, values tokenised, every row made by the writer and stored), but
without the LLM's pass: the writer is given the states of written facts in turn, so that the semantic part of a
filler's keys is another fact's. Their subjects are newly drawn names (none of an asked subject), their relations and
values those of 30,000 synthetic facts, values moved on within their kind. With `--written` at `--max-facts` there are
none. On a machine that others work on, `--wait-for` puts the last size's times off until they are done.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from widedeep_kb import model as model_module
from widedeep_kb.memory.encoding import EncodedFacts, encode_frame
from widedeep_kb.memory.folder import empty_store
from widedeep_kb.memory.store import FactStore
from widedeep_kb.memory.writer import fact_features
from widedeep_kb.metrics import exact_match
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import normalise_facts
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.domains import frame_questions, short_facts
from widedeep_kb.studies.reporting import tell
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.generator import SyntheticBatch, generate
from widedeep_kb.synthetic.subjects import SUBJECT_KINDS

ASKED_AMONG = 1000
TEMPLATE_SUBJECTS = 4500  # about 30,000 facts
POOL = 4096  # facts whose states fillers borrow
COLUMNS = (
    "facts", "exact_match", "ask_1_ms", "ask_64_ms", "recall_1_ms", "recall_64_ms", "index_bytes_a_fact",
    "rss_bytes_a_fact", "row_bytes_a_fact", "disk_bytes_a_fact", "seconds_writing",
)  # fmt: skip


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-facts", type=int, default=1_000_000)
    parser.add_argument("--written", type=int, default=10_000, help="facts written with the LLM's pass")
    parser.add_argument("--chunk", type=int, default=100_000, help="facts a call of write")
    parser.add_argument("--row-format", default="fp16")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--num-questions", type=int, default=128)
    parser.add_argument("--num-timed", type=int, default=32, help="questions asked one by one")
    parser.add_argument("--runs", type=int, default=3, help="timed passes in batches of 64")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--generation", choices=("transformers", "cuda_graph"), default="transformers")
    parser.add_argument("--in-turns", action="store_true", help="a memory for each size, timed in turn")
    parser.add_argument("--save-up-to", type=int, default=0, help="facts up to which the memory is saved, for its size")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw fillers; 0: this one")
    parser.add_argument("--wait-for", type=Path, help="file that has to be there before the last size is asked")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if min(args.max_facts, args.written) < ASKED_AMONG:
        parser.error(f"--max-facts and --written must be at least {ASKED_AMONG}")
    if min(args.chunk, args.num_questions, args.num_timed, args.runs) < 1:
        parser.error("--chunk, --num-questions, --num-timed and --runs must be at least 1")
    return args


def sizes(max_facts: int) -> list[int]:
    """A thousand, ten thousand, and so on, up to `max_facts`."""
    powers = [ASKED_AMONG * 10**i for i in range(5)]
    return [*(size for size in powers if size < max_facts), max_facts]


class Source:
    """Facts to write: so many written ones, then fillers without end.

    Args:
        memory: its tokenizer says which values are short enough.
        num_written: facts that are no fillers.
        seed: of all choices.
        workers: processes that draw fillers; 0 = none but this one.
    """

    def __init__(self, memory: KnowledgeMemory, *, num_written: int, seed: int, workers: int = 0) -> None:
        batch = generate(num_written // 6 + 300, seed=seed)
        self.written = short_facts(_frame(batch, prefix="w"), memory.lm).head(num_written)
        self.asked = self.written.head(ASKED_AMONG)
        self._names = {name.casefold() for name in self.asked["subject"].to_list()}
        template = generate(TEMPLATE_SUBJECTS, seed=seed + 1, excluded_subjects=self._names)
        self._given = (template, frozenset(self._names), seed, memory.lm.tokenizer)
        self._num_drawn, self._spare = 0, self.written.clear()
        self._workers, self._ahead, self._pool = workers, deque(), None

    def chunks(self, first: int, last: int, *, chunk: int) -> Iterator[tuple[pl.DataFrame, bool]]:
        """Facts number first to last - 1, in parts; whether they are fillers."""
        for start in range(first, min(last, self.written.height), chunk):
            yield self.written[start : min(start + chunk, last)], False
        start = max(first, self.written.height)
        while start < last:
            facts = self._fillers(min(chunk, last - start))
            start += facts.height
            yield facts, True

    def _fillers(self, count: int) -> pl.DataFrame:
        while self._spare.height < count:
            self._spare = pl.concat([self._spare, self._drawn()])
        facts, self._spare = self._spare[:count], self._spare[count:]
        return facts

    def _drawn(self) -> pl.DataFrame:
        """The next copy of the template, drawn ahead where there are processes for it."""
        self._num_drawn += 1
        if not self._workers:
            return filler_facts(self._num_drawn, *self._given)
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, context, initializer=keep, initargs=(self._given,))
        while len(self._ahead) < 2 * self._workers:
            self._ahead.append(self._pool.submit(kept_facts, self._num_drawn + len(self._ahead)))
        return self._ahead.popleft().result()

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def keep(given: tuple[SyntheticBatch, frozenset[str], int, PreTrainedTokenizerBase]) -> None:
    """Keep in this process what all its fillers are made of."""
    kept_facts.given = given


def kept_facts(number: int) -> pl.DataFrame:
    """`filler_facts` of what this process keeps."""
    return filler_facts(number, *kept_facts.given)


def filler_facts(
    number: int, template: SyntheticBatch, names: frozenset[str], seed: int, tokenizer: PreTrainedTokenizerBase
) -> pl.DataFrame:
    """Copy `number` of the template: with new subjects, none of them in `names`, and values moved on in their kind.

    Facts whose value has more tokens than a memory takes are left out.
    """
    draw, kinds = Draw(seed + 1_000_003 * number), {kind.name: kind for kind in SUBJECT_KINDS}
    subjects = []
    for kind in template.subject_kinds:
        name = kinds[kind].draw_name(draw)
        while not name or name.casefold() in names:
            name = kinds[kind].draw_name(draw)
        subjects.append(name)
    order = np.argsort(np.array(template.value_kinds), kind="stable")
    objects = np.empty(len(order), dtype=object)
    objects[order] = np.array(template.objects, dtype=object)[np.roll(order, number)]
    frame = pl.DataFrame(
        {
            "subject_id": [f"f{number}-{s}" for s in template.subject_index.tolist()],
            "subject": [subjects[s] for s in template.subject_index.tolist()],
            "relation": template.relations,
            "object": objects.tolist(),
        }
    )
    return short_facts(normalise_facts(frame), Encoder(tokenizer))


class Encoder(NamedTuple):
    """What `short_facts` needs of an LLM."""

    tokenizer: PreTrainedTokenizerBase

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """As `FrozenLM.encode`."""
        return self.tokenizer(list(texts), add_special_tokens=False).input_ids


def _frame(batch: SyntheticBatch, *, prefix: str) -> pl.DataFrame:
    return normalise_facts(batch.to_frame(prefix=prefix).filter(~pl.Series(batch.is_long)))


@contextmanager
def borrowed_states(pool: Tensor) -> Iterator[None]:
    """`write` makes rows from the states `pool` [n, F] in turn, instead of running the LLM."""

    def states(_lm: object, facts: EncodedFacts, **_: object) -> Tensor:
        return pool[torch.arange(len(facts), device=pool.device) % len(pool)]

    with mock.patch.object(model_module, "fact_features", states):
        yield


def timed(function: Callable[[], object], *, device: torch.device) -> float:
    """Milliseconds of a call, the GPU's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - started)


def ask(memory: KnowledgeMemory, questions: pl.DataFrame, *, args: argparse.Namespace) -> dict[str, object]:
    """Exact match, and medians of ms a question."""
    texts, options = questions["question"].to_list(), {"max_new_tokens": args.max_new_tokens, "batch_size": 64}
    answers = memory.ask_many(texts, **options)
    right = [exact_match(a.text, e) for a, e in zip(answers, questions["answers"].to_list(), strict=True)]
    times = times_in_turns(memory, {0: memory.store}, texts, args=args)
    return {"exact_match": round(sum(right) / len(right), 4)} | {
        name: round(statistics.median(own[0]), 3) for name, own in times.items()
    }


def times_in_turns(
    memory: KnowledgeMemory, stores: Mapping[int, FactStore], texts: Sequence[str], *, args: argparse.Namespace
) -> dict[str, dict[int, list[float]]]:
    """Milliseconds a question with each store in turn: of answers and of look-ups, alone and 64 at once.

    Returns:
        what was timed -> store's number -> a time for each question or, of batches, for each run.
    """
    device, options = memory.lm.device, {"max_new_tokens": args.max_new_tokens, "batch_size": 64}
    calls = {
        "ask": lambda batch: memory.ask_many(batch, **options),
        "recall": lambda batch: memory.store.recall(batch),
    }
    batches = {1: [[text] for text in texts[: args.num_timed]], 64: [list(texts[:64])] * args.runs}
    before, found = memory.store, {}
    for size, parts in batches.items():
        for name, call in calls.items():
            own = found[f"{name}_{size}_ms"] = {number: [] for number in stores}
            for batch in parts:
                for number, store in stores.items():
                    memory.store = store
                    own[number].append(timed(lambda b=batch, c=call: c(b), device=device) / len(batch))
    memory.store = before
    return found


def tell_turns(
    memory: KnowledgeMemory, stores: Mapping[int, FactStore], texts: Sequence[str], *, args: argparse.Namespace
) -> None:
    """Time all stores in turn; print medians, and each time over that of the store with the fewest facts."""
    times_in_turns(memory, stores, texts[:2], args=args)  # warms up
    times = times_in_turns(memory, stores, texts, args=args)
    fewest = min(stores)
    for number in stores:
        medians = {name: round(statistics.median(own[number]), 3) for name, own in times.items()}
        ratios = {
            f"{name}_ratio": round(statistics.median(a / b for a, b in zip(own[number], own[fewest], strict=True)), 4)
            for name, own in times.items()
        }
        tell(in_turns=number, **medians, **ratios)


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def space(memory: KnowledgeMemory, *, rss_before: int, args: argparse.Namespace) -> dict[str, object]:
    """Bytes a fact: of the exact index, of this process, of the rows in use, and on disk if small enough to save."""
    store = memory.store
    num_facts = len(store)
    state = store.table.state_tensors()
    rows = sum(tensor.nbytes for tensor in state.values())
    disk = None
    if num_facts <= args.save_up_to:
        with tempfile.TemporaryDirectory() as folder:
            store.save(Path(folder) / "memory")
            disk = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) // num_facts
    return {
        "index_bytes_a_fact": store.retriever.size_bytes // num_facts,
        "rss_bytes_a_fact": (resident_bytes() - rss_before) // num_facts,
        "row_bytes_a_fact": rows // num_facts,
        "disk_bytes_a_fact": disk,
    }


def grow(memory: KnowledgeMemory, source: Source, *, until: int, pool: Tensor, chunk: int) -> float:
    """Write facts until there are so many; seconds in `write` alone."""
    seconds = 0.0
    for facts, is_filler in source.chunks(len(memory.store), until, chunk=chunk):
        started = time.perf_counter()
        if is_filler:
            with borrowed_states(pool):
                memory.write(facts)
        else:
            memory.write(facts)
        seconds += time.perf_counter() - started
    return seconds


def main(argv: list[str] | None = None) -> None:
    """Grow, ask and print."""
    args = parse_args(argv)
    quiet_libraries()
    options = {} if args.row_format == "fp16" else {"row_format": args.row_format}
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader, **options)
    memory.generation, lm = args.generation, memory.lm
    device = torch.cuda.get_device_name(lm.device) if lm.device.type == "cuda" else "CPU"
    tell(device=device, llm=lm.identity.name, row_format=args.row_format, written=args.written, seed=args.seed)
    source = Source(memory, num_written=args.written, seed=args.seed, workers=args.workers)
    asked = source.asked.sample(min(args.num_questions, source.asked.height), shuffle=True, seed=args.seed)
    questions = frame_questions(asked, split="trained", seed=args.seed)
    encoded = encode_frame(lm.tokenizer, source.written.head(min(POOL, args.written)), end_id=lm.newline_id)
    pool = fact_features(lm, encoded, layers=memory.reader.config.writer_layers)
    results: list[dict[str, object]] = []
    rss_before = resident_bytes()
    stores: dict[int, FactStore] = {}
    for size in sizes(args.max_facts):
        if args.in_turns and results:
            memory.store = empty_store(lm, memory.reader, row_format=args.row_format)
        seconds = grow(memory, source, until=size, pool=pool, chunk=args.chunk)
        if args.wait_for and size == args.max_facts:
            tell(written=len(memory.store), waiting_for=str(args.wait_for))
            while not args.wait_for.exists():
                time.sleep(0.2)
        if not results:
            ask(memory, questions.head(64), args=args)  # warms up
        figures = {"facts": len(memory.store), "seconds_writing": round(seconds, 1)} | ask(memory, questions, args=args)
        results.append(figures | space(memory, rss_before=rss_before, args=args))
        tell(**results[-1])
        stores[len(memory.store)] = memory.store
    if args.in_turns:
        tell_turns(memory, stores, questions["question"].to_list(), args=args)
    source.close()
    print()
    print(markdown_table(COLUMNS, [[result[name] for name in COLUMNS] for result in results]))


if __name__ == "__main__":
    main()
