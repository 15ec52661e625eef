"""How far the words of a question name the relation of a fact: `boiling point of X` is no question for a melting point.

In: questions, each with a fact's subject and relation. Out: a few numbers each. Words are compared by their stems, and
by the cosine of their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from widedeep_kb.memory.relations import WordVectors, relation_words, stem
from widedeep_kb.segment import words
from widedeep_kb.word_statistics import FUNCTION_WORDS, content_weight


class Naming(NamedTuple):
    """How a question names a relation, every number from 0 to 1.

    Attributes:
        named: share of the relation's words, by weight, whose stem is in the question outside the subject's name.
        likeness: mean over the relation's words, by weight, of the cosine with the question's most similar word.
        beside: weight of the weightiest word beside such a word that is neither the relation's nor the subject's.
    """

    named: float
    likeness: float
    beside: float


NO_NAMING = Naming(0.0, 0.0, 0.0)


def name_relations(
    questions: Sequence[str], subjects: Sequence[str], relations: Sequence[str], *, word_vectors: WordVectors
) -> list[Naming]:
    """One `Naming` for each question with a fact's subject and relation."""
    asked = [words(text) for text in questions]
    wanted = [_content(relation_words(text)) for text in relations]
    own = [{stem(word) for word in words(text)} for text in subjects]
    others = [
        _content([word for word in text if stem(word) not in names]) for text, names in zip(asked, own, strict=True)
    ]
    vocabulary = sorted({word for group in (wanted, others) for text in group for word in text})
    vectors = dict(zip(vocabulary, np.asarray(word_vectors(vocabulary)), strict=True)) if vocabulary else {}
    return [
        _naming(text, relation, names, likeness=_likeness(relation, rest, vectors))
        for text, relation, names, rest in zip(asked, wanted, own, others, strict=True)
    ]


def _naming(asked: list[str], relation: list[str], names: set[str], *, likeness: float) -> Naming:
    stems, wanted = [stem(word) for word in asked], {stem(word): content_weight(word) for word in relation}
    met = [i for i, found in enumerate(stems) if found in wanted and found not in names]
    named = sum(wanted[found] for found in {stems[i] for i in met}) / (sum(wanted.values()) or 1.0)
    beside = {i for place in met for i in (place - 1, place + 1) if 0 <= i < len(asked)}
    odd = [
        content_weight(asked[i])
        for i in beside
        if asked[i] not in FUNCTION_WORDS and stems[i] not in names and stems[i] not in wanted
    ]
    return Naming(named, likeness, max(odd, default=0.0))


def _likeness(relation: list[str], rest: list[str], vectors: dict[str, np.ndarray]) -> float:
    if not relation or not rest:
        return 0.0
    cosines = np.stack([vectors[word] for word in relation]) @ np.stack([vectors[word] for word in rest]).T
    weights = np.array([content_weight(word) for word in relation])
    return float(np.clip(weights @ cosines.max(axis=1) / weights.sum(), 0.0, 1.0))


def _content(found: list[str]) -> list[str]:
    """The content words, or all where there are none."""
    return [word for word in found if word not in FUNCTION_WORDS] or found
