"""Questions that hold a stored name but ask for nothing stored."""

import random

import pytest

from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.phrasings import COMMON_RELATIONS, relation_paraphrases
from widedeep_kb.synthetic.unrelated_about import unrelated_about


def _draw(count: int, subject: str = "Kestrel Nine", **options: object) -> list[str]:
    rng = random.Random(3)
    return [unrelated_about(rng, subject, **options) for _ in range(count)]


def test_texts_are_varied_filled_and_repeatable() -> None:
    texts = _draw(2000)
    assert texts == _draw(2000)
    assert len(set(texts)) > 1300
    assert not any("{" in text or "}" in text for text in texts)
    assert all(text == text.strip() and "\n" not in text for text in texts)
    assert 0.6 < sum(text == text.lower() for text in texts) / len(texts) < 0.8


def test_the_index_brings_the_facts_of_the_name_in_the_text() -> None:
    texts = _draw(500)
    assert all("kestrel nine" in text.lower() for text in texts)
    retriever = Retriever(4)
    retriever.add([0], subjects=["Kestrel Nine"], aliases=[()], subject_ids=["k"], relations=["hull colour"])
    assert (retriever.lookup(texts).ordinals[:, 0] == 0).mean() > 0.99


@pytest.mark.parametrize("relation", ["spouse", "date of birth", "capital", "publisher"])
def test_no_question_asks_for_a_property_that_the_subject_has(relation: str) -> None:
    own = {p.render("Kestrel Nine").lower().rstrip("?") for p in relation_paraphrases(relation)}
    assert own & {text.lower().rstrip("?") for text in _draw(20_000)}, "it is asked where nothing forbids it"
    texts = {text.lower().rstrip("?") for text in _draw(20_000, relations=[relation])}
    assert not own & texts


def test_properties_that_may_be_the_same_are_not_asked_for() -> None:
    texts = {text.lower().rstrip("?") for text in _draw(20_000, relations=["country of origin"])}
    birthplaces = relation_paraphrases("place of birth", "trained", kind="question")
    assert not {p.render("kestrel nine").lower().rstrip("?") for p in birthplaces} & texts


def test_held_out_and_excluded_phrasings_never_occur() -> None:
    texts = {text.lower().rstrip("?") for text in _draw(20_000, excluded_relations=["birth_date", "Capital"])}
    held_out = [p for entry in COMMON_RELATIONS.values() for p in entry.paraphrases if p.split == "heldout"]
    excluded = relation_paraphrases("date of birth") + relation_paraphrases("capital")
    assert not {p.render("kestrel nine").lower().rstrip("?") for p in held_out + excluded} & texts


def test_a_blank_subject_is_refused() -> None:
    with pytest.raises(ValueError, match="' '"):
        unrelated_about(random.Random(0), " ")
