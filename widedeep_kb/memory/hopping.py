"""Questions that take two facts: the object of a first one is a key in turn, and the second one is among its facts.

In: questions and the facts that the index found for each. Out: `Hop`s: a first fact that some words of the question
name, the facts of its object, and the question with the object in the place of those words. A hop is found only where
it explains more of the question than any one fact does, so that questions about one fact have none.

Letters: B questions, C places for facts of a question, N names of objects, S second facts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from widedeep_kb.facts import FactCatalogue
from widedeep_kb.memory.clauses import Clause, Match, Span, plain_shells
from widedeep_kb.memory.retrieval import Hits, Retriever, is_among

MOST_FIRST = 3
"""First facts of a question whose objects are followed."""
MOST_SECOND = 16
"""Second facts of a question, over all first ones."""
HOPPED = 5
"""`Hits.stage` of facts of another fact's object."""
_LEAST_FIRST, _LEAST_SECOND = 0.5, 0.6  # shares of a relation's cues that must be in the question
_LEAST_MORE = 0.2  # weight of content words that a hop explains beyond the best single fact
_UNNAMED = 0.5  # score of a first fact whose relation no word of the question names
_MOST_OF_OBJECT = 1024  # facts of one object that are looked at
_BASE, _CUE = 0.2, 0.6  # shares of a second fact's weight: its subject, its cues

Relations = Mapping[str, Sequence[int]]
"""Relation -> ordinals of its facts, those of one object."""


class Hop(NamedTuple):
    """A first fact and what follows from it.

    Attributes:
        first: ordinal of the first fact.
        seconds: int64 [S], ordinals of its object's facts, the best named first.
        weights: float32 [S], in (0, 1].
        score: how well the question names both relations, in (0, 1].
        is_named: words of the question are of the first relation's own; otherwise others stand for it.
        is_open: no word of the question is of the second relation's own: whether it is asked for, the LLM must say.
        phrase: words of the question that stand for the first fact, as written.
        text: the question with the object in their place.
    """

    first: int
    seconds: np.ndarray
    weights: np.ndarray
    score: float
    is_named: bool
    is_open: bool
    phrase: str
    text: str


class _Named(NamedTuple):
    """A fact that the index found, as the question names it; no `name` where it stands under a damaged one."""

    ordinal: int
    object: str
    name: Span | None
    match: Match
    weight: float


def find_hops(
    texts: Sequence[str],
    hits: Hits,
    *,
    retriever: Retriever,
    catalogue: FactCatalogue,
    excluded: np.ndarray | Sequence[int] = (),
) -> list[list[Hop]]:
    """The hops of each question, best first, at most `MOST_FIRST`; none where one fact explains as much.

    Args:
        texts: B questions.
        hits: the facts found for each, not narrowed.
        retriever: finds the facts of objects.
        catalogue: holds all of them.
        excluded: see `Retriever.lookup`.
    """
    names = ["ordinal", "subject", "subject_aliases", "relation", "object", "object_aliases"]
    met = catalogue.columns_for(np.unique(hits.ordinals[hits.ordinals >= 0]), names).to_dicts()
    followed = _facts_of_objects(met, retriever=retriever, catalogue=catalogue, excluded=np.asarray(excluded))
    facts = {fact["ordinal"]: fact for fact in met}
    found: list[list[Hop]] = []
    for text, ordinals, weights in zip(texts, hits.ordinals.tolist(), hits.weights.tolist(), strict=True):
        own = [(facts[o], weight) for o, weight in zip(ordinals, weights, strict=True) if o >= 0]
        found.append(_hops_of(Clause(text), own, followed) if any(o in followed for o in ordinals) else [])
    return found


def add_hops(hits: Hits, hops: Sequence[Sequence[Hop]], *, most: int = MOST_SECOND) -> Hits:
    """`hits` with the facts of each question's hops, in `most` further places.

    Args:
        hits: of B questions.
        hops: of each.
        most: places for the second facts of a question.
    """
    shape = (len(hits.ordinals), most)
    ordinals, weights, stage = np.full(shape, -1, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.int8)
    for row, own in enumerate(hops):
        best: dict[int, float] = {}
        for hop in own:
            for ordinal, weight in zip(hop.seconds.tolist(), hop.weights.tolist(), strict=True):
                best[ordinal] = max(weight, best.get(ordinal, 0.0))
        kept = sorted((o for o in best if o not in hits.ordinals[row]), key=lambda o: -best[o])[:most]
        ordinals[row, : len(kept)], weights[row, : len(kept)] = kept, [best[o] for o in kept]
        stage[row, : len(kept)] = HOPPED
    return hits._replace(
        ordinals=np.concatenate([hits.ordinals, ordinals], axis=1),
        weights=np.concatenate([hits.weights, weights], axis=1),
        stage=np.concatenate([hits.stage, stage], axis=1),
    )


def _facts_of_objects(
    met: Sequence[Mapping], *, retriever: Retriever, catalogue: FactCatalogue, excluded: np.ndarray
) -> dict[int, Relations]:
    """For each fact whose object is the name of some subject: that subject's facts by relation."""
    names = [(fact["ordinal"], name) for fact in met for name in (fact["object"], *fact["object_aliases"])]
    distinct = list(dict.fromkeys(name for _, name in names))
    rows, ordinals = retriever.facts_named(distinct)
    if len(excluded):
        is_kept = ~is_among(ordinals, excluded)
        rows, ordinals = rows[is_kept], ordinals[is_kept]
    counts = np.bincount(rows, minlength=len(distinct))
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows, ordinals = rows[ranks < _MOST_OF_OBJECT], ordinals[ranks < _MOST_OF_OBJECT]
    relations = catalogue.columns_for(ordinals, ["relation"])["relation"].to_list()
    by_name: dict[str, dict[str, list[int]]] = {}
    for row, ordinal, relation in zip(rows.tolist(), ordinals.tolist(), relations, strict=True):
        by_name.setdefault(distinct[row], {}).setdefault(relation, []).append(ordinal)
    found: dict[int, Relations] = {}
    for ordinal, name in names:
        if name in by_name:
            found.setdefault(ordinal, by_name[name])
    return found


def _hops_of(clause: Clause, own: Sequence[tuple[Mapping, float]], followed: Mapping[int, Relations]) -> list[Hop]:
    """The hops of one question from the facts found for it and their weights."""
    named = [_named(clause, fact, weight) for fact, weight in own]
    alone = max((clause.covered(fact.match.places) for fact in named), default=0.0)
    hops = []
    for first in named:
        if first.name is not None and first.ordinal in followed:
            hop = _hop(clause, first, followed[first.ordinal], alone=alone)
            if hop is not None:
                hops.append(hop)
    return sorted(hops, key=lambda hop: -hop.score)[:MOST_FIRST]


def _named(clause: Clause, fact: Mapping, weight: float) -> _Named:
    name = clause.find([fact["subject"], *fact["subject_aliases"]])
    match = clause.match(fact["relation"], name=name) if name else Match(frozenset(), 0.0)
    return _Named(fact["ordinal"], fact["object"], name, match, weight)


def _open_hop(clause: Clause, first: _Named, relations: Relations, *, own: frozenset[int]) -> Hop | None:
    """The hop over a first fact that the question names as one thing, `the country of Lyon`, and asks more of."""
    phrase = clause.phrase(first.name, own, ())
    others = [i for i in range(len(clause.words)) if not phrase.first <= i < phrase.last]
    asked = clause.covered(others)
    if not asked or not clause.is_definite(phrase, first.name) or clause.shell(phrase) in plain_shells():
        return None
    ordinals = [ordinal for found in relations.values() for ordinal in found if ordinal != first.ordinal]
    return Hop(
        first=first.ordinal,
        seconds=np.array(ordinals, np.int64),
        weights=np.full(len(ordinals), first.weight * _BASE, np.float32),
        score=first.match.share * _UNNAMED,
        is_named=True,
        is_open=True,
        phrase=clause.spoken(phrase),
        text=clause.replace(phrase, first.object),
    )


def _hop(clause: Clause, first: _Named, relations: Relations, *, alone: float) -> Hop | None:
    """The hop over a first fact, or None where the question does not name it and one of the second facts.

    Args:
        clause: the question.
        first: the fact.
        relations: the facts of its object.
        alone: weight of the content words that the best single fact explains.
    """
    is_named = first.match.share >= _LEAST_FIRST
    own = first.match.places if is_named else frozenset()
    matches = {
        relation: clause.match(relation, name=first.name, used=own)
        for relation, ordinals in relations.items()
        if any(ordinal != first.ordinal for ordinal in ordinals)
    }
    best = max(matches.values(), key=lambda match: (match.share, clause.covered(match.places)), default=None)
    most = clause.covered(best.places) if best else 0.0
    if best is None or best.share < _LEAST_SECOND or not most:
        return _open_hop(clause, first, relations, own=own) if is_named else None
    explained = clause.covered(own | best.places)
    phrase = clause.phrase(first.name, own, best.places)
    if is_named:
        if clause.distance(best.places, first.name) < clause.distance(own, first.name):
            return None
    else:  # `the nation where Lyon lies`: words stand for the relation, though not its own
        others = clause.covered(i for i in range(*phrase) if not first.name.first <= i < first.name.last)
        if not others:
            return None
        explained += others
    if explained < alone + _LEAST_MORE:
        return None
    score = best.share * (first.match.share if is_named else _UNNAMED) * explained / clause.total(first.name)
    fits = {r: match.share * math.sqrt(clause.covered(match.places) / most) for r, match in matches.items()}
    order = sorted(fits, key=lambda relation: -fits[relation])
    return Hop(
        first=first.ordinal,
        seconds=np.array([ordinal for relation in order for ordinal in relations[relation]], np.int64),
        weights=np.array([first.weight * (_BASE + _CUE * fits[r]) for r in order for _ in relations[r]], np.float32),
        score=score,
        is_named=is_named,
        is_open=False,
        phrase=clause.spoken(phrase),
        text=clause.replace(phrase, first.object),
    )
