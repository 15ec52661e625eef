"""EntityQuestions: one-fact Wikidata questions of 24 relations (MIT, princeton-nlp/EntityQuestions).

In: train.parquet and dev.parquet (relation, subject, question, answers), relation_query_templates.json. There are no
entity ids: namesakes are one subject, and their questions accept the answers of all.
"""

import json
from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.properties import property_name
from widedeep_kb.sources.questions import PLACEHOLDER, natural_questions


def load(folder: Path) -> Corpus:
    """Load the train and dev splits; `source` tells them apart."""
    splits = [
        pl.read_parquet(folder / f"{split}.parquet").with_columns(source=pl.lit(f"entityquestions/{split}"))
        for split in ("train", "dev")
    ]
    raw = pl.concat(splits)
    property_ids = raw["relation"].unique().to_list()
    names = {property_id: property_name(property_id) for property_id in property_ids}
    raw = raw.with_columns(pl.col("relation").replace_strict(names), pl.col("subject").str.strip_chars())
    rows = raw.explode("answers").select("subject", "relation", "source", object="answers")
    facts, dropped = checked_facts(rows, name="entityquestions")
    asked = raw.select("question", "relation", subject_id=normalise_texts(raw["subject"]))
    questions = natural_questions(facts, asked, tag="entityquestions")
    templates = _templates(folder / "relation_query_templates.json", names)
    return Corpus("entityquestions", facts, questions, templates, dropped)


def _templates(path: Path, names: dict[str, str]) -> dict[str, list[str]]:
    templates: dict[str, list[str]] = {}
    for key, text in json.loads(path.read_text(encoding="utf-8")).items():
        property_id = key.removesuffix("_similar")
        if property_id in names:
            templates.setdefault(names[property_id], []).append(text.replace("[X]", PLACEHOLDER))
    return templates
