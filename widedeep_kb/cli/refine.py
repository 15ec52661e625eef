"""`widedeep-kb refine`: train a memory folder jointly on some facts, and save it there."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

from widedeep_kb.cli.arguments import add_gpu_rows, add_llm, add_memory, positive
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.memory.changing import changing

HELP = "train a memory jointly on some facts"
EXAMPLE = "widedeep-kb refine --memory my-memory --facts facts.csv --steps 200"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument("--facts", type=Path, required=True, metavar="FILE", help="facts to train on; written if new")
    parser.add_argument("--questions", type=Path, metavar="FILE", help="questions about them, with fact_id")
    parser.add_argument("--steps", type=positive, default=200, help="training steps (default: %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=32, help="questions in a step (default: %(default)s)")
    parser.add_argument("--row-lr", type=float, default=0.02, help="step size of the rows (default: %(default)s)")
    parser.add_argument("--dense-lr", type=float, default=2e-3, help="of the deep memory (default: %(default)s)")
    parser.add_argument("--wide-only", action="store_true", help="train rows only, leave the deep memory as it is")
    parser.add_argument("--train-adapters", action="store_true", help="train the adapters and their gates as well")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-dir", type=Path, default=Path("lightning_logs"), metavar="DIR")
    parser.add_argument("--wandb", action="store_true", help="log to Weights & Biases as well, offline")
    add_llm(parser)
    add_gpu_rows(parser)


def run(args: argparse.Namespace) -> int:
    """Train; the folder changes at the very end or not at all. The last line of stdout is a JSON object."""
    from widedeep_kb.schema import read_facts, read_questions
    from widedeep_kb.training.fit_config import FitConfig

    facts = read_facts(args.facts)
    questions = read_questions(args.questions) if args.questions else None
    config = FitConfig(
        steps=args.steps,
        batch_size=args.batch_size,
        row_lr=args.row_lr,
        dense_lr=args.dense_lr,
        deep=not args.wide_only,
        train_adapters=args.train_adapters,
        seed=args.seed,
        log_dir=args.log_dir,
        wandb=args.wandb,
    )
    with changing(args.memory) as lock:
        memory = open_memory(args.memory, llm=args.llm, gpu_row_budget_gb=args.gpu_row_budget_gb)
        memory.store.table.check_trainable()
        from widedeep_kb.training.fit import fit

        with redirect_stdout(sys.stderr):  # progress bars
            memory.write(facts)
            ordinals = memory.store.catalogue.find(facts=facts).ordinals
            metrics = fit(memory, config, questions=questions, ordinals=ordinals)
        memory.save(args.memory, lock=lock)
    print(json.dumps(metrics))
    return 0
