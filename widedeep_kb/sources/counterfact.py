"""CounterFact: edits to facts, with a made-up new value (MIT).

In: edits_even.parquet (subject, relation_template with {}, target_new, statement_new, exact). Only rows whose statement
is exactly the filled-in template followed by the value are taken; the facts hold the *new*, untrue value.
"""

import re
from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources.corpus import Corpus, checked_facts
from widedeep_kb.sources.questions import PLACEHOLDER, natural_questions

NOMINAL = re.compile(r"^The (?P<noun>.+?) (?:of|used by|for) \{\},? (?:is|was)(?P<rest>.*)$")
POSSESSIVE = re.compile(r"^\{\}'s (?P<noun>.+?) (?:is|are)(?: an?| in)?$")
SPECIAL = {  # templates whose words without the subject make no noun phrase
    "In {}, an official language is": "official language",
    "In {}, the language spoken is": "language spoken",
    "In {}, they understand": "language understood",
    "The law in {} declares the language": "language declared by law",
    "The genre played by {} is": "genre played",
    "The music label representing {} is": "music label",
}


def load(folder: Path) -> Corpus:
    """Load the edits as facts with statements; prompts are both the questions and the templates."""
    raw = pl.read_parquet(folder / "edits_even.parquet")
    exact = raw.filter(pl.col("exact") & pl.col("subject").is_not_null())
    names = {text: relation_of(text) for text in exact["relation_template"].unique().to_list()}
    relation = pl.col("relation_template").replace_strict(names)
    rows = exact.select(
        "subject", "relation_template", "prompt", relation=relation, object=pl.col("target_new").str.strip_chars(),
        statement=pl.col("statement_new"), source=pl.lit("counterfact"),
    )
    facts, dropped = checked_facts(rows.drop("relation_template", "prompt"), name="counterfact")
    if raw.height > exact.height:
        dropped["statement not its template"] = raw.height - exact.height
    asked = rows.select("relation", question="prompt", subject_id=normalise_texts(rows["subject"].str.strip_chars()))
    questions = natural_questions(facts, asked, tag="counterfact")
    questions = questions.with_columns(pl.col("tags").list.concat(pl.lit(["statement"])))
    templates: dict[str, list[str]] = {}
    for text, name in names.items():
        templates.setdefault(name, []).append(text.replace("{}", PLACEHOLDER))
    return Corpus("counterfact", facts, questions, {name: sorted(group) for name, group in templates.items()}, dropped)


def relation_of(template: str) -> str:
    """Name the relation of a statement template: "The mother tongue of {} is" -> "mother tongue", else its words."""
    if template in SPECIAL:
        return SPECIAL[template]
    if match := NOMINAL.match(template):
        return f"{match['noun']} {match['rest'].strip(' ,')}".strip()
    if match := POSSESSIVE.match(template):
        return match["noun"]
    return " ".join(template.replace("{}", " ").replace(",", " ").split())
