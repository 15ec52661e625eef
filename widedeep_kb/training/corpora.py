"""Corpora to training tables: which real facts a reader is trained on, and what is kept out.

In: names of corpora and folders. Out: `FactTable`s and the names that no training fact may use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from widedeep_kb.schema import default_statement, normalise_text, normalise_texts, statement_prefix
from widedeep_kb.sources.corpus import Corpus, unique_property_facts
from widedeep_kb.sources.overlap import surfaces, template_texts
from widedeep_kb.training.fact_table import FactTable

MAX_OBJECT_CHARACTERS = 120


@dataclass(frozen=True)
class KeptOut:
    """Normalised texts that training must not contain.

    Attributes:
        subjects: names and aliases of evaluation subjects.
        relations: relation strings of evaluation facts.
        templates: phrasings of evaluation relations.
    """

    subjects: frozenset[str]
    relations: frozenset[str]
    templates: frozenset[str]


def keep_out(evaluation: Sequence[Corpus], *, subjects_only: Sequence[Corpus] = ()) -> KeptOut:
    """What to keep out of training so that `evaluation` is unseen; of `subjects_only` just the subjects."""
    names = [surfaces(corpus.facts) for corpus in (*evaluation, *subjects_only)]
    return KeptOut(
        subjects=frozenset(pl.concat(names).to_list()) if names else frozenset(),
        relations=frozenset(normalise_text(r) for c in evaluation for r in c.facts["relation"].unique().to_list()),
        templates=frozenset().union(*(template_texts(c.templates) for c in evaluation)) if evaluation else frozenset(),
    )


def split_by_subject(corpus: Corpus, *, seed: int, share: float) -> tuple[Corpus, Corpus]:
    """A corpus in two that share no subject name, `share` of the names in the second; both keep all templates."""
    names = normalise_texts(corpus.facts["subject"])
    chosen = names.unique().sort().sample(fraction=share, shuffle=True, seed=seed)
    is_second = names.is_in(chosen.implode())
    parts = []
    for facts in (corpus.facts.filter(~is_second), corpus.facts.filter(is_second)):
        is_ours = pl.col("fact_id").is_null() | pl.col("fact_id").is_in(facts["fact_id"].implode())
        parts.append(replace(corpus, facts=facts, questions=corpus.questions.filter(is_ours)))
    return parts[0], parts[1]


def training_table(corpus: Corpus, *, seed: int, max_facts: int | None = None, is_unique: bool = True) -> FactTable:
    """A corpus as a training table: facts whose property has one value (others have no single right answer).

    Args:
        corpus: a corpus.
        seed: of the sample.
        max_facts: most facts; whole subjects are sampled.
        is_unique: keep only properties with one value.
    """
    facts = unique_property_facts(corpus) if is_unique else corpus.facts
    facts = facts.filter(pl.col("object").str.len_chars() <= MAX_OBJECT_CHARACTERS)
    if max_facts is not None and facts.height > max_facts:
        subjects = facts["subject_id"].unique().sort().sample(fraction=1.0, shuffle=True, seed=seed)
        order = pl.DataFrame({"subject_id": subjects}).with_row_index("place")
        facts = facts.join(order, on="subject_id").sort("place").head(max_facts).drop("place")
    asked = corpus.questions.drop_nulls("fact_id").join(
        facts.select("fact_id").with_row_index("fact"), on="fact_id", how="inner"
    )
    questions: dict[int, list[str]] = {}
    for fact, text in zip(asked["fact"].to_list(), asked["question"].to_list(), strict=True):
        questions.setdefault(fact, []).append(text)
    rows = facts.select("subject", "relation", "object", "statement").to_dicts()
    return FactTable(
        name=corpus.name,
        subjects=facts["subject"].to_list(),
        relations=facts["relation"].to_list(),
        objects=facts["object"].to_list(),
        prefixes=[fact_prefix(row) for row in rows],
        groups=np.unique(facts["subject_id"].to_numpy(), return_inverse=True)[1].astype(np.int64),
        questions=questions,
        templates=corpus.templates,
    )


def fact_prefix(row: dict) -> str:
    """What the writer reads before the object: the given statement up to it, or the default sentence."""
    return statement_prefix(row) if row["statement"] else default_statement(row["subject"], row["relation"])


def overlap_with_texts(table: FactTable, kept_out: KeptOut) -> dict[str, int]:
    """How many subjects, relations and templates of a table are among the kept out (all 0 once it is clean)."""
    subjects = set(normalise_texts(pl.Series(table.subjects).unique()).to_list())
    relations = {normalise_text(r) for r in set(table.relations)}
    templates = template_texts(table.templates)
    return {
        "subjects": len(subjects & kept_out.subjects),
        "relations": len(relations & kept_out.relations),
        "templates": len(templates & kept_out.templates),
    }
