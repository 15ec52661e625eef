"""What a memory holds: facts, their rows and the exact index, kept in step with each other.

In: checked facts and the rows the writer made of them. Out: for raw texts, the rows of the facts they are about.
A change either happens in all parts or in none of them.

Letters: B texts, C places for facts of a text, R rows of a text, D numbers in a row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from widedeep_kb.facts import Changes, FactCatalogue, check_schema
from widedeep_kb.memory.cached_rows import load_table, within_budget
from widedeep_kb.memory.fact_ids import FactIds
from widedeep_kb.memory.guessing import FILE_NAME as NAMES_FILE
from widedeep_kb.memory.guessing import NameGuesser, add_guesses
from widedeep_kb.memory.hopping import Hop, add_hops, find_hops
from widedeep_kb.memory.interrupts import uninterrupted
from widedeep_kb.memory.narrowing import narrow
from widedeep_kb.memory.packed import RowCodec, codec_for, make_table
from widedeep_kb.memory.recalled import Recall, RowPlaces
from widedeep_kb.memory.relation_names import RelationNames
from widedeep_kb.memory.relations import WordVectors
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.memory.rows import expand_rows
from widedeep_kb.memory.validity import IS_DATED, VALIDITY_COLUMNS, Validity

ROWS_FILE = "rows.safetensors"
CATALOGUE_FILE = "facts.parquet"


class FactStore:
    """Catalogue, exact index and wide table of one memory.

    Recalling and changing may go on in different threads: each holds `lock` while it is at work.

    Args:
        row_width: D.
        budget: C, most facts brought for one text.
        word_vectors: for relations when a subject has more facts than places.
        device: where the rows are kept.
        row_format: how rows are stored: a name in `config.ROW_FORMATS`.
        codec: of a format that is not of floats (see `packed.codec_for`).
        gpu_row_bytes: rows that would take more than this of the GPU are kept in host memory, and this much of them
            in a cache on the GPU; None = all on `device`.

    Raises:
        ValueError: `gpu_row_bytes` without a GPU.
    """

    def __init__(
        self,
        row_width: int,
        *,
        budget: int = 32,
        word_vectors: WordVectors,
        device: torch.device | str = "cpu",
        row_format: str = "fp16",
        codec: RowCodec | None = None,
        gpu_row_bytes: int | None = None,
    ) -> None:
        self.lock, self.word_vectors = threading.RLock(), word_vectors
        self.catalogue = FactCatalogue()
        self.retriever = Retriever(budget, word_vectors=word_vectors)
        self.table = make_table(row_format, row_width, codec=codec, device=device)
        self.gpu_row_bytes = gpu_row_bytes
        self.table = within_budget(self.table, capacity=self.table.capacity, gpu_row_bytes=gpu_row_bytes)
        self._guesser: NameGuesser | None = None
        self._validity: Validity | None = None
        self._fact_ids: FactIds | None = None
        self._relation_names: RelationNames | None = None
        self.first_rows = np.zeros(0, dtype=np.int64)
        self.num_rows = np.zeros(0, dtype=np.int64)

    def __len__(self) -> int:
        """Live facts."""
        return len(self.catalogue)

    def preview(self, facts: pl.DataFrame, *, mode: Literal["replace", "extend"] = "replace") -> Changes:
        """What a write would do (see `FactCatalogue.preview`); only facts of the same subjects are gone through.

        Raises:
            ValueError: another mode or schema, or a fact_id given twice.
        """
        check_schema(facts)
        among = self.retriever.ordinals_of(facts["subject_id"].to_list())
        return self.catalogue.preview(facts, mode=mode, among=among)

    def change(self, changes: Changes, rows: Tensor, *, num_rows: np.ndarray) -> None:
        """Add facts with their rows, findable, and drop what they replace; whole or not at all.

        Args:
            changes: from `preview`, with nothing changed in between; n facts are added.
            rows: [sum(num_rows), D], of the added facts, fact after fact.
            num_rows: int64 [n].

        Raises:
            ValueError: a subject has no word, or the rows do not fit the table. Nothing is changed then.
        """
        added, new = changes.added, changes.added_rows
        rows = self.table.storable(rows, num_rows=int(num_rows.sum()))
        with self.lock, uninterrupted():
            freed = expand_rows(self.first_rows[changes.removed], self.num_rows[changes.removed])
            capacity = self.table.capacity_for(num_rows, freed=freed)
            self.table = within_budget(self.table, capacity=capacity, gpu_row_bytes=self.gpu_row_bytes)
            self.table.grow(capacity)
            self.retriever.add(
                added,
                subjects=new["subject"].to_list(),
                aliases=new["subject_aliases"].to_list(),
                subject_ids=new["subject_id"].to_list(),
                relations=new["relation"].to_list(),
            )
            self.catalogue.apply(changes)
            for part in self._followers:
                part.add(changes.added_rows)
                part.remove(changes.removed_rows)
            self._forget_rows(changes.removed)
            self._put_rows(added, rows, num_rows=num_rows)

    def erase(self, ordinals: np.ndarray) -> pl.DataFrame:
        """Remove facts with their rows, optimizer state and keys; returns what they were."""
        with self.lock, uninterrupted():
            removed = self.catalogue.remove(ordinals)
            for part in self._followers:
                part.remove(removed)
            self._forget_rows(np.unique(ordinals))
        return removed

    def rebuild_index(self) -> None:
        """Make the index anew from the live facts, as if no other had ever been there; recalls go on meanwhile.

        Deleting takes a fact's keys out, but what is shared keeps traces of it: numbers that it left free, cells and
        weights that it had a part in. The caller makes no change meanwhile.
        """
        ordinals = self.catalogue.alive()
        columns = self.catalogue.columns_for(ordinals, ["subject", "subject_aliases", "subject_id", "relation"])
        made = Retriever(self.retriever.budget, word_vectors=self.word_vectors)
        subjects, aliases, subject_ids, relations = (column.to_list() for column in columns.iter_columns())
        made.add(ordinals, subjects=subjects, aliases=aliases, subject_ids=subject_ids, relations=relations)
        with self.lock:
            self.retriever, self._guesser = made, None

    def recall(
        self,
        texts: Sequence[str] | Sequence[Sequence[str]],
        *,
        is_ahead: bool = False,
        use_semantic: bool = False,
        hops: int = 1,
        as_of: date | None = None,
    ) -> Recall:
        """The rows of the facts that raw texts are about, but for those that a relation named in full rules out.

        Args:
            texts: B; or B lists of the turns of a conversation, oldest first.
            is_ahead: the caller will wait for `Recall.pending` before it uses the rows.
            use_semantic: guess the name that a text means where exact keys find none.
            hops: 2 = bring also the facts of objects, where a text takes two facts (see `hopping`).
            as_of: bring no facts but those that hold on this day; None: see `Validity`.

        Raises:
            ValueError: other hops.
        """
        if hops not in (1, 2):
            raise ValueError(f"facts of 1 or 2 hops are recalled at once, got {hops}")
        with self.lock:
            excluded = self.validity.excluded(as_of, self._facts_of_subjects)
            hits = self._lookup(texts, use_semantic=use_semantic, excluded=excluded)
            found = self._hops(texts, hits, excluded=excluded) if hops > 1 else ()
            hits = narrow(hits, self.retriever.namings_of(hits.ordinals))
            hits = add_hops(hits, found) if any(found) else hits
            with self.table.ahead() as pending:
                rows, ids, facts = self.rows_of(hits.ordinals)
            catalogue = self.catalogue.frozen()
        if pending and not is_ahead:
            pending = pending.wait(rows)
        is_hit = (hits.ordinals[:, :, None] == facts[:, None, :]) & (facts[:, None, :] >= 0)  # [B, C, R]
        weights = torch.from_numpy(np.where(is_hit, hits.weights[:, :, None], 0.0).max(axis=1, initial=0.0)).float()
        return Recall(rows, weights.to(rows.device), ids, facts, hits, catalogue, pending, tuple(map(tuple, found)))

    def names_relation(self, texts: Sequence[str] | Sequence[Sequence[str]]) -> np.ndarray:
        """bool [B]: a text, or one of its turns, holds all content words of the relation of a live, public fact."""
        turns = [[text] if isinstance(text, str) else list(text) for text in texts]
        sizes = [len(own) for own in turns]
        with self.lock:
            named = self.relation_names.named_in([turn for own in turns for turn in own])
        ends = np.cumsum(sizes, dtype=np.int64)
        return np.array([named[end - size : end].any() for end, size in zip(ends, sizes, strict=True)], dtype=bool)

    def hits(self, texts: Sequence[str], *, as_of: date | None = None) -> Hits:
        """What `recall` finds for B texts, without the rows."""
        with self.lock:
            excluded = self.validity.excluded(as_of, self._facts_of_subjects)
            hits = self.retriever.lookup(texts, excluded=excluded)
            return narrow(hits, self.retriever.namings_of(hits.ordinals))

    def lookup_keys(
        self, subjects: Sequence[str], relations: Sequence[str | None], *, as_of: date | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Facts by exact key: nothing is weighed, nothing is left out.

        Args:
            subjects: Q names, each a subject or alias as a whole (any case).
            relations: Q relations as they were written; None: all of the subject's.
            as_of: only facts that hold on this day; None: all.

        Returns:
            int64 [F] index of the key and int64 [F] ordinal of each fact, key after key.
        """
        with self.lock:
            rows, ordinals = self.retriever.facts_named(subjects, relations)
            if as_of is not None:
                excluded = self.validity.excluded(as_of, self._facts_of_subjects)
                is_kept = ~np.isin(ordinals, excluded)
                rows, ordinals = rows[is_kept], ordinals[is_kept]
        return rows, ordinals

    def hops(
        self, texts: Sequence[str] | Sequence[Sequence[str]], *, use_semantic: bool = False, as_of: date | None = None
    ) -> tuple[list[list[Hop]], FactCatalogue]:
        """The hops of each text, as `recall` finds them, and the facts as they are; brings no row."""
        with self.lock:
            excluded = self.validity.excluded(as_of, self._facts_of_subjects)
            hits = self._lookup(texts, use_semantic=use_semantic, excluded=excluded)
            return self._hops(texts, hits, excluded=excluded), self.catalogue.frozen()

    def _hops(
        self, texts: Sequence[str] | Sequence[Sequence[str]], hits: Hits, *, excluded: np.ndarray
    ) -> list[list[Hop]]:
        """The hops of each text, or of the last turn of a conversation."""
        asked = [text if isinstance(text, str) else " ".join(text[-1:]) for text in texts]
        return find_hops(asked, hits, retriever=self.retriever, catalogue=self.catalogue, excluded=excluded)

    def _lookup(
        self, texts: Sequence[str] | Sequence[Sequence[str]], *, use_semantic: bool, excluded: np.ndarray
    ) -> Hits:
        """What the index returns for texts, with guesses where they are asked for."""
        hits = self.retriever.lookup(texts, excluded=excluded)
        if use_semantic and (hits.ordinals < 0).all(axis=1).any():
            asked = [text if isinstance(text, str) else " ".join(text) for text in texts]
            hits = add_guesses(hits, asked, guesser=self.guesser, retriever=self.retriever, excluded=excluded)
        return hits

    def rows_of(self, ordinals: np.ndarray) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Rows [B, R, D], their ids [B, R] and facts [B, R] for facts [B, C] (-1 = none)."""
        ids, facts = self.row_ids_of(ordinals)
        out = torch.zeros(*ids.shape, self.table.embedding_dim, device=self.table.weight.device)
        places = np.flatnonzero(ids >= 0)
        if places.size:  # nothing below the look-up waits for it
            row_ids, targets = (torch.from_numpy(a).to(out.device) for a in (ids.reshape(-1)[places], places))
            out.view(-1, self.table.embedding_dim).index_copy_(0, targets, self.table.lookup_rows(row_ids))
        return out, ids, facts

    @property
    def guesser(self) -> NameGuesser:
        """The names of the live facts, for guesses; made when first asked for, and kept in step from then on."""
        if self._guesser is None:
            made = NameGuesser(device=self._names_device)
            made.add(self.catalogue.columns_for(self.catalogue.alive(), ["subject", "subject_aliases"]))
            self._guesser = made
        return self._guesser

    @property
    def validity(self) -> Validity:
        """The dated facts; made when first asked for, and kept in step from then on."""
        if self._validity is None:
            self._validity = Validity(self.catalogue.where(IS_DATED, VALIDITY_COLUMNS))
        return self._validity

    @property
    def fact_ids(self) -> FactIds:
        """fact_ids by ordinal; made when first asked for, and kept in step from then on."""
        if self._fact_ids is None:
            self._fact_ids = FactIds(self.catalogue.where(pl.lit(True), ["ordinal", "fact_id"]))  # noqa: FBT003 - a column
        return self._fact_ids

    @property
    def relation_names(self) -> RelationNames:
        """The relations of public facts; made when first asked for, and kept in step from then on."""
        if self._relation_names is None:
            self._relation_names = RelationNames(self.catalogue.where(~pl.col("private"), ["relation", "private"]))
        return self._relation_names

    @property
    def _followers(self) -> list[NameGuesser | Validity | FactIds | RelationNames]:
        """What is kept in step with the facts, once it has been made."""
        parts = (self._guesser, self._validity, self._fact_ids, self._relation_names)
        return [part for part in parts if part is not None]

    def _facts_of_subjects(self, subject_ids: list[str]) -> pl.DataFrame:
        return self.catalogue.columns_for(self.retriever.ordinals_of(subject_ids), VALIDITY_COLUMNS)

    @property
    def places(self) -> RowPlaces:
        """Where the facts' rows are now."""
        return RowPlaces(self.first_rows, self.num_rows)

    def row_ids_of(self, ordinals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row ids [B, R] and the fact of each [B, R] for facts [B, C]; -1 fills what is empty."""
        return self.places.row_ids_of(ordinals)

    def save(self, folder: Path, *, use_semantic: bool = False) -> None:
        """Write catalogue, index and rows into an empty folder; the names' vectors too if `use_semantic`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.catalogue.save(folder / CATALOGUE_FILE)
        self.retriever.save(folder)
        if use_semantic:
            self.guesser.save(folder)
        used = self.catalogue.next_ordinal
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.table.state_tensors().items()}
        tensors["first_rows"] = torch.from_numpy(self.first_rows[:used].copy())
        tensors["num_rows"] = torch.from_numpy(self.num_rows[:used].copy())
        save_file(tensors, folder / ROWS_FILE, metadata={"row_format": self.table.row_format})

    @classmethod
    def load(
        cls,
        folder: Path,
        row_width: int,
        *,
        word_vectors: WordVectors,
        device: torch.device | str = "cpu",
        gpu_row_bytes: int | None = None,
        codec_of: Callable[[str], RowCodec | None] | None = None,
    ) -> FactStore:
        """Read what `save` wrote; rows on the CPU are mapped from the file, privately.

        `codec_of` tells the codec of a row format; default: `packed.codec_for`, which cannot read compact rows alone.

        Raises:
            ValueError: a file is missing, truncated or does not fit the others, or `gpu_row_bytes` without a GPU.
        """
        store = cls.__new__(cls)
        store.lock, store.word_vectors = threading.RLock(), word_vectors
        try:
            with safe_open(folder / ROWS_FILE, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                row_format = (file.metadata() or {}).get("row_format", "fp16")  # once all rows were floats
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{folder / ROWS_FILE}: {str(error).splitlines()[0]}") from error
        store.first_rows = tensors.pop("first_rows").numpy().copy()
        store.num_rows = tensors.pop("num_rows").numpy().copy()
        store.gpu_row_bytes = gpu_row_bytes
        codec = codec_of(row_format) if codec_of else codec_for(row_format, row_width)
        store.table = load_table(tensors, row_width, device=device, gpu_row_bytes=gpu_row_bytes, codec=codec)
        if not (folder / CATALOGUE_FILE).is_file():
            raise ValueError(f"{folder / CATALOGUE_FILE} is missing")
        store.catalogue = FactCatalogue.load(folder / CATALOGUE_FILE)
        store.retriever = Retriever.load(folder, word_vectors=word_vectors)
        store._guesser = store._validity = store._fact_ids = store._relation_names = None
        if (folder / NAMES_FILE).is_file():
            store._guesser = NameGuesser.load(folder, device=store._names_device)
        if store.catalogue.next_ordinal != len(store.first_rows):
            raise ValueError(
                f"{folder}: rows for {len(store.first_rows)} facts, catalogue of {store.catalogue.next_ordinal}"
            )
        return store

    @property
    def _names_device(self) -> str | None:
        """Where names are searched: on a GPU only where the rows are, and faiss was built for it."""
        return None if self.table.weight.is_cuda else "cpu"

    def _put_rows(self, ordinals: np.ndarray, rows: Tensor, *, num_rows: np.ndarray) -> None:
        if not len(ordinals):
            return
        first = self.table.allocate(num_rows)
        ids = torch.from_numpy(expand_rows(first, num_rows)).to(self.table.weight.device)
        self.table.write(ids, rows)
        size = int(ordinals.max()) + 1
        if size > len(self.first_rows):
            extra = np.full(max(size, 2 * len(self.first_rows)) - len(self.first_rows), -1, dtype=np.int64)
            self.first_rows = np.concatenate([self.first_rows, extra])
            self.num_rows = np.concatenate([self.num_rows, np.zeros_like(extra)])
        self.first_rows[ordinals], self.num_rows[ordinals] = first, num_rows

    def _forget_rows(self, ordinals: np.ndarray) -> None:
        if not len(ordinals):
            return
        self.retriever.remove(ordinals)
        ids = expand_rows(self.first_rows[ordinals], self.num_rows[ordinals])
        self.table.erase(torch.from_numpy(ids).to(self.table.weight.device))
        self.first_rows[ordinals], self.num_rows[ordinals] = -1, 0
