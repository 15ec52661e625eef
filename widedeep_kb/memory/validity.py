"""Which facts hold on a day: those with `valid_from` or `valid_to` are kept by ordinal, in step with the catalogue.

A fact holds from the day `valid_from` to the day `valid_to`, both included; but where a successor of the same property
begins on the day another ends, that day is the successor's. With no day named it is today, and a property of which
nothing holds today keeps all its facts: what was known last is more than nothing.

Letters: n facts with a date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl

from widedeep_kb.facts import PROPERTY

VALIDITY_COLUMNS = ["ordinal", *PROPERTY, "valid_from", "valid_to"]
IS_DATED = pl.col("valid_from").is_not_null() | pl.col("valid_to").is_not_null()
_MOST_DAYS = 64  # whose facts are kept in mind
_BEGIN, _END = "0000-01-01", "9999-12-31"  # of a fact without the date; YYYY-MM-DD sorts as text

RowsOf = Callable[[list[str]], pl.DataFrame]


class Validity:
    """The dated facts of a memory.

    Args:
        facts: the dated ones among them are taken; a frame with `ordinal` and the columns of a fact.
    """

    def __init__(self, facts: pl.DataFrame) -> None:
        self._dated = _dated(facts)
        self._subject_ids = set(self._dated["subject_id"])
        self._known: dict[date | None, tuple[date, np.ndarray]] = {}  # what was found, and on which day

    def __len__(self) -> int:
        """Facts with a date."""
        return self._dated.height

    def add(self, facts: pl.DataFrame) -> None:
        """Take note of new facts."""
        self._forget(facts)
        new = _dated(facts)
        if new.height:
            self._dated = pl.concat([self._dated, new])
            self._subject_ids.update(new["subject_id"])
            self._known.clear()

    def remove(self, facts: pl.DataFrame) -> None:
        """Forget facts that are gone."""
        self._forget(facts)
        gone = _dated(facts)
        if gone.height:
            self._dated = self._dated.filter(~pl.col("ordinal").is_in(gone["ordinal"].implode()))
            self._subject_ids = set(self._dated["subject_id"])
            self._known.clear()

    def excluded(self, as_of: date | None, rows_of: RowsOf) -> np.ndarray:
        """Ordinals of the facts that are not to be brought: int64, ascending.

        Args:
            as_of: the day; None: today, see above.
            rows_of: returns all facts, dated or not, of some subject_ids.
        """
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        today = date.today()  # noqa: DTZ011 - facts hold by the user's calendar
        known = self._known.get(as_of)
        if known is None or known[0] != today:
            found = self._excluded((as_of or today).isoformat(), rows_of, is_strict=as_of is not None)
            known = self._known[as_of] = (today, found)
            while len(self._known) > _MOST_DAYS:
                del self._known[next(iter(self._known))]
        return known[1]

    def _excluded(self, day: str, rows_of: RowsOf, *, is_strict: bool) -> np.ndarray:
        ends = pl.col("valid_to").fill_null(_END)
        begins = pl.col("valid_from").fill_null(_BEGIN)
        is_followed = (pl.col("valid_from") == day).any().over(PROPERTY) & (pl.col("valid_from") != day).fill_null(True)
        holds = (begins <= day) & (ends >= day) & ~((ends == day) & is_followed)
        judged = self._dated.with_columns(holds=holds)
        gone = judged.filter(~pl.col("holds"))
        if not is_strict and gone.height:
            alive = judged.filter("holds").select(PROPERTY)
            empty = gone.join(alive, on=PROPERTY, how="anti")
            undated = rows_of(empty["subject_id"].unique().to_list())
            undated = undated.filter(pl.col("valid_from").is_null() & pl.col("valid_to").is_null())
            kept = empty.join(undated, on=PROPERTY, how="anti")["ordinal"]
            gone = gone.filter(~pl.col("ordinal").is_in(kept.implode()))
        return np.sort(gone["ordinal"].to_numpy())

    def _forget(self, facts: pl.DataFrame) -> None:
        """An undated fact may be of a property of which nothing else holds."""
        if self._known and not self._subject_ids.isdisjoint(facts["subject_id"]):
            self._known.clear()


def _dated(facts: pl.DataFrame) -> pl.DataFrame:
    return facts.select(VALIDITY_COLUMNS).filter(IS_DATED)
