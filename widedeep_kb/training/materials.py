"""The materials of a reader's training in one file set: tables, names kept out, validation chunks.

`studies.reader_materials.prepare_materials` reads the corpora (needs polars and the data sets); `load_materials` reads
what it wrote, also on a machine that has neither.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.fact_table import FactTable, load_tables, save_tables

TABLES_FILE = "tables.jsonl.gz"
KEPT_OUT_FILE = "kept_out.json.gz"


@dataclass(frozen=True)
class Materials:
    """What a reader is trained and validated on."""

    tables: tuple[FactTable, ...]
    kept_out_subjects: frozenset[str]
    kept_out_relations: frozenset[str]
    validation: dict[str, Chunk]


def save_materials(materials: Materials, folder: Path) -> None:
    """Write materials into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tables(list(materials.tables), folder / TABLES_FILE)
    kept_out = {"subjects": sorted(materials.kept_out_subjects), "relations": sorted(materials.kept_out_relations)}
    with gzip.open(folder / KEPT_OUT_FILE, "wt", encoding="utf-8") as file:
        json.dump(kept_out, file, ensure_ascii=False)
    for name, chunk in materials.validation.items():
        chunk.save(folder / f"{name}.npz")


def load_materials(folder: Path) -> Materials:
    """Read materials written by `save_materials`.

    Raises:
        ValueError: a file is missing.
    """
    for name in (TABLES_FILE, KEPT_OUT_FILE):
        if not (folder / name).is_file():
            raise ValueError(f"{str(folder)!r} holds no training materials: {name} is missing")
    with gzip.open(folder / KEPT_OUT_FILE, "rt", encoding="utf-8") as file:
        kept_out = json.load(file)
    return Materials(
        tables=tuple(load_tables(folder / TABLES_FILE)),
        kept_out_subjects=frozenset(kept_out["subjects"]),
        kept_out_relations=frozenset(kept_out["relations"]),
        validation={path.stem: Chunk.load(path) for path in sorted(folder.glob("*.npz"))},
    )
