"""Facts as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

LINE_COLUMNS = ("fact_id", "subject", "relation", "object")


def fact_lines(facts: pl.DataFrame, *, mark: str = "") -> list[str]:
    """One line a fact: fact_id, subject, relation and object with tabs between them, behind `mark`.

    Args:
        facts: has the four columns.
        mark: a first column, for instance "+".
    """
    prefix = f"{mark}\t" if mark else ""
    return [prefix + "\t".join(map(one_line, row)) for row in facts.select(LINE_COLUMNS).iter_rows()]


def fact_block(fact: Mapping[str, object]) -> str:
    """A whole fact, one `column: value` line for each column that holds something."""
    shown = {name: value for name, value in fact.items() if value is not None and value != []}
    width = max(map(len, shown)) + 1
    texts = {name: "; ".join(value) if isinstance(value, list) else str(value) for name, value in shown.items()}
    return "\n".join(f"{name + ':':<{width}} {one_line(text)}" for name, text in texts.items())


def one_line(text: str) -> str:
    """Text without the tabs and line breaks that would break a table."""
    return "".join(char if char.isprintable() else " " for char in text)


def print_lines(lines: list[str]) -> None:
    """Print lines in one go; nothing for no lines."""
    if lines:
        print("\n".join(lines))
