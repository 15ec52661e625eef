"""A sample of one domain: live facts, and questions about them in three phrasing classes, apart for tuning and test.

In: a `Corpus`. Out: a `DomainSample`. Only questions with one right answer are drawn; no fact is asked for both in the
development and in the test questions, whatever the phrasing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.encoding import MAX_VALUE_TOKENS
from widedeep_kb.phrasings import frames
from widedeep_kb.schema import QUESTION_SCHEMA
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.sources.prepared import sample_subjects
from widedeep_kb.sources.questions import PROPERTY, accepted_answers
from widedeep_kb.studies.insertion import PHRASINGS

_DEV_SHARE = 5  # one askable fact in so many is kept for development


@dataclass(frozen=True)
class QuestionPair:
    """Development and test questions of one class, frames in `QUESTION_SCHEMA`."""

    dev: pl.DataFrame
    test: pl.DataFrame


@dataclass(frozen=True)
class DomainSample:
    """What is loaded and asked.

    Attributes:
        name: of the domain.
        facts: live, in `FACT_SCHEMA`: whole subjects, but for values that no memory takes.
        questions: by phrasing class.
        left_out: numbers of facts and questions not used, by reason.
    """

    name: str
    facts: pl.DataFrame
    questions: dict[str, QuestionPair]
    left_out: dict[str, int]


def draw_domain(
    corpus: Corpus, lm: FrozenLM, *, num_facts: int, num_questions: int, num_dev: int, seed: int
) -> DomainSample:
    """Draw whole subjects, and questions about those of their facts that have one right answer.

    Args:
        corpus: a domain.
        lm: its tokenizer says which values are too long for a memory.
        num_facts: at most so many live facts.
        num_questions: test questions of each phrasing class, fewer where there are no more.
        num_dev: development questions of each phrasing class, likewise.
        seed: of all choices.

    Raises:
        ValueError: no test question can be asked in some phrasing class.
    """
    drawn = sample_subjects(corpus.facts, max_facts=num_facts, seed=seed)
    facts = short_facts(drawn, lm)
    askable = single_answer_facts(facts).sample(fraction=1.0, shuffle=True, seed=seed)
    num_kept = max(1, askable.height // _DEV_SHARE)
    own, left_out = clear_questions(corpus.questions)
    questions = {}
    for phrasing in PHRASINGS:
        parts = []
        for pool, count in ((askable[:num_kept], num_dev), (askable[num_kept:], num_questions)):
            if phrasing == "own":
                parts.append(own_questions_about(pool, own).head(count))
            else:
                parts.append(frame_questions(pool.head(count), split=phrasing, seed=seed))
        if parts[1].is_empty():
            raise ValueError(f"{corpus.name}: no {phrasing} question with one answer among {facts.height} facts")
        questions[phrasing] = QuestionPair(*parts)
    left_out["facts with a long value"] = drawn.height - facts.height
    return DomainSample(corpus.name, facts, questions, left_out)


def short_facts(facts: pl.DataFrame, lm: FrozenLM) -> pl.DataFrame:
    """The facts whose value has at most `MAX_VALUE_TOKENS` tokens."""
    values = facts["object"].unique()
    rows = lm.encode([f" {value}" for value in values.to_list()])
    kept = values.filter(pl.Series([len(row) <= MAX_VALUE_TOKENS for row in rows], dtype=pl.Boolean))
    return facts.filter(pl.col("object").is_in(kept.implode()))


def single_answer_facts(facts: pl.DataFrame) -> pl.DataFrame:
    """The facts that are the only answer for one who knows the subject's name and the relation."""
    clear = accepted_answers(facts).filter(~pl.col("is_ambiguous"))
    return facts.join(clear, on=PROPERTY, how="semi", maintain_order="left")


def clear_questions(questions: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Questions with one right answer that name their subject, and how many are left out because they do not."""
    is_ambiguous = pl.col("tags").list.contains("ambiguous")
    is_unnamed = pl.col("tags").list.contains("unnamed_subject")
    counts = {
        "own questions with several answers": questions.filter(is_ambiguous).height,
        "own questions that do not name the subject": questions.filter(~is_ambiguous & is_unnamed).height,
    }
    return questions.filter(~is_ambiguous & ~is_unnamed), counts


def own_questions_about(facts: pl.DataFrame, questions: pl.DataFrame) -> pl.DataFrame:
    """The first own question of each fact that has one, in the order of the facts."""
    first = questions.drop_nulls("fact_id").unique("fact_id", keep="first", maintain_order=True)
    return facts.select("fact_id").join(first, on="fact_id", maintain_order="left").select(*QUESTION_SCHEMA)


def frame_questions(facts: pl.DataFrame, *, split: str, seed: int) -> pl.DataFrame:
    """Ask for each fact once in a frame drawn from one split; tags are the frame's kind and the relation."""
    rng, choices = random.Random(seed), frames(split)
    rows = []
    for fact in facts.select("fact_id", "subject", "relation", "object", "object_aliases").iter_rows(named=True):
        frame = rng.choice(choices)
        rows.append(
            {
                "question": frame.render(fact["subject"], fact["relation"]),
                "answers": [fact["object"], *fact["object_aliases"]],
                "fact_id": fact["fact_id"],
                "tags": [frame.kind, fact["relation"]],
            }
        )
    return pl.DataFrame(rows, schema=QUESTION_SCHEMA)
