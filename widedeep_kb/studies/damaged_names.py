"""Questions whose subject is named as people name it: misspelt, without its accents, shortened, by another alias.

In: a domain's facts and questions. Out: questions with damaged names, each with the subject that is meant, to measure
what exact keys miss and what the semantic fallback guesses.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from widedeep_kb.memory.spelling import plain_words
from widedeep_kb.phrasings.corruption import misspell
from widedeep_kb.sources.corpus import Corpus
from widedeep_kb.studies.domains import clear_questions, frame_questions, own_questions_about, single_answer_facts

Damage = Callable[[str, random.Random], str | None]
"""A name -> the name as a user would type it, or None where it cannot be damaged so."""
_WORD = re.compile(r"[^\W\d_]{4,}")
_LATIN = re.compile(r"[A-Za-zÀ-ÿ' -]{4,}")


class Asked(NamedTuple):
    """A question, the subject it is about (None: none that is stored) and its right answers."""

    text: str
    subject_id: str | None
    answers: list[str]


def misspelt(name: str, rng: random.Random) -> str | None:
    """One typing error in a word of four letters or more."""
    found = list(_WORD.finditer(name))
    if not found:
        return None
    word = rng.choice(found)
    return name[: word.start()] + misspell(word.group(), rng) + name[word.end() :]


def without_marks(name: str, _rng: random.Random) -> str:
    """No accents."""
    return "".join(char for char in unicodedata.normalize("NFD", name) if not unicodedata.combining(char))


def shortened(name: str, rng: random.Random) -> str | None:
    """One word left out."""
    words = name.split()
    if len(words) < 2:
        return None
    words.pop(rng.randrange(len(words)))
    return " ".join(words)


DAMAGES: dict[str, Damage] = {
    "one typing error": misspelt,
    "two typing errors": lambda name, rng: misspelt(misspelt(name, rng) or "", rng),
    "no accents": without_marks,
    "a word left out": shortened,
}


def questions_about(facts: pl.DataFrame, corpus: Corpus, *, seed: int) -> pl.DataFrame:
    """One question for each subject with a fact that has one right answer: half in frames, half in own words."""
    asked = single_answer_facts(facts).sample(fraction=1.0, shuffle=True, seed=seed)
    asked = asked.unique("subject_id", keep="first", maintain_order=True)
    half = asked.height // 2
    own, _ = clear_questions(corpus.questions)
    columns = ("question", "answers", "fact_id")
    parts = [
        frame_questions(asked.head(half), split="trained", seed=seed).select(columns),
        own_questions_about(asked.tail(-half), own).drop_nulls("fact_id").select(columns),
    ]
    named = pl.concat(parts).join(facts.select("fact_id", "subject", "subject_id", "subject_aliases"), on="fact_id")
    return named.sample(fraction=1.0, shuffle=True, seed=seed)


def damaged(questions: pl.DataFrame, damage: Damage, *, seed: int) -> list[Asked]:
    """Questions whose name the damage changes."""
    rng, result = random.Random(seed), []
    for row in questions.iter_rows(named=True):
        name = damage(row["subject"], rng)
        if name and name != row["subject"] and row["subject"] in row["question"]:
            text = row["question"].replace(row["subject"], name)
            result.append(Asked(text, row["subject_id"], row["answers"]))
    return result


def with_alias(questions: pl.DataFrame) -> list[Asked]:
    """Questions that name their subject by its first alias in Latin letters."""
    result = []
    for row in questions.iter_rows(named=True):
        plain = plain_words(row["subject"])
        alias = next((a for a in row["subject_aliases"] if _LATIN.fullmatch(a) and plain_words(a) != plain), None)
        if alias and row["subject"] in row["question"]:
            result.append(Asked(row["question"].replace(row["subject"], alias), row["subject_id"], row["answers"]))
    return result


def halves(corpus: Corpus, *, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Facts of half of the subjects, and those of the others."""
    subjects = corpus.facts["subject_id"].unique(maintain_order=True).sample(fraction=0.5, seed=seed)
    is_stored = pl.col("subject_id").is_in(subjects.implode())
    return corpus.facts.filter(is_stored), corpus.facts.filter(~is_stored)
