"""SimpleQuestions, test split with names: questions written by people about one Freebase triple each (CC BY 3.0).

In: simplequestions_test_named.parquet (question, subject, predicate, object). There are no entity ids: namesakes are
one subject. The questions, with the subject's name taken out, are the templates.
"""

from pathlib import Path

import polars as pl

from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources.corpus import Corpus, checked_facts, usable_rows
from widedeep_kb.sources.predicates import by_frequency, readable_predicates
from widedeep_kb.sources.questions import natural_questions, templates_from_questions

MAX_TEMPLATES = 50


def load(folder: Path) -> Corpus:
    """Load facts, questions (any value of the asked property is accepted) and templates made of the questions."""
    raw = pl.read_parquet(folder / "simplequestions_test_named.parquet")
    names = readable_predicates(by_frequency(raw["predicate"]))
    raw = raw.with_columns(pl.col("predicate").replace_strict(names).alias("relation"))
    usable, dropped = usable_rows(raw.select("question", "subject", "relation", "object"))
    rows = usable.select("subject", "relation", "object", source=pl.lit("simplequestions"))
    facts, _ = checked_facts(rows, name="simplequestions")
    asked = usable.with_columns(pl.col("question").str.strip_chars(), subject_id=normalise_texts(usable["subject"]))
    questions = natural_questions(facts, asked.select("question", "subject_id", "relation"), tag="simplequestions")
    templates = templates_from_questions(asked, max_templates=MAX_TEMPLATES)
    return Corpus("simplequestions", facts, questions, templates, dropped)
