"""Calibrated confidence and abstaining, on domains that the calibration was not fitted to.

    python benchmarks/bench_calibration.py --data-dir DIR --answers FOLDER

Asks the prepared domains' and NQ-open's questions of a memory with facts of the domain: of stored facts, of subjects
never stored, of relations not stored of a stored subject, and of other things. Prints JSON lines: expected calibration
error of raw and calibrated confidence, the reliability curve, and for each precision of answering what is refused.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from widedeep_kb.memory.calibration import PRECISIONS
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.quiet import quiet_libraries
from widedeep_kb.studies.calibration import abstaining, calibration_errors, curve_rows, with_confidence
from widedeep_kb.studies.calibration_answers import answers_of
from widedeep_kb.studies.calibration_questions import TEST_DOMAINS
from widedeep_kb.studies.reporting import tell

REPOSITORY = Path(__file__).resolve().parent.parent


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--prepared-dir", type=Path, default=REPOSITORY / "data", help="folder of the prepared ones")
    parser.add_argument("--answers", type=Path, required=True, help="folder where answers are kept, not to ask twice")
    parser.add_argument("--reader", type=Path, help="folder of a reader (default: the shipped one)")
    parser.add_argument("--llm")
    parser.add_argument("--num-questions", type=int, default=100, help="of each domain, of which the fact is stored")
    parser.add_argument("--precisions", type=float, nargs="+", default=(0.8, 0.9, 0.95), help="of answering")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Ask, measure, print."""
    args = parse_args(argv)
    quiet_libraries()
    started = time.perf_counter()
    memory = KnowledgeMemory.from_pretrained(llm=args.llm, reader=args.reader)
    calibration = memory.reader.calibration
    thresholds = {precision: calibration.threshold_for(precision) for precision in args.precisions}
    tell(llm=memory.lm.identity.name, reader=str(args.reader or "shipped"), known_precisions=PRECISIONS)
    answered = answers_of(
        memory,
        TEST_DOMAINS,
        folders=(args.data_dir, args.prepared_dir),
        kept=args.answers,
        num_questions=args.num_questions,
        seed=args.seed,
    )
    told = with_confidence(answered, calibration)
    for row in calibration_errors(told):
        tell(**row)
    for column in ("raw_confidence", "confidence"):
        tell(curve=column, bins=curve_rows(told, column=column))
    for precision, threshold in thresholds.items():
        for row in abstaining(told, threshold=threshold):
            tell(precision_asked=precision, **row)
    tell(seconds=round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    main()
