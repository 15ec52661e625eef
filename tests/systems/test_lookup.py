"""`lookup` prints the object behind the keys, and its vectors come from the LLM's embeddings."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.lookup import KeyLookup, Lookup, LookupVectors
from widedeep_kb.systems.word_vectors import embedding_word_vectors, text_vectors


@pytest.fixture(params=["bm25", "vectors"])
def lookup(request: pytest.FixtureRequest, tiny_lm: FrozenLM, facts: pl.DataFrame) -> KeyLookup:
    """Both ways of choosing a relation."""
    system = Lookup() if request.param == "bm25" else LookupVectors(tiny_lm)
    system.ingest(facts)
    return system


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the flag colour of Zorvania?", "teal"),
        ("what is the founding year of zorvania", "1871"),
        ("Founding year of the Zorvanish Republic?", "1871"),
        ("The mean height of Quillfax Ridge is", "-3"),
        ("Tell me api.Widget's mean height!", "7%"),
    ],
)
def test_the_object_of_the_named_relation_is_printed(
    lookup: KeyLookup, question: str, expected: str, facts: pl.DataFrame
) -> None:
    (answer,) = lookup.generate([question])
    assert answer.text == expected
    assert facts.filter(pl.col("fact_id") == answer.evidence[0])["object"].to_list() == [expected]
    assert 0.0 < answer.confidence <= 1.0
    assert answer.prompt_tokens == answer.generated_tokens == 0


def test_no_hit_is_the_empty_answer(lookup: KeyLookup) -> None:
    (answer,) = lookup.generate(["What is the flag colour of Borduria?"])
    assert (answer.text, answer.confidence, answer.evidence) == ("", 0.0, [])


def test_a_question_of_nothing_but_the_subject_is_answered_by_the_keys(lookup: KeyLookup) -> None:
    (answer,) = lookup.generate(["Zorvania"])
    assert answer.text in {"1871", "teal", "12.5"}


def test_word_vectors_are_unit_length_and_tell_words_apart(tiny_lm: FrozenLM) -> None:
    vectors = embedding_word_vectors(tiny_lm)(["flag", "height", "flag"])
    assert vectors.shape == (3, tiny_lm.hidden_size) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[2] == pytest.approx(1.0, abs=1e-5)
    assert vectors[0] @ vectors[1] < 0.9
    assert embedding_word_vectors(tiny_lm)([]).shape == (0, tiny_lm.hidden_size)


def test_text_vectors_weigh_rare_words_more(tiny_lm: FrozenLM) -> None:
    word_vectors: Callable[[list[str]], np.ndarray] = embedding_word_vectors(tiny_lm)
    both, rare, common, empty = text_vectors([["of", "flag"], ["flag"], ["of"], []], word_vectors=word_vectors)
    assert both @ rare > both @ common
    assert not empty.any()
    assert text_vectors([[]], word_vectors=word_vectors).shape == (1, tiny_lm.hidden_size)
