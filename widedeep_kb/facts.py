"""The catalogue of live facts: which facts a memory holds, and the ordinal that stands for each of them.

In: checked frames in `FACT_SCHEMA`. Out: int64 ordinals. An ordinal is dealt once, in order, and never again in the
life of a catalogue, so that an index or a table may keep it without asking whether it still means the same fact.

N: facts asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from widedeep_kb.schema import FACT_SCHEMA, FILE_COLUMNS, normalise_text, normalise_texts
from widedeep_kb.tables import write_table

PROPERTY = ["subject_id", "relation"]
CATALOGUE_SCHEMA: dict[str, pl.DataType] = {"ordinal": pl.Int64(), **FACT_SCHEMA}
MAX_CHUNKS = 32


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
        self._facts = pl.DataFrame(schema=CATALOGUE_SCHEMA)  # ascending by ordinal
        self._ordinals = np.zeros(0, dtype=np.int64)  # the same ordinals, for binary search
        self._next_ordinal = 0

    def __len__(self) -> int:
        return self._facts.height

    @property
    def next_ordinal(self) -> int:
        """The ordinal of the next fact to come: one more than the highest ever dealt."""
        return self._next_ordinal

    def alive(self) -> np.ndarray:
        """Return the ordinals of all live facts: int64 [len(self)], ascending."""
        return self._ordinals.copy()

    def preview(self, facts: pl.DataFrame, *, mode: Literal["replace", "extend"] = "replace") -> Changes:
        """Return what `add` would do, and change nothing.

        Args:
            facts: a frame in `FACT_SCHEMA`, as `read_facts` or `normalise_facts` returns it.
            mode: "replace" removes the live values of every property in `facts` that are not in `facts`; "extend"
                keeps them. A fact that is live already but differs in another column is removed and added anew.

        Raises:
            ValueError: for another mode, another schema or a fact_id given twice.
        """
        _check_schema(facts)
        if facts["fact_id"].n_unique() < facts.height:
            twice = facts["fact_id"].filter(facts["fact_id"].is_duplicated())[0]
            raise ValueError(f"fact_id {twice} is given twice")
        if mode not in ("replace", "extend"):
            raise ValueError(f"mode {mode!r} is neither 'replace' nor 'extend'")
        by = PROPERTY if mode == "replace" else ["fact_id"]
        touched = self._facts.join(facts, on=by, how="semi", maintain_order="left")
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
        self._facts = self._facts.vstack(changes.added_rows)
        if self._facts.n_chunks() > MAX_CHUNKS:
            self._facts = self._facts.rechunk()
        self._ordinals = np.concatenate([self._ordinals, changes.added])
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
            _check_schema(facts)
            names = facts.select(pl.concat_str("subject", "relation", "object", separator=" | ")).to_series()
            return self._find_ids(facts["fact_id"], names)
        is_wanted = self._has_name(subject) if subject is not None else self._facts["source"] == source
        ordinals = self._facts["ordinal"].filter(is_wanted).to_numpy()
        return Found(ordinals, absent=[] if ordinals.size else [str(given[0])])

    def rows(self, ordinals: np.ndarray) -> pl.DataFrame:
        """Return facts by ordinal, in the order given: `ordinal` and the columns of `FACT_SCHEMA`, N rows.

        Raises:
            ValueError: if an ordinal is not live.
        """
        return self._facts[self._positions(ordinals)]

    def columns_for(self, ordinals: np.ndarray, names: list[str]) -> pl.DataFrame:
        """Return only the named columns of `rows(ordinals)`."""
        return self._facts.select(names)[self._positions(ordinals)]

    def private_mask(self, ordinals: np.ndarray) -> np.ndarray:
        """Return which of the facts are private: bool [N]."""
        return self.columns_for(ordinals, ["private"])["private"].to_numpy()

    def export(self, path: str | Path) -> None:
        """Write the live facts as a facts file (.parquet, .jsonl or .csv), which `read_facts` reads back equal."""
        write_table(self._facts.select(FILE_COLUMNS), path)

    def save(self, path: str | Path) -> None:
        """Write the catalogue to one parquet file, whole or not at all."""
        write_table(self._facts, path, metadata={"next_ordinal": str(self._next_ordinal)})

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
        catalogue._facts, catalogue._next_ordinal = facts, int(next_ordinal)
        catalogue._ordinals = facts["ordinal"].to_numpy()
        bounded = np.concatenate([[-1], catalogue._ordinals, [catalogue._next_ordinal]])
        if (np.diff(bounded) <= 0).any():
            raise ValueError(f"{path}: ordinals are not ascending from 0 to below {next_ordinal}")
        if facts["fact_id"].null_count() or facts["fact_id"].n_unique() < facts.height:
            raise ValueError(f"{path}: fact_ids are missing or not unique")
        return catalogue

    def _drop(self, ordinals: np.ndarray) -> None:
        if ordinals.size:
            is_kept = np.ones(self._ordinals.size, dtype=bool)
            is_kept[self._positions(ordinals)] = False
            self._facts = self._facts.filter(is_kept)
            self._ordinals = self._ordinals[is_kept]

    def _positions(self, ordinals: np.ndarray) -> np.ndarray:
        ordinals = np.asarray(ordinals, dtype=np.int64)
        positions = np.searchsorted(self._ordinals, ordinals)
        is_live = positions < self._ordinals.size
        is_live[is_live] = self._ordinals[positions[is_live]] == ordinals[is_live]
        if not is_live.all():
            raise ValueError(f"no live fact has ordinal {ordinals[~is_live][0]}")
        return positions

    def _find_ids(self, fact_ids: pl.Series, names: pl.Series) -> Found:
        asked = pl.DataFrame({"fact_id": fact_ids, "name": names}).unique("fact_id", keep="first", maintain_order=True)
        live = self._facts.select("fact_id", "ordinal")
        found = asked.join(live, on="fact_id", how="left", maintain_order="left")
        absent = found.filter(pl.col("ordinal").is_null())["name"].to_list()
        return Found(found["ordinal"].drop_nulls().to_numpy(), absent=absent)

    def _has_name(self, subject: str) -> pl.Series:
        """Return which live facts are about the subject: Boolean [len(self)]."""
        facts, wanted = self._facts, normalise_text(subject)
        has_alias = facts["subject_aliases"].list.len() > 0
        aliases = facts.filter(has_alias).select("ordinal", alias="subject_aliases").explode("alias")
        named = aliases.filter(normalise_texts(aliases["alias"]) == wanted)["ordinal"]
        is_named = facts["ordinal"].is_in(named.implode())
        return is_named | (facts["subject_id"] == subject) | (normalise_texts(facts["subject"]) == wanted)


def _check_schema(facts: pl.DataFrame) -> None:
    if facts.schema != pl.Schema(FACT_SCHEMA):
        raise ValueError(f"not a frame in FACT_SCHEMA (normalise_facts makes one): {', '.join(facts.columns)[:60]!r}")
