"""Fit a reader's calibration: how probable it is that an answer is right, and the thresholds for abstaining.

    python -m widedeep_kb.studies.fit_calibration --reader READER --data-dir DIR --answers FOLDER

Facts of several domains are written with no training, and questions asked of four kinds: of stored facts, of subjects
never stored, of relations not stored, and of other data sets. Half of the weight is on questions whose fact is stored.
The thresholds are chosen by answers of each domain in turn, as judged by a calibration fitted to the other domains. The
prepared domains and NQ-open are not used: `benchmarks/bench_calibration.py` measures on them. The calibration is
written into the reader's folder; nothing else of it changes. Prints JSON lines.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import polars as pl
import torch

from widedeep_kb.memory.calibration import PRECISIONS, Calibration, calibration_features
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.calibration import calibration_errors, kind_weights, signs_of, with_confidence
from widedeep_kb.studies.calibration_answers import answers_of
from widedeep_kb.studies.calibration_questions import FIT_DOMAINS
from widedeep_kb.studies.fit_gate import replace_part
from widedeep_kb.studies.reporting import tell


def fit_calibration(answered: pl.DataFrame, *, penalty: float = 2e-3) -> tuple[Calibration, pl.DataFrame]:
    """Fit to all domains; the thresholds by domains left out in turn.

    Args:
        answered: frame in `ANSWERED_SCHEMA`, of two domains at least.
        penalty: see `SmallClassifier.fit`.

    Returns:
        the calibration, and the frame as `with_confidence` gives it, each domain judged by the others.

    Raises:
        ValueError: fewer than two domains.
    """
    domains = answered["domain"].unique(maintain_order=True).to_list()
    if len(domains) < 2:
        raise ValueError(f"a calibration is fitted to two domains at least, not to {domains}")
    parts = []
    for domain in domains:
        is_left_out = pl.col("domain") == domain
        fitted = _fitted(answered.filter(~is_left_out), penalty=penalty)
        parts.append(with_confidence(answered.filter(is_left_out), fitted))
    told = pl.concat(parts)
    calibration = _fitted(answered, penalty=penalty)
    calibration.set_thresholds(
        torch.tensor(told["confidence"].to_list(), dtype=torch.float64),
        torch.tensor(told["is_right"].to_list()),
        weights=kind_weights(told),
    )
    return calibration, told


def _fitted(answered: pl.DataFrame, *, penalty: float) -> Calibration:
    calibration = Calibration()
    is_right = torch.tensor(answered["is_right"].to_list())
    features = calibration_features(signs_of(answered))
    calibration.fit(features, is_right, weights=kind_weights(answered), penalty=penalty)
    return calibration


def main() -> None:
    """Ask, fit, save, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", type=Path, required=True, help="folder of a reader; its calibration is replaced")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--prepared-dir", type=Path, default=Path("data"), help="folder of data/<name>/prepare.py")
    parser.add_argument("--answers", type=Path, required=True, help="folder where answers are kept, not to ask twice")
    parser.add_argument("--llm")
    parser.add_argument("--num-questions", type=int, default=100, help="of each domain, of which the fact is stored")
    parser.add_argument("--penalty", type=float, default=2e-3, help="on the squares of the weights")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    quiet_libraries()
    started = time.perf_counter()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    answered = answers_of(
        memory,
        FIT_DOMAINS,
        folders=(args.data_dir, args.prepared_dir),
        kept=args.answers,
        num_questions=args.num_questions,
        seed=args.seed,
    )
    calibration, told = fit_calibration(answered, penalty=args.penalty)
    for row in calibration_errors(told):
        tell(**row)
    tell(thresholds=dict(zip(PRECISIONS, (round(t, 4) for t in calibration.thresholds.tolist()), strict=True)))
    replace_part(args.reader, "calibration", calibration)
    tell(seconds=round(time.perf_counter() - started, 1), num_questions=answered.height)


if __name__ == "__main__":
    main()
