"""Milliseconds of the wide table's look-up and refine step, beside plain torch in the same run.

    GOMP_SPINCOUNT=0 python benchmarks/bench_wide.py --rows 100000 200000

Set OMP_NUM_THREADS=1 or GOMP_SPINCOUNT=0 on a shared machine: torch's OpenMP threads spin while they wait, and one busy
core then makes every parallel operation take whole scheduler ticks. Medians; compare the columns of one run only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from widedeep_kb.memory.wide import WideTable


def median_ms(work: Callable[[], object], *, num_runs: int) -> float:
    """Median wall-clock milliseconds of `work`, after two runs that are not counted."""
    times = []
    for i in range(num_runs + 2):
        begin = time.perf_counter()
        work()
        if i >= 2:
            times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def filled_table(num_rows: int, embedding_dim: int) -> WideTable:
    """A table of `num_rows` live rows."""
    table = WideTable(num_rows, embedding_dim)
    table.allocate(np.array([num_rows]))
    for rows in torch.arange(num_rows).split(50_000):
        table.write(rows, torch.randn(rows.numel(), embedding_dim))
    return table


def torch_steps(weight: Tensor, row_ids: Tensor) -> dict[str, Callable[[], object]]:
    """The same look-up and refine step in plain torch: dense, sparse, and hand-written row-wise Adagrad."""
    embedding = nn.Embedding.from_pretrained(weight, freeze=False)
    sparse = nn.Embedding.from_pretrained(weight, freeze=False, sparse=True)
    optimizer = torch.optim.Adagrad(sparse.parameters(), lr=0.01)
    momentum = torch.zeros(weight.shape[0])

    def dense_backward() -> None:
        embedding.weight.grad = None
        embedding(row_ids).square().sum().backward()

    def sparse_step() -> None:
        optimizer.zero_grad()
        sparse(row_ids).square().sum().backward()
        optimizer.step()

    def by_hand() -> None:
        rows = weight.index_select(0, row_ids).requires_grad_()
        rows.square().sum().backward()
        unique, place = row_ids.unique(return_inverse=True)
        grad = torch.zeros(unique.numel(), weight.shape[1]).index_add_(0, place, rows.grad)
        momentum.index_add_(0, unique, grad.square().mean(dim=1))
        root = momentum.index_select(0, unique).sqrt().add_(1e-8)
        weight.index_add_(0, unique, grad.div_(root[:, None]), alpha=-0.01)

    def look_up() -> None:
        with torch.no_grad():
            embedding(row_ids)

    return {
        "lookup: nn.Embedding": look_up,
        "refine: nn.Embedding, dense grad, no update": dense_backward,
        "refine: nn.Embedding(sparse) + Adagrad": sparse_step,
        "refine: row-wise Adagrad by hand": by_hand,
    }


def measure(num_rows: int, *, embedding_dim: int, batch: int, rows_per_query: int, num_runs: int) -> None:
    """Prints one line per way of doing the same look-up or step."""
    table = filled_table(num_rows, embedding_dim)
    lengths = torch.full((batch,), rows_per_query)
    row_ids = torch.randint(0, num_rows, (batch * rows_per_query,), generator=torch.Generator().manual_seed(0))
    is_asked = torch.arange(row_ids.numel()) % rows_per_query == 0
    begin = time.perf_counter()
    trainer = table.trainable(0.01)
    bind_ms = 1e3 * (time.perf_counter() - begin)
    ours = {
        "lookup: WideTable.lookup_rows": lambda: table.lookup_rows(row_ids),
        "lookup: WideTable.lookup (EmbeddingCollection)": lambda: table.lookup(row_ids, lengths),
        "refine: all rows trainable": lambda: trainer.lookup(row_ids).square().sum().backward(),
        "refine: one row per query trainable": lambda: trainer.lookup(row_ids, is_asked).square().sum().backward(),
    }
    size_gb = table.weight.nbytes / 1e9
    print(f"\n{num_rows:,} rows x {embedding_dim} ({size_gb:.2f} GB), {batch} queries x {rows_per_query} rows; ms")
    for name, work in (ours | torch_steps(table.weight.detach(), row_ids)).items():
        print(f"{name:50s} {median_ms(work, num_runs=num_runs):9.2f}", flush=True)
    print(f"{'making the trainer (once)':50s} {bind_ms:9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 200_000])
    parser.add_argument("--embedding-dim", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=256, help="queries")
    parser.add_argument("--rows-per-query", type=int, default=8)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    spin = os.environ.get("GOMP_SPINCOUNT", "unset")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, GOMP_SPINCOUNT {spin}")
    for num_rows in arguments.rows:
        measure(
            num_rows,
            embedding_dim=arguments.embedding_dim,
            batch=arguments.batch,
            rows_per_query=arguments.rows_per_query,
            num_runs=arguments.runs,
        )


if __name__ == "__main__":
    main()
