"""Phrasings: the frozen lists are disjoint and filled as promised; corruption never touches the subject."""

import random
import re
from collections import Counter

import pytest

from widedeep_kb.phrasings import (
    CANONICAL,
    COMMON_NAMES,
    COMMON_RELATIONS,
    FRAME_KINDS,
    FRAMES,
    WRAPPERS,
    Frame,
    corrupt,
    frames,
    misspell,
    relation_paraphrases,
    wrappers,
)


def _words(text: str) -> list[str]:
    return re.findall(r"\{\w+\}|\w+|[^\w\s]", text.lower())


def _distance(a: list[str], b: list[str]) -> int:
    """Edit distance in words."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (x != y)))
    return row[-1]


def test_frames_are_many_unique_and_well_formed() -> None:
    trained, heldout = frames("trained"), frames("heldout")
    assert len(FRAMES) >= 300 and 0.18 <= len(heldout) / len(FRAMES) <= 0.22
    assert len({frame.text.lower() for frame in FRAMES}) == len(FRAMES)
    assert {frame.text for frame in trained}.isdisjoint({frame.text for frame in heldout})
    for frame in FRAMES:
        assert frame.text.count("{subject}") == frame.text.count("{relation}") == 1, frame
        assert frame.text == frame.text.strip(), frame
    for split in ("trained", "heldout"):
        assert {frame.kind for frame in frames(split)} == set(FRAME_KINDS)


def test_heldout_frames_are_built_differently() -> None:
    """Each differs from every trained frame by at least two words or marks, and the median by many."""
    trained = [_words(frame.text) for frame in frames("trained")]
    nearest = sorted(min(_distance(_words(frame.text), t) for t in trained) for frame in frames("heldout"))
    assert nearest[0] >= 2
    assert nearest[len(nearest) // 2] >= 6


def test_frames_are_chosen_by_split_and_kind() -> None:
    assert all(f.kind == "command" and f.split == "heldout" for f in frames("heldout", "command"))
    with pytest.raises(ValueError, match="'test'"):
        frames("test")
    with pytest.raises(ValueError, match="'poem'"):
        frames("trained", "poem")


def test_render_fills_both_places_and_mends_the_article() -> None:
    frame = Frame("{subject} has a {relation} of", "statement", "trained")
    assert frame.is_completion
    assert frame.render("Zor", "height") == "Zor has a height of"
    assert frame.render("Zor", "area") == "Zor has an area of"
    assert frame.render("Zor", "unit") == "Zor has a unit of"
    assert frame.render("{relation}", "{subject}") == "{relation} has a {subject} of"
    json_like = Frame('{"name": "{subject}", "{relation}":', "structured", "trained")
    assert json_like.render("C++", "year") == '{"name": "C++", "year":'


def test_no_prompt_ends_in_a_space() -> None:
    for frame in FRAMES:
        assert not frame.render("A", "b")[-1].isspace(), frame
    for wrapper in WRAPPERS:
        assert not wrapper.wrap("x?")[-1].isspace(), wrapper


def test_wrappers() -> None:
    assert CANONICAL.wrap("Who?") == "Question: Who?\nAnswer:"
    assert len({w.name for w in WRAPPERS}) == len({(w.prefix, w.suffix) for w in WRAPPERS}) == len(WRAPPERS) >= 15
    assert len(wrappers("trained")) + len(wrappers("heldout")) == len(WRAPPERS)
    assert all(w.kind == "qa" for w in wrappers("heldout", "qa"))
    with pytest.raises(ValueError, match="'test'"):
        wrappers("test")


def test_common_relations_have_own_questions_in_both_splits() -> None:
    assert len(COMMON_RELATIONS) >= 350
    assert len(COMMON_NAMES) == sum(len(entry.names) for entry in COMMON_RELATIONS.values())
    texts = [p.text for entry in COMMON_RELATIONS.values() for p in entry.paraphrases]
    assert len(set(texts)) == len(texts)
    for name, entry in COMMON_RELATIONS.items():
        assert 4 <= len(entry.paraphrases) <= 14, name
        assert all("{subject}" in p.text and p.relation == name for p in entry.paraphrases)
        trained = len(relation_paraphrases(name, "trained"))
        assert trained >= 2 and len(entry.paraphrases) - trained >= 2
    hidden = [not p.shares_word for entry in COMMON_RELATIONS.values() for p in entry.paraphrases]
    assert sum(hidden) > 0.8 * len(hidden)


def test_families_hold_near_synonyms_in_many_styles() -> None:
    in_families = [entry for entry in COMMON_RELATIONS.values() if entry.family is not None]
    sizes = Counter(entry.family for entry in in_families)
    assert len(in_families) >= 130 and min(sizes.values()) >= 3 and max(sizes.values()) <= 16
    for entry in in_families:
        trained = [p for p in entry.paraphrases if p.split == "trained"]
        assert 6 <= len(trained) <= 11 and 3 <= len(entry.paraphrases) - len(trained) <= 4, entry.names[0]
        assert sum(not p.shares_word for p in entry.paraphrases) >= 0.65 * len(entry.paraphrases), entry.names[0]
        assert all(p.text.count("{subject}") == 1 for p in entry.paraphrases)
    trained = [p.text for entry in in_families for p in entry.paraphrases if p.split == "trained"]
    share = {mark: sum(text.endswith(mark) for text in trained) / len(trained) for mark in "?:."}
    assert 0.3 < share["?"] < 0.6 and share[":"] > 0.1 and share["."] > 0.07 and sum(share.values()) < 0.85
    assert 0.1 < sum(text[0].islower() for text in trained) / len(trained) < 0.3


def test_no_two_relations_share_a_phrasing() -> None:
    """Not even one that differs in case or in its last mark."""
    texts = [p.text.lower().rstrip("?.: ") for entry in COMMON_RELATIONS.values() for p in entry.paraphrases]
    assert [text for text, count in Counter(texts).items() if count > 1] == []


def test_paraphrases_are_found_by_any_name() -> None:
    born = relation_paraphrases("date of birth", "trained", kind="question")
    assert "When was {subject} born?" in [p.text for p in born]
    assert born[0].render("Ann") == born[0].text.replace("{subject}", "Ann")
    assert relation_paraphrases("Birth_Date", "trained", kind="question") == born
    assert relation_paraphrases("shoe size of the gate keeper") == []
    shared = {p.text: p.shares_word for p in relation_paraphrases("programming language")}
    assert not shared["What is {subject} coded in?"]
    with pytest.raises(ValueError, match="'dev'"):
        relation_paraphrases("date of birth", "dev")


def test_corruption_leaves_the_subject_alone() -> None:
    rng, subject = random.Random(1), "Zörbel & Sons (1987)"
    text = f"What is the maximum revenue in 1987 of {subject}, and of {subject} abroad?"
    seen = set()
    for _ in range(500):
        damaged = corrupt(text, subject, rng)
        seen.add(damaged)
        assert damaged.count(subject) == 2 or damaged.count(subject.lower()) == 2
        assert damaged.count("1987") == 3
    assert len(seen) > 100


def test_each_kind_of_corruption() -> None:
    rng, text = random.Random(2), "What is the height of Ann Lee?"
    none = {"typing_error": 0.0, "lower_case": 0.0, "drop_question_mark": 0.0, "double_space": 0.0}
    assert corrupt(text, "Ann Lee", rng, **none) == text
    assert corrupt(text, "Ann Lee", rng, **none | {"lower_case": 1.0}) == text.lower()
    assert corrupt(text, "Ann Lee", rng, **none | {"drop_question_mark": 1.0}) == text[:-1]
    doubled = corrupt(text, "Ann Lee", rng, **none | {"double_space": 1.0})
    assert doubled.replace("  ", " ") == text != doubled and "Ann Lee" in doubled
    assert any(corrupt(text, "Ann Lee", rng, **none | {"typing_error": 1.0}) != text for _ in range(5))
    assert corrupt("Ann?", "Ann?", rng, **none | {"drop_question_mark": 1.0}) == "Ann?"
    with pytest.raises(ValueError, match="'Bob'"):
        corrupt(text, "Bob", rng)


def test_misspell_changes_little() -> None:
    rng = random.Random(3)
    for _ in range(200):
        wrong = misspell("height", rng)
        assert abs(len(wrong) - 6) <= 1 and wrong[-1] in "ht"
