"""FB15k-237: Freebase triples of 237 relations (Freebase CC BY; labels CC0).

In: train, valid and test.parquet (s, r, o as Freebase mids and predicates), entities.parquet (mid, name, label,
aliases). The subject's id is its mid; 78 % of the triples are one of several values of their property. The set has no
questions and no templates.
"""

from pathlib import Path

import polars as pl

from widedeep_kb.sources.corpus import Corpus, checked_facts, no_questions
from widedeep_kb.sources.predicates import by_frequency, readable_predicates


def load(folder: Path) -> Corpus:
    """Load all three splits; `source` tells them apart, `popularity` is the subject's number of triples."""
    splits = [
        pl.read_parquet(folder / f"{split}.parquet").with_columns(source=pl.lit(f"fb15k237/{split}"))
        for split in ("train", "valid", "test")
    ]
    triples = pl.concat(splits)
    names = readable_predicates(by_frequency(triples["r"]))
    entities = _entities(pl.read_parquet(folder / "entities.parquet"))
    subjects = entities.rename({"mid": "s", "name": "subject", "aliases": "subject_aliases"})
    objects = entities.rename({"mid": "o", "name": "object", "aliases": "object_aliases"})
    joined = triples.join(subjects, on="s", maintain_order="left").join(objects, on="o", maintain_order="left")
    rows = joined.select(
        "subject", "object", "subject_aliases", "object_aliases", "source",
        subject_id="s", relation=pl.col("r").replace_strict(names), popularity=pl.len().over("s").cast(pl.Float64),
    )
    facts, dropped = checked_facts(rows, name="fb15k237")
    if triples.height > joined.height:
        dropped["mid without a name"] = triples.height - joined.height
    return Corpus("fb15k237", facts, no_questions(), {}, dropped)


def _entities(raw: pl.DataFrame) -> pl.DataFrame:
    others = pl.concat_list(pl.concat_list("label"), pl.col("aliases").fill_null([])).list.drop_nulls()
    aliases = others.list.unique(maintain_order=True).list.set_difference(pl.concat_list("name"))
    return raw.select("mid", "name", aliases=aliases)
