"""Which texts name a relation of some fact in full: against a slow reference, while relations come and go."""

from __future__ import annotations

import random

import polars as pl
import pytest

from widedeep_kb.memory.relation_names import RelationNames
from widedeep_kb.memory.relations import cue_stems, relation_words, stem
from widedeep_kb.segment import words
from widedeep_kb.word_statistics import FUNCTION_WORDS

NAMES = ("place of birth", "birth date", "birthPlace", "population", "time zone", "is a", "of", "flag colour", "name")


def reference(texts: list[str], relations: list[str]) -> list[bool]:
    """Every text beside every relation, word by word."""
    found = []
    for text in texts:
        stems = {one for word in words(text) for one in cue_stems(word)}
        wanted = [[w for w in relation_words(r) if w not in FUNCTION_WORDS] or relation_words(r) for r in relations]
        found.append(any(all(stem(word) in stems for word in own) for own in wanted))
    return found


def frame(*relations: str, private: bool = False) -> pl.DataFrame:
    """A fact of each relation."""
    rows = [(relation, private) for relation in relations]
    return pl.DataFrame(rows, schema={"relation": pl.String, "private": pl.Boolean}, orient="row")


@pytest.mark.parametrize("seed", range(6))
def test_named_relations_are_those_of_a_word_by_word_search(seed: int) -> None:
    rng, names, live = random.Random(seed), RelationNames(frame()), []
    vocabulary = [*{w for n in NAMES for w in relation_words(n)}, "births", "populations", "Atlantis", "zones", "who"]
    for _ in range(30):
        if live and rng.random() < 0.4:
            names.remove(frame(live.pop(rng.randrange(len(live)))))
        else:
            live.append(rng.choice(NAMES))
            names.add(frame(live[-1]))
        texts = [" ".join(rng.choices(vocabulary, k=rng.randrange(0, 6))) for _ in range(20)]
        assert names.named_in(texts).tolist() == reference(texts, sorted(set(live)))


def test_a_relation_is_named_in_any_form_and_order() -> None:
    names = RelationNames(frame("date_of_first_launch", "flagColour"))
    texts = ["When was the first launching of it, on what date?", "the flag's colours", "flag", "launch date", ""]
    assert names.named_in(texts).tolist() == [True, True, False, False, False]
    assert names.named_in([]).shape == (0,)


def test_private_facts_have_no_part_in_it() -> None:
    names = RelationNames(frame("salary", private=True))
    names.add(frame("salary", "salary", private=True))
    assert not names.named_in(["What is the salary?"])[0]
    names.add(frame("salary"))
    names.remove(frame("salary", private=True))
    assert names.named_in(["What is the salary?"])[0]
