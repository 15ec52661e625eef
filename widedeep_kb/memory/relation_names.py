"""Which texts name a relation of the live facts in full: where they do, the deep memory may know what is asked for.

Private facts have no part in it, as they move nothing but their own rows. Kept in step with the catalogue.

Letters: N texts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from widedeep_kb.memory.relations import content_words, cue_stems, relation_words, stem
from widedeep_kb.segment import words


class RelationNames:
    """The relations of live facts, by their words.

    Args:
        facts: a frame with `relation` and `private`.
    """

    def __init__(self, facts: pl.DataFrame) -> None:
        self._counts: Counter[str] = Counter()  # live facts of each relation that are not private
        self._wordings: dict[str, list[frozenset[str]]] | None = None
        self.add(facts)

    def add(self, facts: pl.DataFrame) -> None:
        """Take note of new facts."""
        for relation, count in _counted(facts):
            if relation not in self._counts:
                self._wordings = None
            self._counts[relation] += count

    def remove(self, facts: pl.DataFrame) -> None:
        """Forget facts that are gone."""
        for relation, count in _counted(facts):
            self._counts[relation] -= count
            if not self._counts[relation]:
                del self._counts[relation]
                self._wordings = None

    def named_in(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N]: the text holds all content words of some relation, in any form that has the same stem."""
        wordings, found = self._by_rarest_stem(), np.zeros(len(texts), dtype=bool)
        for i, text in enumerate(texts):
            stems = {one for word in words(text) for one in cue_stems(word)}
            found[i] = any(wording <= stems for one in stems for wording in wordings.get(one, ()))
        return found

    def _by_rarest_stem(self) -> dict[str, list[frozenset[str]]]:
        """The stems of each relation's content words, by that one of them which fewest relations have."""
        if self._wordings is None:
            wordings = {frozenset(map(stem, content_words(relation_words(name)))) for name in self._counts}
            counts = Counter(itertools.chain.from_iterable(wordings))
            self._wordings = {}
            for wording in wordings - {frozenset()}:
                rarest = min(wording, key=lambda one: (counts[one], one))
                self._wordings.setdefault(rarest, []).append(wording)
        return self._wordings


def _counted(facts: pl.DataFrame) -> list[tuple[str, int]]:
    """Relations with the number of facts that are not private."""
    return facts.filter(~pl.col("private")).group_by("relation").len().rows()
