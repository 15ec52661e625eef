"""The catalogue of live facts: which facts a memory holds, and the ordinal that stands for each of them.

In: checked frames in `FACT_SCHEMA`. Out: int64 ordinals. An ordinal is dealt once, in order, and never again in the
life of a catalogue, so that an index or a table may keep it without asking whether it still means the same fact.

Facts are kept in segments of bounded size, so that a change or a look-up touches a few of them, however many facts
there are.

N: facts asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from widedeep_kb.schema import FACT_SCHEMA, FILE_COLUMNS, normalise_text, normalise_texts
from widedeep_kb.tables import write_table

PROPERTY = ["subject_id", "relation"]
CATALOGUE_SCHEMA: dict[str, pl.DataType] = {"ordinal": pl.Int64(), **FACT_SCHEMA}
SEGMENT = 16_384
"""Most facts in a segment."""
_MAX_CHUNKS = 8  # of a segment: its rows are copied together when writes have left more


@dataclass(frozen=True)
class Changes:
    """What a write did, or would do.

    Attributes:
        added: int64 ordinals of the facts that are new or whose other columns changed.
        removed: int64 ordinals of the facts that are gone; a changed fact's old ordinal is among them.
        unchanged: number of facts that were there already, equal in every column.
        removed_rows: the removed facts with their `ordinal`, in the order of `removed`.
        added_rows: the added facts with their `ordinal`, in the order of `added`.
    """

    added: np.ndarray
    removed: np.ndarray
    unchanged: int
    removed_rows: pl.DataFrame
    added_rows: pl.DataFrame


@dataclass(frozen=True)
class Found:
    """Facts found: their int64 ordinals in the order asked for, each once, and the names of what is absent."""

    ordinals: np.ndarray
    absent: list[str]


class FactCatalogue:
    """Live facts by ordinal; a property (subject_id, relation) may have several values."""

    def __init__(self) -> None:
        self._segments: list[pl.DataFrame] = []  # ascending by ordinal, none empty
        self._ordinals: list[np.ndarray] = []  # of each segment, for binary search
        self._firsts = np.zeros(0, dtype=np.int64)  # first ordinal of each segment
        self._num_facts = 0
        self._next_ordinal = 0

    def __len__(self) -> int:
        return self._num_facts

    @property
    def next_ordinal(self) -> int:
        """The ordinal of the next fact to come: one more than the highest ever dealt."""
        return self._next_ordinal

    @property
    def size_bytes(self) -> int:
        """Bytes of the facts' text and columns."""
        return sum(segment.estimated_size() for segment in self._segments)

    def frozen(self) -> "FactCatalogue":
        """The facts as they are now: a catalogue that later changes of this one do not reach. Copies no fact."""
        made = FactCatalogue()
        made._segments, made._ordinals, made._firsts = list(self._segments), list(self._ordinals), self._firsts
        made._num_facts, made._next_ordinal = self._num_facts, self._next_ordinal
        return made

    def alive(self) -> np.ndarray:
        """Return the ordinals of all live facts: int64 [len(self)], ascending."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._ordinals])

    def preview(
        self, facts: pl.DataFrame, *, mode: Literal["replace", "extend"] = "replace", among: np.ndarray | None = None
    ) -> Changes:
        """Return what `add` would do, and change nothing.

        Args:
            facts: a frame in `FACT_SCHEMA`, as `read_facts` or `normalise_facts` returns it.
            mode: "replace" removes the live values of every property in `facts` that are not in `facts`; "extend"
                keeps them. A fact that is live already but differs in another column is removed and added anew.
            among: int64 ordinals, ascending, among them those of all live facts with a subject_id of `facts`; by
                default all live facts are gone through.

        Raises:
            ValueError: for another mode, another schema or a fact_id given twice; or `among` names no live fact.
        """
        check_schema(facts)
        if facts["fact_id"].n_unique() < facts.height:
            twice = facts["fact_id"].filter(facts["fact_id"].is_duplicated())[0]
            raise ValueError(f"fact_id {twice} is given twice")
        if mode not in ("replace", "extend"):
            raise ValueError(f"mode {mode!r} is neither 'replace' nor 'extend'")
        by = PROPERTY if mode == "replace" else ["fact_id"]
        live = self._all() if among is None else self.rows(among)
        touched = live.join(facts, on=by, how="semi", maintain_order="left")
        pairs = touched.join(facts, on="fact_id", how="inner", suffix="_new")
        is_same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"{name}_new")) for name in FILE_COLUMNS)
        same = pairs.filter(is_same)["fact_id"].implode()
        removed = touched.filter(~pl.col("fact_id").is_in(same))
        new = facts.filter(~pl.col("fact_id").is_in(same))
        added = np.arange(self._next_ordinal, self._next_ordinal + new.height, dtype=np.int64)
        return Changes(
            added,
            removed["ordinal"].to_numpy(),
            unchanged=facts.height - new.height,
            removed_rows=removed,
            added_rows=new.select(pl.Series("ordinal", added), *FACT_SCHEMA),
        )

    def add(self, facts: pl.DataFrame, *, mode: Literal["replace", "extend"] = "replace") -> Changes:
        """Add facts: `preview`, then `apply`."""
        changes = self.preview(facts, mode=mode)
        self.apply(changes)
        return changes

    def apply(self, changes: Changes) -> None:
        """Do what `preview` returned.

        Raises:
            ValueError: the catalogue has changed since. Nothing is changed then.
        """
        if changes.added.size and changes.added[0] != self._next_ordinal:
            raise ValueError(f"the next fact has ordinal {self._next_ordinal}, not {changes.added[0]}")
        self._drop(changes.removed)
        self._append(changes.added_rows)
        self._next_ordinal += changes.added.size

    def remove(self, ordinals: np.ndarray) -> pl.DataFrame:
        """Remove facts and return what they were, as `rows` does.

        Raises:
            ValueError: if an ordinal is not live, in which case nothing is removed.
        """
        removed = self.rows(np.unique(ordinals))
        self._drop(removed["ordinal"].to_numpy())
        return removed

    def find(
        self,
        *,
        fact_ids: list[str] | None = None,
        subject: str | None = None,
        source: str | None = None,
        facts: pl.DataFrame | None = None,
    ) -> Found:
        """Find live facts by exactly one of four names.

        Args:
            fact_ids: 16 hex digits each.
            subject: a subject or alias (compared by `normalise_text`), or a subject_id (compared as it is).
            source: a source, compared as it is.
            facts: a frame in `FACT_SCHEMA`, matched by fact_id; absent ones are named "subject | relation | object".

        Raises:
            ValueError: if not exactly one argument is given.
        """
        given = [name for name in (fact_ids, subject, source, facts) if name is not None]
        if len(given) != 1:
            raise ValueError(f"find takes exactly one of fact_ids, subject, source, facts, not {len(given)}")
        if fact_ids is not None:
            return self._find_ids(pl.Series(fact_ids, dtype=pl.String), pl.Series(fact_ids, dtype=pl.String))
        if facts is not None:
            check_schema(facts)
            names = facts.select(pl.concat_str("subject", "relation", "object", separator=" | ")).to_series()
            return self._find_ids(facts["fact_id"], names)
        live = self._all()
        is_wanted = _has_name(live, subject) if subject is not None else live["source"] == source
        ordinals = live["ordinal"].filter(is_wanted).to_numpy()
        return Found(ordinals, absent=[] if ordinals.size else [str(given[0])])

    def rows(self, ordinals: np.ndarray) -> pl.DataFrame:
        """Return facts by ordinal, in the order given: `ordinal` and the columns of `FACT_SCHEMA`, N rows.

        Raises:
            ValueError: if an ordinal is not live.
        """
        return self.columns_for(ordinals, list(CATALOGUE_SCHEMA))

    def columns_for(self, ordinals: np.ndarray, names: list[str]) -> pl.DataFrame:
        """Return only the named columns of `rows(ordinals)`."""
        segments, positions = self._places(ordinals)
        groups = list(_groups(segments))
        parts = [self._segments[number].select(names)[positions[members]] for number, members in groups]
        if len(parts) < 2:
            return parts[0] if parts else pl.DataFrame(schema=CATALOGUE_SCHEMA).select(names)
        return pl.concat(parts)[np.argsort(np.concatenate([members for _, members in groups]))]

    def where(self, condition: pl.Expr, names: list[str]) -> pl.DataFrame:
        """Return the named columns of the live facts for which a condition on their columns holds."""
        parts = [segment.filter(condition).select(names) for segment in self._segments]
        return pl.concat([pl.DataFrame(schema=CATALOGUE_SCHEMA).select(names), *parts])

    def private_mask(self, ordinals: np.ndarray) -> np.ndarray:
        """Return which of the facts are private: bool [N]."""
        return self.columns_for(ordinals, ["private"])["private"].to_numpy()

    def export(self, path: str | Path) -> None:
        """Write the live facts as a facts file (.parquet, .jsonl or .csv), which `read_facts` reads back equal."""
        write_table(self._all().select(FILE_COLUMNS), path)

    def save(self, path: str | Path) -> None:
        """Write the catalogue to one parquet file, whole or not at all."""
        write_table(self._all(), path, metadata={"next_ordinal": str(self._next_ordinal)})

    @classmethod
    def load(cls, path: str | Path) -> "FactCatalogue":
        """Read a catalogue that `save` wrote.

        Raises:
            ValueError: if the file is damaged or no catalogue.
            OSError: if it cannot be read.
        """
        try:
            facts = pl.read_parquet(path, glob=False)
            metadata = pl.read_parquet_metadata(path)
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{path}: not a readable fact catalogue: {str(error).splitlines()[0]}") from error
        next_ordinal = metadata.get("next_ordinal", "")
        if facts.schema != pl.Schema(CATALOGUE_SCHEMA) or not next_ordinal.isdecimal():
            raise ValueError(f"{path}: not a fact catalogue: columns {', '.join(facts.columns)[:60]!r}")
        catalogue = cls()
        bounded = np.concatenate([[-1], facts["ordinal"].to_numpy(), [int(next_ordinal)]])
        if (np.diff(bounded) <= 0).any():
            raise ValueError(f"{path}: ordinals are not ascending from 0 to below {next_ordinal}")
        if facts["fact_id"].null_count() or facts["fact_id"].n_unique() < facts.height:
            raise ValueError(f"{path}: fact_ids are missing or not unique")
        catalogue._append(facts)
        catalogue._next_ordinal = int(next_ordinal)
        return catalogue

    def _all(self) -> pl.DataFrame:
        """All live facts, ascending by ordinal."""
        return pl.concat([pl.DataFrame(schema=CATALOGUE_SCHEMA), *self._segments])

    def _append(self, facts: pl.DataFrame) -> None:
        """Put facts, ascending by ordinal and above all live ones, into the last segment and new ones."""
        room = SEGMENT - self._segments[-1].height if self._segments else 0
        if 0 < facts.height <= room:
            self._put(len(self._segments) - 1, self._segments[-1].vstack(facts))
        else:
            for start in range(0, facts.height, SEGMENT):
                self._segments.append(pl.DataFrame())
                self._ordinals.append(self._firsts)
                self._put(len(self._segments) - 1, facts[start : start + SEGMENT])
        self._count()

    def _put(self, number: int, segment: pl.DataFrame) -> None:
        """Make `segment` the segment of that number."""
        self._segments[number] = segment.rechunk() if segment.n_chunks() > _MAX_CHUNKS else segment
        self._ordinals[number] = segment["ordinal"].to_numpy()

    def _count(self) -> None:
        """Forget segments that are empty, and count again what is in the others."""
        kept = [number for number, ordinals in enumerate(self._ordinals) if ordinals.size]
        self._segments = [self._segments[number] for number in kept]
        self._ordinals = [self._ordinals[number] for number in kept]
        self._firsts = np.array([ordinals[0] for ordinals in self._ordinals], dtype=np.int64)
        self._num_facts = sum(ordinals.size for ordinals in self._ordinals)

    def _drop(self, ordinals: np.ndarray) -> None:
        segments, positions = self._places(ordinals)
        for number, members in _groups(segments):
            is_kept = np.ones(self._ordinals[number].size, dtype=bool)
            is_kept[positions[members]] = False
            self._put(number, self._segments[number].filter(is_kept))
        if len(segments):
            self._count()

    def _places(self, ordinals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Segment and row in it of live facts: int64 [N] twice.

        Raises:
            ValueError: if an ordinal is not live.
        """
        ordinals = np.asarray(ordinals, dtype=np.int64)
        segments = np.searchsorted(self._firsts, ordinals, side="right") - 1
        positions = np.zeros(ordinals.size, dtype=np.int64)
        is_live = segments >= 0
        for number, members in _groups(segments):
            if number >= 0:
                own = self._ordinals[number]
                found = np.minimum(np.searchsorted(own, ordinals[members]), own.size - 1)
                positions[members], is_live[members] = found, own[found] == ordinals[members]
        if not is_live.all():
            raise ValueError(f"no live fact has ordinal {ordinals[~is_live][0]}")
        return segments, positions

    def _find_ids(self, fact_ids: pl.Series, names: pl.Series) -> Found:
        asked = pl.DataFrame({"fact_id": fact_ids, "name": names}).unique("fact_id", keep="first", maintain_order=True)
        live = self._all().select("fact_id", "ordinal")
        found = asked.join(live, on="fact_id", how="left", maintain_order="left")
        absent = found.filter(pl.col("ordinal").is_null())["name"].to_list()
        return Found(found["ordinal"].drop_nulls().to_numpy(), absent=absent)


def _groups(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct number, ascending, with the places where it stands."""
    order = np.argsort(numbers, kind="stable")
    distinct, begins = np.unique(numbers[order], return_index=True)
    if len(distinct):
        yield from zip(distinct.tolist(), np.split(order, begins[1:]), strict=True)


def _has_name(facts: pl.DataFrame, subject: str) -> pl.Series:
    """Return which facts are about the subject: Boolean [facts]."""
    wanted = normalise_text(subject)
    has_alias = facts["subject_aliases"].list.len() > 0
    aliases = facts.filter(has_alias).select("ordinal", alias="subject_aliases").explode("alias")
    named = aliases.filter(normalise_texts(aliases["alias"]) == wanted)["ordinal"]
    is_named = facts["ordinal"].is_in(named.implode())
    return is_named | (facts["subject_id"] == subject) | (normalise_texts(facts["subject"]) == wanted)


def check_schema(facts: pl.DataFrame) -> None:
    """Raise ValueError unless `facts` is a frame in `FACT_SCHEMA`."""
    if facts.schema != pl.Schema(FACT_SCHEMA):
        raise ValueError(f"not a frame in FACT_SCHEMA (normalise_facts makes one): {', '.join(facts.columns)[:60]!r}")
