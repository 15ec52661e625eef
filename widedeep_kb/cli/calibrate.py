"""`widedeep-kb calibrate`: choose a memory's thresholds for abstaining by one's own questions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep_kb.cli.arguments import add_gpu_rows, add_llm, add_memory
from widedeep_kb.cli.opening import open_memory
from widedeep_kb.memory.changing import changing

if TYPE_CHECKING:
    import polars as pl

    from widedeep_kb.model import KnowledgeMemory

HELP = "choose the thresholds of --abstain by your own questions"
EXAMPLE = "widedeep-kb calibrate --memory my-memory --questions questions.jsonl"
LEAST_QUESTIONS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_memory(parser)
    parser.add_argument(
        "--questions",
        type=Path,
        required=True,
        metavar="FILE",
        help="parquet, jsonl or csv; as users will ask, with some that no fact answers (their only answer: unknown)",
    )
    add_llm(parser)
    add_gpu_rows(parser)


def run(args: argparse.Namespace) -> int:
    """Ask every question, choose, save; the last line of stdout is a JSON object.

    Raises:
        ValueError: a malformed file, too few questions, or a reader that has no calibration.
    """
    from widedeep_kb.schema import read_questions

    questions = read_questions(args.questions)
    if questions.height < LEAST_QUESTIONS:
        raise ValueError(f"{args.questions}: {questions.height} questions, at least {LEAST_QUESTIONS} are needed")
    with changing(args.memory) as lock:
        memory = open_memory(args.memory, llm=args.llm, gpu_row_budget_gb=args.gpu_row_budget_gb)
        result = choose_thresholds(memory, questions)
        memory.save(args.memory, lock=lock)
    print(json.dumps(result))
    return 0


def choose_thresholds(memory: KnowledgeMemory, questions: pl.DataFrame) -> dict[str, object]:
    """Set the thresholds of the memory's reader by its answers to questions; returns what there is to say of them.

    Args:
        memory: with its facts.
        questions: frame in `QUESTION_SCHEMA`.

    Raises:
        ValueError: the reader has no calibration.
    """
    import torch

    from widedeep_kb.memory.calibration import PRECISIONS
    from widedeep_kb.metrics import exact_match, expected_calibration_error

    calibration = memory.reader.calibration
    calibration.check_set()
    answers = memory.ask_many(questions["question"].to_list())
    is_right = [exact_match(a.text, accepted) for a, accepted in zip(answers, questions["answers"], strict=True)]
    confidences = [answer.confidence for answer in answers]
    probabilities = torch.tensor(confidences, dtype=torch.float64)
    calibration.set_thresholds(probabilities, torch.tensor(is_right), weights=torch.ones_like(probabilities))
    thresholds = [t if t <= 1.0 else None for t in calibration.thresholds.tolist()]
    return {
        "num_questions": questions.height,
        "exact_match": sum(is_right) / len(is_right),
        "expected_calibration_error": expected_calibration_error(confidences, is_right),
        "share_answered": {
            str(precision): None if threshold is None else sum(c >= threshold for c in confidences) / len(confidences)
            for precision, threshold in zip(PRECISIONS, thresholds, strict=True)
        },
    }
