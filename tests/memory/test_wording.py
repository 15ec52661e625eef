"""What a question's stored names leave unexplained of its wording."""

from __future__ import annotations

import numpy as np
import pytest

from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.memory.wording import NUM_WORDING


@pytest.fixture(scope="module")
def retriever() -> Retriever:
    """Three places, one with a long name."""
    result = Retriever()
    result.add(
        np.arange(3),
        subjects=["Gary", "Contenda", "Santa Edwiges Airport"],
        aliases=[(), (), ()],
        subject_ids=["a", "b", "c"],
        relations=["country", "time zone", "Goldschmidt class"],
    )
    return result


def wording(retriever: Retriever, *texts: str) -> np.ndarray:
    """[len(texts), 3]."""
    return retriever.lookup(list(texts)).wording


def test_a_rare_word_beside_the_name_is_seen_on_either_side(retriever: Retriever) -> None:
    plain, behind, before = wording(
        retriever, "which country is Contenda in", "who is Contenda brabinsky", "who is brabinsky Contenda"
    )
    assert plain[0] == 0
    assert behind[0] == before[0] > 0.9


def test_words_of_a_relation_that_the_subject_has_are_no_part_of_a_name(retriever: Retriever) -> None:
    own, foreign = wording(retriever, "Santa Edwiges Airport goldschmidt class", "Contenda goldschmidt class")
    assert own[0] == 0
    assert foreign[0] > 0.5


def test_one_name_that_stands_alone_is_enough(retriever: Retriever) -> None:
    (both,) = wording(retriever, "is Contenda Brabinsky in Contenda")
    assert both[0] == 0


def test_longer_and_rarer_names_say_more_and_cover_more(retriever: Retriever) -> None:
    short, long = wording(retriever, "which people live in Gary now", "people at Santa Edwiges Airport")
    assert long[1] > short[1] > 0
    assert long[2] == pytest.approx(3 / 4)


def test_questions_without_a_name_have_zeros_and_company_changes_nothing(retriever: Retriever) -> None:
    texts = ["nothing stored here", "who is Contenda Brabinsky", "", "Gary", "?"]
    together = wording(retriever, *texts)
    assert together.shape == (len(texts), NUM_WORDING)
    assert not together[[0, 2, 4]].any()
    np.testing.assert_allclose(together, np.concatenate([wording(retriever, text) for text in texts]))
