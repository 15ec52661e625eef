"""Counterfactual edits written with no training: do they hold, in any words, and does anything else change?

    python benchmarks/bench_edits.py --data-dir DIR --sets mquake counterfact --num-edits 1000 --output OUT

Edits of MQuAKE and CounterFact are made facts, the last of each property, and written at once. Probes are drawn at
random: the edits' own prompts, other phrasings, and unrelated questions (half NQ-open, half about subjects without an
edit in the data set's own wordings). `--num-edits 0` writes all. The memory and each piece of probes are kept in
`--output`; a run that was ended goes on from there. Prints JSON lines and a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import polars as pl

from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.sources.edits import OTHER, OWN, EditSet, load_edits, neighbours
from widedeep_kb.studies.edits import ask_probes, compare_tokens, force, gate_open, mean_with_interval
from widedeep_kb.studies.reporting import tell
from widedeep_kb.tables import write_table

TARGETS = {OWN: 0.98, OTHER: 0.95, "unrelated": 1.0}
_PIECE = 32


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds mquake/, counterfact/, pararel/, nq_open/")
    parser.add_argument("--sets", nargs="+", choices=("mquake", "counterfact"), default=["mquake", "counterfact"])
    parser.add_argument("--num-edits", type=int, default=1000, help="of each set, 0 = all")
    parser.add_argument("--num-probes", type=int, default=400, help="of each kind that are generated, at most")
    parser.add_argument("--num-forced", type=int, default=1000, help="of each kind that are forced, at most")
    parser.add_argument("--num-unrelated", type=int, default=300)
    parser.add_argument("--parts", nargs="+", choices=("forced", "unrelated", "asked", "cost"), default=None)
    parser.add_argument("--gates", nargs="+", choices=("shut", "open"), default=["shut", "open"], help="open: no gate")
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--batch-size", type=int, default=_PIECE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=None, help="stop before a piece after so long")
    parser.add_argument("--output", type=Path, required=True, help="folder of the memories and of the pieces")
    args = parser.parse_args(argv)
    args.parts = args.parts or ["cost", "forced", "asked", "unrelated"]
    args.ends = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    return args


def in_pieces(
    frame: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame], *, name: str, args: argparse.Namespace
) -> pl.DataFrame | None:
    """`work` over slices of a frame, each kept in a file; None where time ran out before the first."""
    done = []
    for number, piece in enumerate(frame.iter_slices(_PIECE)):
        path = args.output / f"{name}-{number:03d}.parquet"
        if path.exists():
            done.append(pl.read_parquet(path))
        elif time.monotonic() < args.ends:
            done.append(work(piece))
            write_table(done[-1], path)
    return pl.concat(done) if done else None


def memory_of(edits: EditSet, *, folder: Path, args: argparse.Namespace) -> KnowledgeMemory:
    """A memory with the edits, from `folder` or written now."""
    if folder.exists():
        return KnowledgeMemory.from_pretrained(folder, llm=args.llm, reader=args.reader)
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    started = time.perf_counter()
    memory.write(edits.facts)
    tell(set=edits.name, written=edits.facts.height, seconds=round(time.perf_counter() - started, 1))
    memory.save(folder)
    return memory


def update_cost(memory: KnowledgeMemory, edits: EditSet, *, num_updates: int = 20) -> dict[str, float]:
    """Median and longest ms from a new value to the memory that holds it, one edit a call; the edits end unchanged."""
    facts = edits.facts.head(num_updates)
    times = []
    for row in facts.select("subject", "relation", "object").iter_rows(named=True):
        for value in ("a new value", row["object"]):
            started = time.perf_counter()
            memory.write([{**row, "object": value}])
            times.append(1000 * (time.perf_counter() - started))
    memory.write(facts)  # with their statements again
    return {"median_ms": round(statistics.median(times), 1), "longest_ms": round(max(times), 1), "updates": len(times)}


def forced_frame(memory: KnowledgeMemory, probes: pl.DataFrame, *, batch_size: int) -> pl.DataFrame:
    """Teacher forcing of probes as they are, as EasyEdit does, and as `ask` puts them."""
    columns = {}
    for name, is_wrapped in (("raw", False), ("wrapped", True)):
        texts, targets = probes["text"].to_list(), probes["target"].to_list()
        found = force(memory, texts, targets, is_wrapped=is_wrapped, batch_size=batch_size)
        columns[f"{name}_tokens"] = [one.token_accuracy for one in found]
        columns[f"{name}_all"] = [float(one.predicted == one.wanted) for one in found]
    return probes.with_columns(**{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()})


def unrelated_frame(memory: KnowledgeMemory, texts: pl.DataFrame, *, batch_size: int) -> pl.DataFrame:
    """Answers beside the bare LLM's, and EasyEdit's locality: the share of a true answer's places predicted alike."""
    asked, answers = texts["text"].to_list(), texts["answer"].to_list()
    compared = compare_tokens(memory, asked, batch_size=batch_size)
    bare = force(memory, asked, answers, use_memory=False, batch_size=batch_size)
    told = force(memory, asked, answers, batch_size=batch_size)
    shares = [
        sum(a == b for a, b in zip(one.predicted, two.predicted, strict=True)) / len(one.predicted)
        for one, two in zip(bare, told, strict=True)
    ]
    return compared.with_columns(origin=texts["origin"], locality=pl.Series(shares, dtype=pl.Float64))


def draw(frame: pl.DataFrame, most: int, *, seed: int) -> pl.DataFrame:
    """At most `most` rows in random order."""
    return frame.sample(min(most, frame.height), shuffle=True, seed=seed)


def measure(edits: EditSet, *, args: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """All parts for one set of edits: (what, figure, target) of each line of the table."""
    size = edits.facts.height
    stem = f"{edits.name}-{size}"
    memory = memory_of(edits, folder=args.output / f"memory-{stem}", args=args)
    if "cost" in args.parts and time.monotonic() < args.ends:
        yield "ms to write one edit among them", str(update_cost(memory, edits)), ""
    for gate in args.gates:
        with gate_open(memory) if gate == "open" else nullcontext():
            yield from measure_probes(memory, edits, stem=f"{stem}-{gate}", args=args)
            if "unrelated" in args.parts:
                yield from measure_unrelated(memory, edits, stem=f"{stem}-{gate}", args=args)


def measure_probes(
    memory: KnowledgeMemory, edits: EditSet, *, stem: str, args: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """Own and other phrasings of the edits, forced and generated."""
    for kind in (OWN, OTHER):
        drawn = draw(edits.probes.filter(kind=kind), args.num_forced, seed=args.seed)
        if "forced" in args.parts:
            work = lambda piece: forced_frame(memory, piece, batch_size=args.batch_size)  # noqa: E731 - one use
            frame = in_pieces(drawn, work, name=f"{stem}-{kind}-forced", args=args)
            for column in ("raw_tokens", "raw_all", "wrapped_tokens", "wrapped_all") if frame is not None else ():
                yield from figures(frame, column, what=f"{stem} {kind}, forced, {column}", target=TARGETS[kind])
        if "asked" in args.parts:
            work = lambda piece: ask_probes(memory, piece, batch_size=args.batch_size)  # noqa: E731 - one use
            frame = in_pieces(drawn.head(args.num_probes), work, name=f"{stem}-{kind}-asked", args=args)
            for column in ("exact_match", "contains") if frame is not None else ():
                yield from figures(frame, column, what=f"{stem} {kind}, generated, {column}", target=TARGETS[kind])
            if frame is not None:
                tell(probes=f"{stem} {kind}", fates=dict(frame["fate"].value_counts(sort=True).iter_rows()))


def measure_unrelated(
    memory: KnowledgeMemory, edits: EditSet, *, stem: str, args: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """Questions that no edit answers, beside the bare LLM."""
    half = args.num_unrelated // 2
    open_domain = pl.read_parquet(args.data_dir / "nq_open" / "dev.parquet")
    open_domain = open_domain.select(text="question", answer=pl.col("answer").list.first(), origin=pl.lit("nq_open"))
    near = neighbours(edits, data_dir=args.data_dir, num_texts=args.num_unrelated - half, seed=args.seed)
    texts = draw(pl.concat([draw(open_domain, half, seed=args.seed), near]), args.num_unrelated, seed=args.seed)
    work = lambda piece: unrelated_frame(memory, piece, batch_size=args.batch_size)  # noqa: E731 - one use
    frame = in_pieces(texts, work, name=f"{stem}-unrelated", args=args)
    if frame is None:
        return
    for origin in frame["origin"].unique().sort().to_list():
        part = frame.filter(origin=origin)
        share = f"{int((part['num_facts'] > 0).sum())} of {part.height} bring facts"
        for column in ("is_same", "locality"):
            what = f"{stem} {origin}, {column} ({share})"
            yield what, mean_with_interval(part[column].cast(pl.Float64).to_list()), str(TARGETS["unrelated"])


def figures(frame: pl.DataFrame, column: str, *, what: str, target: float) -> Iterator[tuple[str, str, str]]:
    """The mean over all probes, and over those that name the subject where some do not."""
    yield f"{what} ({frame.height})", mean_with_interval(frame[column].cast(pl.Float64).to_list()), str(target)
    named = frame.filter("names_subject")
    if 0 < named.height < frame.height:
        figure = mean_with_interval(named[column].cast(pl.Float64).to_list())
        yield f"{what}, subject named ({named.height})", figure, str(target)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    quiet_libraries()
    args.output.mkdir(parents=True, exist_ok=True)
    lines = []
    for name in args.sets:
        edits = load_edits(name, data_dir=args.data_dir, seed=args.seed)
        tell(set=name, **edits.counts, facts=edits.facts.height, probes=edits.probes.height)
        for line in measure(edits.first(args.num_edits) if args.num_edits else edits, args=args):
            tell(what=line[0], figure=line[1], target=line[2])
            lines.append(f"| {' | '.join(line)} |")
    print("\n".join(["", "| what | figure | target |", "|---|---|---|", *lines]))


if __name__ == "__main__":
    main()
