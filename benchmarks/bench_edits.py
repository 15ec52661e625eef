"""Counterfactual edits written with no training: do they hold, in any words, and does anything else change?

    python benchmarks/bench_edits.py --data-dir DIR --sets mquake counterfact --num-edits 1000 --output OUT

Edits of MQuAKE and CounterFact are made facts, the last of each property, and written at once. Probes are drawn at
random: the edits' own prompts, other phrasings, and unrelated questions (half NQ-open, half about subjects without an
edit in the data set's own wordings). `--num-edits 0` writes all; `--rows brought` lets the LLM read only the edits that
some probe brings, and leaves the rows of the others, which are never read, empty: the same answers, much sooner. Each
piece of probes is kept in `--output`; a run that was ended goes on from there. Prints JSON lines and a table in
Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl

from widedeep_kb.answering import ask_prompt
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.schema import statement_prefix
from widedeep_kb.sources.edit_sets import OTHER, OWN, EditSet, load_edits, neighbours
from widedeep_kb.studies.edits import ask_probes, compare_unrelated, force, mean_with_interval, write_brought
from widedeep_kb.studies.reporting import tell
from widedeep_kb.tables import write_table

TARGETS = {OWN: 0.98, OTHER: 0.95, "unrelated": 1.0}
PARTS = ("asked", "forced", "unrelated", "cost")
FATE_COLUMNS = ("fate", "open_fate")
_PIECE = 32
_ALL = 2**31


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds mquake/, counterfact/, pararel/, nq_open/")
    parser.add_argument("--sets", nargs="+", choices=("mquake", "counterfact"), default=["mquake", "counterfact"])
    parser.add_argument("--num-edits", type=int, default=1000, help="of each set, 0 = all")
    parser.add_argument("--num-probes", type=int, default=400, help="of each kind that are generated, 0 = all")
    parser.add_argument("--num-forced", type=int, default=1000, help="of each kind that are forced, 0 = all")
    parser.add_argument("--num-unrelated", type=int, default=2000, help="half of them of NQ-open, as far as it goes")
    parser.add_argument(
        "--rows", choices=("all", "brought"), default="all", help="brought: make only rows that are read"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--llm", default=None)
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--device", help="cpu or cuda (default: the GPU where there is one)")
    parser.add_argument("--batch-size", type=int, default=_PIECE, help="prompts in one call of the LLM")
    parser.add_argument("--piece", type=int, default=_PIECE, help="probes kept in one file, at least a batch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=None, help="stop before a piece after so long")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pieces")
    args = parser.parse_args(argv)
    args.num_probes, args.num_forced = args.num_probes or _ALL, args.num_forced or _ALL
    args.piece = max(args.piece, args.batch_size)
    args.ends = time.monotonic() + 60 * args.minutes if args.minutes else float("inf")
    return args


def in_pieces(
    frame: pl.DataFrame,
    work: Callable[[pl.DataFrame], pl.DataFrame],
    name: str,
    args: argparse.Namespace,
    *,
    size: int | None = None,
) -> pl.DataFrame | None:
    """`work` over slices of a frame, each kept in a file; None where time ran out before the first."""
    size, done = size or args.piece, []
    for number, piece in enumerate(frame.iter_slices(size)):
        path = args.output / f"{name}-{size}-{number:03d}.parquet"
        if path.exists():
            done.append(pl.read_parquet(path))
        elif time.monotonic() < args.ends:
            started = time.perf_counter()
            done.append(work(piece))
            write_table(done[-1], path)
            tell(piece=path.stem, rows=piece.height, seconds=round(time.perf_counter() - started, 1))
    return pl.concat(done, how="vertical_relaxed") if done else None


def memory_of(edits: EditSet, texts: list[str], *, args: argparse.Namespace) -> KnowledgeMemory:
    """A memory with the edits, all rows made or only those that `texts` read."""
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader, device=args.device)
    started, made = time.perf_counter(), edits.facts.height
    if args.rows == "all":
        memory.write(edits.facts)
    else:
        made = write_brought(memory, edits.facts, texts)
    tell(set=edits.name, facts=len(memory.store), read_by_the_llm=made, seconds=round(time.perf_counter() - started, 1))
    return memory


def update_cost(memory: KnowledgeMemory, edits: EditSet, *, num_updates: int = 20) -> dict[str, float]:
    """Median and longest ms from a new value to the memory that holds it, one edit a call; the edits end unchanged."""
    times = []
    for row in edits.facts.head(num_updates).select("subject", "relation", "object", "statement").to_dicts():
        for value in ("a new value", row["object"]):
            started = time.perf_counter()
            memory.write([{**row, "object": value, "statement": f"{statement_prefix(row)} {value}"}])
            times.append(1000 * (time.perf_counter() - started))
    return {"median_ms": round(statistics.median(times), 1), "longest_ms": round(max(times), 1), "updates": len(times)}


def forced_frame(memory: KnowledgeMemory, probes: pl.DataFrame, *, batch_size: int) -> pl.DataFrame:
    """Teacher forcing of probes as they are, as EasyEdit does, and as `ask` puts them."""
    columns = {}
    texts, targets = probes["text"].to_list(), probes["target"].to_list()
    for name, is_wrapped in (("raw", False), ("wrapped", True)):
        if is_wrapped and all(ask_prompt(text) == text for text in texts):
            columns |= {key.replace("raw", name): values for key, values in columns.items()}
            continue
        found = force(memory, texts, targets, is_wrapped=is_wrapped, batch_size=batch_size)
        columns[f"open_{name}_tokens"] = [one.token_accuracy for one in found]
        columns[f"open_{name}_all"] = [float(one.predicted == one.wanted) for one in found]
        shut = [i for i, one in enumerate(found) if one.is_shut]
        if shut:
            alone = [[values[i] for i in shut] for values in (texts, targets)]
            again = force(memory, *alone, is_wrapped=is_wrapped, use_memory=False, batch_size=batch_size)
            for i, one in zip(shut, again, strict=True):
                found[i] = one
        columns[f"{name}_tokens"] = [one.token_accuracy for one in found]
        columns[f"{name}_all"] = [float(one.predicted == one.wanted) for one in found]
        columns[f"{name}_shut"] = [float(i in shut) for i in range(len(found))]
    return probes.with_columns(**{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()})


def draw(frame: pl.DataFrame, most: int, *, seed: int) -> pl.DataFrame:
    """At most `most` rows in random order; of two draws with one seed the smaller is the beginning of the larger."""
    return frame.sample(fraction=1.0, shuffle=True, seed=seed).head(most)


def measure(edits: EditSet, *, args: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """All parts for one set of edits: (what, figure, target) of each line of the table."""
    stem = f"{edits.name}-{edits.facts.height}"
    drawn = {
        kind: draw(edits.probes.filter(kind=kind), max(args.num_forced, args.num_probes), seed=args.seed)
        for kind in (OWN, OTHER)
    }
    unrelated = unrelated_texts(edits, args=args)
    texts = [text for frame in (*drawn.values(), unrelated) for text in frame["text"].to_list()]
    memory = memory_of(edits, texts, args=args)
    for part, work, most in (("asked", ask_probes, args.num_probes), ("forced", forced_frame, args.num_forced)):
        for kind, probes in drawn.items() if part in args.parts else ():
            todo = partial(work, memory, batch_size=args.batch_size)
            frame = in_pieces(probes.head(most), todo, f"{stem}-{kind}-{part}", args)
            if frame is not None:
                yield from probe_figures(frame, part, what=f"{stem}, {kind}", target=TARGETS[kind])
    if "unrelated" in args.parts:
        todo = partial(compare_unrelated, memory, batch_size=args.batch_size)
        frame = in_pieces(unrelated, todo, f"{stem}-unrelated", args, size=max(8 * _PIECE, args.piece))
        if frame is not None:
            yield from unrelated_figures(frame, stem=stem)
    if "cost" in args.parts and time.monotonic() < args.ends:
        yield f"{stem}, write one edit among them", str(update_cost(memory, edits)), ""


def probe_figures(frame: pl.DataFrame, part: str, *, what: str, target: float) -> Iterator[tuple[str, str, str]]:
    """Lines of the table for one kind of probes, with and without the gate."""
    measures = ("raw_tokens", "raw_all", "wrapped_tokens", "wrapped_all")
    for column in measures if part == "forced" else ("exact_match", "contains"):
        for name, gate in ((column, "with the gate"), (f"open_{column}", "without")):
            yield from figures(frame, name, what=f"{what}, {part}, {column}, {gate}", target=target)
    if part == "asked":
        tell(probes=what, **{name: dict(frame[name].value_counts(sort=True).iter_rows()) for name in FATE_COLUMNS})


def unrelated_texts(edits: EditSet, *, args: argparse.Namespace) -> pl.DataFrame:
    """Texts that no edit answers, half of NQ-open: `text`, `answer`, `origin`."""
    half = args.num_unrelated // 2
    open_domain = pl.read_parquet(args.data_dir / "nq_open" / "dev.parquet")
    open_domain = open_domain.select(text="question", answer=pl.col("answer").list.first(), origin=pl.lit("nq_open"))
    near = neighbours(edits, data_dir=args.data_dir, num_texts=args.num_unrelated - half, seed=args.seed)
    return draw(pl.concat([draw(open_domain, half, seed=args.seed), near]), args.num_unrelated, seed=args.seed)


def unrelated_figures(frame: pl.DataFrame, *, stem: str) -> Iterator[tuple[str, str, str]]:
    """Lines of the table for texts that no edit answers, with and without the gate ("open")."""
    for origin in frame["origin"].unique().sort().to_list():
        part = frame.filter(origin=origin)
        brings = part.filter(pl.col("num_facts") > 0)
        share = f"{part.height}; {brings.height} bring facts, {brings.filter('is_open').height} pass the gate"
        for column in ("is_same", "locality", "open_is_same", "open_locality"):
            figure = mean_with_interval(part[column].cast(pl.Float64).to_list())
            yield f"{stem}, {origin}, {column} ({share})", figure, str(TARGETS["unrelated"])


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
