"""ParaRel: T-REx facts of 41 relations with paraphrase patterns for 39 of them (MIT, yanaiela/pararel).

In: trex_facts.parquet (relation, subject, object, uuid), patterns.parquet (relation, pattern with [X] and [Y]).
Only patterns that end in [Y] become templates: their continuation is the object.
"""

import re
from pathlib import Path

import polars as pl

from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.properties import property_name
from widedeep_kb.sources.questions import PLACEHOLDER, own_questions, template_frame


def load(folder: Path) -> Corpus:
    """Load facts and statement templates; every fact of a relation with templates is asked for once."""
    raw = pl.read_parquet(folder / "trex_facts.parquet")
    names = {property_id: property_name(property_id) for property_id in raw["relation"].unique().to_list()}
    rows = raw.select("subject", "object", pl.col("relation").replace_strict(names), source=pl.lit("pararel"))
    facts, dropped = checked_facts(rows, name="pararel")
    templates, num_unused = _templates(pl.read_parquet(folder / "patterns.parquet"), names)
    questions = own_questions(facts, template_frame(templates), tags=["pararel"], seed=0)
    return Corpus("pararel", facts, questions, templates, {**dropped, "patterns not ending in the object": num_unused})


def _templates(patterns: pl.DataFrame, names: dict[str, str]) -> tuple[dict[str, list[str]], int]:
    templates: dict[str, list[str]] = {}
    num_unused = 0
    for relation, pattern in patterns.select("relation", "pattern").iter_rows():
        text = re.sub(r"\s+", " ", pattern).strip().rstrip(".").rstrip()
        if not text.endswith(" [Y]"):
            num_unused += 1
            continue
        template = text.removesuffix(" [Y]").rstrip().replace("[X]", PLACEHOLDER)
        group = templates.setdefault(names[relation], [])
        if template not in group:
            group.append(template)
    return templates, num_unused
