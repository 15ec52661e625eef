"""Score a reader on validation questions, facts inserted with no training: what a training run prints at its end.

    python -m widedeep_kb.studies.score_reader --reader READER --materials DIR

DIR holds the materials of a training (see `training.materials`). One JSON line a set; the last line holds all figures.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from widedeep_kb.lm import load_lm
from widedeep_kb.memory.reader import Reader
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.insertion import index_recall, insertion_accuracy
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.lit_module import ReaderModule


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Score and print; returns exact match by class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", type=Path, required=True, help="folder of a reader")
    parser.add_argument("--materials", type=Path, required=True, help="folder with validation chunks (*.npz)")
    parser.add_argument("--sets", help="names of chunks by commas (default: all)")
    parser.add_argument("--llm")
    parser.add_argument("--batch-size", type=int, default=256)
    args = parser.parse_args(argv)
    paths = sorted(args.materials.glob("*.npz"))
    if args.sets is not None:
        paths = [args.materials / f"{name}.npz" for name in args.sets.split(",")]
    if not paths or not all(path.is_file() for path in paths):
        raise ValueError(f"{str(args.materials)!r} holds no validation chunks, or not {args.sets!r}")
    quiet_libraries()
    lm = load_lm(args.llm)
    module = ReaderModule(lm, Reader.load(args.reader).to(lm.device).eval(), max_steps=1)
    scores: dict[str, float] = {}
    for path in paths:
        chunk = Chunk.load(path)
        found, _ = insertion_accuracy(module, chunk, batch_size=args.batch_size)
        recall = index_recall(chunk)
        print(json.dumps({name: {"exact_match": found[name], "recall": recall[name]} for name in found}), flush=True)
        scores |= found
    print(json.dumps({name: round(value, 4) for name, value in sorted(scores.items())}))
    return scores


if __name__ == "__main__":
    main()
