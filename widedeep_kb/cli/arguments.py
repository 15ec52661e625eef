"""Arguments that several commands share, declared once."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from widedeep_kb.memory.config import ROW_FORMATS


class UsageError(Exception):
    """A mistake on the command line."""


def add_memory(parser: argparse.ArgumentParser) -> None:
    """Declare `--memory`."""
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="memory folder")


def add_llm(parser: argparse.ArgumentParser, *, default: str = "the one named in the memory folder") -> None:
    """Declare `--llm`."""
    parser.add_argument("--llm", metavar="L", help=f"Hugging Face id, folder or GGUF file (default: {default})")


def add_gpu_rows(parser: argparse.ArgumentParser) -> None:
    """Declare `--gpu-row-budget-gb`."""
    parser.add_argument(
        "--gpu-row-budget-gb",
        type=above_zero,
        metavar="GB",
        help="GPU memory for rows: more are kept in host memory, with a cache of this size (default: all on the GPU)",
    )


def add_row_format(parser: argparse.ArgumentParser) -> None:
    """Declare `--row-format`."""
    parser.add_argument(
        "--row-format",
        choices=ROW_FORMATS,
        help="how a new memory stores its rows (default: fp16; `rewrite` changes it)",
    )


def add_semantic(parser: argparse.ArgumentParser) -> None:
    """Declare `--semantic`."""
    parser.add_argument(
        "--semantic",
        action="store_true",
        help="where no stored name is found in a question, guess which is meant (typing errors, left-out words); "
        "evidence is marked as guessed (default: only if the memory was saved so)",
    )


def add_no_gate(parser: argparse.ArgumentParser) -> None:
    """Declare `--no-gate`."""
    parser.add_argument(
        "--no-gate",
        action="store_true",
        help="every question is about the facts: leave none that holds a stored name to the LLM alone, and read a deep "
        "memory in all",
    )


def add_hops(parser: argparse.ArgumentParser) -> None:
    """Declare `--hops`."""
    parser.add_argument(
        "--hops",
        type=positive,
        default=1,
        metavar="N",
        help="most facts that an answer may take in a row: 2 = also the capital of the country of Lyon (default: 1)",
    )


def add_as_of(parser: argparse.ArgumentParser) -> None:
    """`--as-of DAY`: which day's facts count."""
    parser.add_argument(
        "--as-of",
        type=day,
        metavar="DAY",
        help="answer from the facts that hold on this day, YYYY-MM-DD (default: today; the last known where none does)",
    )


def add_abstain(parser: argparse.ArgumentParser) -> None:
    """Declare `--abstain`."""
    parser.add_argument(
        "--abstain",
        type=precision,
        nargs="?",
        const=0.95,
        metavar="PRECISION",
        help='answer "unknown" where the answer is too doubtful for this share of the answers given to be right '
        "(0.95 where none is named; default: every question is answered)",
    )


def precision(text: str) -> float:
    """Read a number above 0 and below 1.

    Raises:
        argparse.ArgumentTypeError: any other text.
    """
    return _number(text, lambda number: 0 < number < 1, wanted="a precision, a number between 0 and 1")


def positive(text: str) -> int:
    """Read a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: any other text.
    """
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def above_zero(text: str) -> float:
    """Read a number above 0.

    Raises:
        argparse.ArgumentTypeError: any other text, infinity included.
    """
    return _number(text, lambda number: number > 0, wanted="a number above 0")


def not_negative(text: str) -> float:
    """Read a number of at least 0.

    Raises:
        argparse.ArgumentTypeError: any other text, infinity included.
    """
    return _number(text, lambda number: number >= 0, wanted="a number of at least 0")


def share(text: str) -> float:
    """Read a number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: any other text.
    """
    return _number(text, lambda number: 0 <= number <= 1, wanted="a number from 0 to 1")


def non_blank(text: str) -> str:
    """Read text that is more than white space.

    Raises:
        argparse.ArgumentTypeError: blank text.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the text is empty")
    return text


def day(text: str) -> date:
    """Read a day, YYYY-MM-DD.

    Raises:
        argparse.ArgumentTypeError: any other text.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no time zone
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day YYYY-MM-DD") from None


def _number(text: str, is_good: Callable[[float], bool], *, wanted: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and is_good(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return number
