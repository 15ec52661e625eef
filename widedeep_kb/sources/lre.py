"""LRE relations: facts of 47 relations with prompt templates (MIT, evandez/relations).

In: facts.parquet (category, relation, subject, object), relations.parquet (relation, prompt_templates,
prompt_templates_zs, with {}). The category `bias` holds stereotypes, not facts, and is left out.
"""

from pathlib import Path

import polars as pl

from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.questions import PLACEHOLDER, own_questions, template_frame

LEFT_OUT = "bias"
NAMES: dict[str, str] = {
    "fruit inside color": "colour inside", "fruit outside color": "colour outside", "object superclass": "superclass",
    "substance phase of matter": "phase of matter", "task person type": "person suited to it",
    "task done by tool": "tool used for it", "word sentiment": "sentiment", "work location": "typical workplace",
    "city in country": "country", "company CEO": "CEO", "company hq": "headquarters city",
    "country capital city": "capital city", "country currency": "official currency",
    "country language": "primary language", "country largest city": "largest city",
    "food from country": "country of origin", "landmark in country": "country", "landmark on continent": "continent",
    "person lead singer of band": "band fronted", "person father": "father", "person mother": "mother",
    "person native language": "native language", "person occupation": "occupation",
    "person plays instrument": "instrument played", "person sport position": "sport position",
    "plays pro sport": "professional sport", "person university": "university", "pokemon evolution": "evolution",
    "president birth year": "year of birth", "president election year": "year of election",
    "product by company": "company behind it", "star constellation name": "constellation",
    "superhero archnemesis": "archnemesis", "superhero person": "secret identity", "adjective antonym": "antonym",
    "adjective comparative": "comparative form", "adjective superlative": "superlative form",
    "verb past tense": "past tense", "word first letter": "first letter", "word last letter": "last letter",
}


def load(folder: Path) -> Corpus:
    """Load facts and templates (all of them statements to complete); every fact is asked for once.

    Raises:
        ValueError: if a relation has no readable name here.
    """
    raw = pl.read_parquet(folder / "facts.parquet")
    kept = raw.filter(pl.col("category") != LEFT_OUT)
    unknown = sorted(set(kept["relation"].unique()) - set(NAMES))
    if unknown:
        raise ValueError(f"lre: no readable name for relation {unknown[0]!r}")
    relation = pl.col("relation").replace_strict(NAMES)
    rows = kept.select("subject", "object", relation=relation, source=pl.lit("lre"))
    facts, dropped = checked_facts(rows, name="lre")
    if raw.height > kept.height:
        dropped["category bias"] = raw.height - kept.height
    templates = _templates(pl.read_parquet(folder / "relations.parquet"))
    questions = own_questions(facts, template_frame(templates), tags=["lre"], seed=0)
    return Corpus("lre", facts, questions, templates, dropped)


def _templates(relations: pl.DataFrame) -> dict[str, list[str]]:
    kept = relations.filter(pl.col("category") != LEFT_OUT)
    templates: dict[str, list[str]] = {}
    for relation, plain, zero_shot in kept.select("relation", "prompt_templates", "prompt_templates_zs").iter_rows():
        group = templates.setdefault(NAMES[relation], [])
        group.extend(text.replace("{}", PLACEHOLDER) for text in [*plain, *zero_shot])
    return {relation: list(dict.fromkeys(group)) for relation, group in templates.items()}
