"""Synthetic facts: seeded, varied, unambiguous, and free of what is excluded."""

import itertools
import random
import re
import time
from collections import Counter

import numpy as np
import polars as pl
import pytest

from widedeep_kb.phrasings import COMMON_RELATIONS
from widedeep_kb.schema import normalise_text
from widedeep_kb.synthetic import (
    COMPARISON_FRAMES,
    MAX_FACTS_PER_SUBJECT,
    SUBJECT_KINDS,
    VALUE_KINDS,
    SyntheticBatch,
    comparison_questions,
    generate,
    near_identical,
    near_value,
    unrelated_prompts,
)
from widedeep_kb.synthetic import relation_vocabulary as rv
from widedeep_kb.synthetic.comparison_frames import ADJECTIVE_FRAMES, ADJECTIVE_YES_NO_FRAMES, ADJECTIVES
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.ordered_values import ORDER_OF_KIND, is_larger, number
from widedeep_kb.synthetic.subjects import SubjectKind


@pytest.fixture(scope="module")
def batch() -> SyntheticBatch:
    return generate(3000, seed=11)


def test_equal_seeds_give_equal_facts_and_others_do_not() -> None:
    a, b, c = generate(200, seed=5), generate(200, seed=5), generate(200, seed=6)
    assert (a.subjects, a.relations, a.objects) == (b.subjects, b.relations, b.objects)
    assert len(set(a.subjects) & set(c.subjects)) <= 2


def test_shapes_agree(batch: SyntheticBatch) -> None:
    n, s = len(batch), len(batch.subjects)
    assert s == 3000 == len(batch.subject_kinds) == len(batch.groups)
    assert batch.offsets.shape == (s + 1,) and batch.offsets[-1] == n
    assert n == len(batch.relations) == len(batch.value_kinds) == len(batch.common) == len(batch.families)
    assert np.array_equal(np.repeat(np.arange(s), np.diff(batch.offsets)), batch.subject_index)
    frame = batch.to_frame(prefix="t:")
    assert frame.columns == ["subject_id", "subject", "relation", "object"] and frame.height == n
    assert frame["subject_id"][n - 1] == f"t:{batch.subject_index[-1]}"


def test_every_question_has_one_answer(batch: SyntheticBatch) -> None:
    pairs = batch.to_frame(prefix="").select(pl.col("subject", "relation").str.to_lowercase())
    assert pairs.is_duplicated().sum() == 0


def test_strings_are_clean(batch: SyntheticBatch) -> None:
    for text in (*batch.subjects, *batch.relations, *batch.objects):
        assert text and text == text.strip() and text.isprintable(), repr(text)


def test_facts_per_subject_are_skewed(batch: SyntheticBatch) -> None:
    counts = np.diff(batch.offsets)
    assert counts.max() <= MAX_FACTS_PER_SUBJECT
    assert ((counts >= 3) & (counts <= 10)).mean() > 0.5
    assert (counts >= 25).mean() > 0.03


def test_strings_are_rarely_repeated(batch: SyntheticBatch) -> None:
    assert len(set(batch.subjects)) > 0.97 * len(batch.subjects)
    assert len(set(batch.relations)) > 6000
    assert len(set(batch.objects)) > 0.75 * len(batch)


def test_there_are_many_kinds(batch: SyntheticBatch) -> None:
    assert len({kind.name for kind in SUBJECT_KINDS}) >= 25
    assert {kind.name for kind in SUBJECT_KINDS} == set(batch.subject_kinds)
    assert len(VALUE_KINDS) >= 40 and set(batch.value_kinds) == set(VALUE_KINDS)
    named = {entry.value_kind for entry in COMMON_RELATIONS.values()} | set(rv.HEADS) | {k for _, k in rv.VERB_ENDS}
    assert named <= set(VALUE_KINDS)


def test_kinds_of_values_mostly_fit_the_relation(batch: SyntheticBatch) -> None:
    pairs = zip(batch.common, batch.value_kinds, strict=True)
    fits = [COMMON_RELATIONS[name].value_kind == kind for name, kind in pairs if name]
    assert len(fits) > 0.4 * len(batch)
    assert 0.68 < sum(fits) / len(fits) < 0.82


def test_common_relations_are_asked_once_a_subject(batch: SyntheticBatch) -> None:
    named = [(s, name) for s, name in zip(batch.subject_index.tolist(), batch.common, strict=True) if name]
    assert max(Counter(named).values()) == 1


def test_near_synonyms_of_a_family_meet_in_one_subject(batch: SyntheticBatch) -> None:
    families: dict[int, Counter[str]] = {}
    for s, name in zip(batch.subject_index.tolist(), batch.common, strict=True):
        if name and (family := COMMON_RELATIONS[name].family):
            families.setdefault(s, Counter())[family] += 1
    assert sum(max(counts.values()) >= 3 for counts in families.values()) > 0.2 * len(batch.subjects)


def test_many_relations_of_a_subject_are_near_identical(batch: SyntheticBatch) -> None:
    keys = list(zip(batch.subject_index.tolist(), batch.families.tolist(), strict=True))
    sizes = Counter(keys)
    assert sum(sizes[key] > 1 for key in keys) > 0.4 * len(keys)


def test_groups_share_relations_and_differ_in_values(batch: SyntheticBatch) -> None:
    by_group: dict[int, list[int]] = {}
    for s, group in enumerate(batch.groups.tolist()):
        by_group.setdefault(group, []).append(s)
    pairs = [members[:2] for members in by_group.values() if len(members) > 1]
    shared = equal = 0
    for a, b in pairs:
        left, right = (
            dict(zip(batch.relations[i:j], batch.objects[i:j], strict=True))
            for i, j in ((batch.offsets[s], batch.offsets[s + 1]) for s in (a, b))
        )
        common = left.keys() & right.keys()
        shared += len(common) >= 0.5 * min(len(left), len(right))
        equal += sum(left[r] == right[r] for r in common) > 0.5 * len(common)
    assert len(pairs) > 300 and shared > 0.95 * len(pairs) and equal < 0.1 * len(pairs)


def test_long_values_are_rare_and_flagged(batch: SyntheticBatch) -> None:
    sentences = np.array([kind == "sentence" for kind in batch.value_kinds])
    assert 0.001 < sentences.mean() < 0.02
    assert batch.is_long[sentences].all()
    assert batch.is_long.mean() < 0.06
    assert max(len(value) for value in batch.objects) < 400


def test_excluded_names_do_not_occur(batch: SyntheticBatch) -> None:
    relations, subjects = {"Population", "date of birth", "time_zone", "height"}, set(batch.subjects[:500])
    clean = generate(3000, seed=11, excluded_relations=relations, excluded_subjects=subjects)
    found = {relation.lower().replace("_", " ") for relation in clean.relations}
    assert found.isdisjoint({"population", "number of inhabitants", "date of birth", "birthday", "time zone", "height"})
    assert not any(relation.startswith(("population in ", "height in ")) for relation in found)
    assert {"population", "height"} & {relation.lower() for relation in batch.relations}
    assert {s.casefold() for s in clean.subjects}.isdisjoint({s.casefold() for s in subjects})
    assert {"population", "date of birth", "time zone", "height"}.isdisjoint(set(clean.common))


def test_no_subjects_is_an_error() -> None:
    with pytest.raises(ValueError, match="0"):
        generate(0, seed=1)


@pytest.mark.parametrize("kind", SUBJECT_KINDS, ids=lambda kind: kind.name)
def test_near_identical_subjects_are_different_and_near(kind: SubjectKind) -> None:
    draw = Draw(1)
    for _ in range(50):
        name = kind.draw_name(draw)
        near = near_identical(draw, name)
        assert near != name
        assert len(set(near.split()) ^ set(name.split())) <= 3


def test_near_value_changes_one_digit() -> None:
    draw = Draw(2)
    near = near_value(draw, "12 May 1987")
    assert sum(x != y for x, y in zip(near, "12 May 1987", strict=True)) == 1
    assert near_value(draw, "blue") == "blue"


def test_comparison_questions_are_right(batch: SyntheticBatch) -> None:
    questions = comparison_questions(batch, random.Random(1))
    assert questions == comparison_questions(batch, random.Random(1))
    for q in questions:
        (a, b), (x, y) = q.subjects, q.objects
        assert a != b and a in q.question and b in q.question
        first = q.fact_index[0]
        assert (batch.subjects[batch.subject_index[first]], batch.objects[first]) == (a, x)
        assert q.relation in q.question or batch.common[first] in ADJECTIVES
        assert not (q.is_completion and q.question.endswith(("?", ".", "!", ":")))
        if q.kind in ("same", "differ"):
            assert q.answer == ("Yes" if (x == y) == (q.kind == "same") else "No")
            continue
        is_up = q.kind in ("larger", "above", "later", "longer")
        order = ORDER_OF_KIND[batch.value_kinds[first]]
        wins = is_larger(x, y, order=order) == is_up
        assert is_larger(y, x, order=order) == (is_up != wins), "one is larger for certain"
        assert q.answer == (("Yes" if wins else "No") if q.kind in ("above", "below") else a if wins else b)


def test_comparisons_are_balanced(batch: SyntheticBatch) -> None:
    questions = comparison_questions(batch, random.Random(1), max_questions=3200)
    assert len(questions) == 3200
    kinds = Counter(q.kind for q in questions)
    assert set(kinds) == set(COMPARISON_FRAMES["trained"])
    assert kinds["same"] + kinds["differ"] < 0.65 * len(questions), "as many compare by size"
    for up, down in (("larger", "smaller"), ("above", "below"), ("later", "earlier")):
        assert 0.4 < kinds[up] / (kinds[up] + kinds[down]) < 0.6
    for kind in ("same", "differ", "above", "below"):
        answers = Counter(q.answer for q in questions if q.kind == kind)
        assert set(answers) == {"Yes", "No"} and 0.4 < answers["Yes"] / kinds[kind] < 0.6
    for kind in ("larger", "smaller", "later", "earlier"):
        first = [
            q.question.index(q.answer) < q.question.index(q.subjects[q.answer == q.subjects[0]])
            for q in questions
            if q.kind == kind and q.subjects[0] not in q.subjects[1] and q.subjects[1] not in q.subjects[0]
        ]
        assert 0.4 < sum(first) / len(first) < 0.6, "the right subject is named first in half"
    assert 0.03 < sum(q.is_completion for q in questions) / len(questions) < 0.3


@pytest.mark.parametrize(
    ("order", "smaller", "larger"),
    [
        ("number", "-12.5 km", "9 km"),
        ("number", "9,999", "10,000"),
        ("money", "US$9.50", "US$12.00"),
        ("money", "3 million euros", "5 million euros"),
        ("duration", "90 minutes", "2 hours"),
        ("duration", "2 h 59 min", "3:00:01"),
        ("duration", "11 months", "30 years"),
        ("date", "31 December 1970", "1971-01-01"),
        ("date", "May 17, 1971", "18.5.1971"),
        ("date", "17 Sep 1971", "October 1971"),
        ("date", "05/04/1970", "04/05/1971"),
        ("date", "500 BC", "300 BC"),
        ("date", "300 BC", "1066"),
    ],
)
def test_values_are_ordered(order: str, smaller: str, larger: str) -> None:
    assert is_larger(larger, smaller, order=order) is True
    assert is_larger(smaller, larger, order=order) is False
    assert is_larger(larger, larger, order=order) is None


@pytest.mark.parametrize(
    ("order", "one", "other"),
    [
        ("number", "5 km", "4 m"),
        ("number", "blue", "4"),
        ("money", "$5", "€4"),
        ("money", "$5", "$4 million"),
        ("duration", "12 months", "1 years"),
        ("duration", "5 moons", "4 moons"),
        ("date", "05/04/1971", "04/05/1971"),
        ("date", "1971", "May 1971"),
        ("date", "blue", "1971"),
    ],
)
def test_an_uncertain_order_is_none(order: str, one: str, other: str) -> None:
    assert is_larger(one, other, order=order) is None is is_larger(other, one, order=order)
    with pytest.raises(ValueError, match="'size'"):
        is_larger(one, other, order="size")


def words_of(frame: str) -> frozenset[str]:
    """A frame without placeholders, case and punctuation."""
    return frozenset(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", " ", frame.lower())))


def test_trained_comparisons_are_far_from_held_out_ones() -> None:
    trained, heldout = ([f for texts in COMPARISON_FRAMES[s].values() for f in texts] for s in ("trained", "heldout"))
    trained += [*ADJECTIVE_FRAMES, *ADJECTIVE_YES_NO_FRAMES]
    assert len(set(trained)) == len(trained)
    sizes = {kind: len(frames) for kind, frames in COMPARISON_FRAMES["trained"].items()}
    assert sizes["same"] >= 40 and sizes["differ"] >= 15 and sizes["larger"] >= 40 and sizes["smaller"] >= 30
    assert {normalise_text(f).rstrip("?.!: ") for f in trained}.isdisjoint(
        normalise_text(f).rstrip("?.!: ") for f in heldout
    )
    for known, unknown in itertools.product(map(words_of, trained), map(words_of, heldout)):
        assert len(known & unknown) < 0.6 * len(known | unknown), (sorted(known), sorted(unknown))
    assert set(ADJECTIVES) <= set(COMMON_RELATIONS)
    for frame in (f for texts in COMPARISON_FRAMES.values() for frames in texts.values() for f in frames):
        assert set(re.findall(r"\{\w+\}", frame)) == {"{a}", "{b}", "{relation}"}, frame


def test_comparison_splits(batch: SyntheticBatch) -> None:
    trained, heldout = ({f for texts in COMPARISON_FRAMES[s].values() for f in texts} for s in ("trained", "heldout"))
    assert len(trained) >= 25 and len(heldout) >= 8 and trained.isdisjoint(heldout)
    questions = comparison_questions(batch, random.Random(2), split="heldout", max_questions=20)
    assert len(questions) == 20 and all(q.split == "heldout" for q in questions)
    with pytest.raises(ValueError, match="'dev'"):
        comparison_questions(batch, random.Random(2), split="dev")
    with pytest.raises(ValueError, match="'blue'"):
        number("blue")


def test_unrelated_prompts_are_varied_and_filled() -> None:
    prompts = unrelated_prompts(random.Random(4), 2000)
    assert prompts == unrelated_prompts(random.Random(4), 2000)
    assert len(set(prompts)) > 1600
    assert 0.4 < sum(prompt == prompt.lower() for prompt in prompts) / len(prompts) < 0.65
    assert not any("{" in p and "}" in p for p in prompts) and all(p == p.strip() for p in prompts)
    assert unrelated_prompts(random.Random(4), 0) == []
    with pytest.raises(ValueError, match="-1"):
        unrelated_prompts(random.Random(4), -1)


def test_generation_is_fast() -> None:
    """Far below the speed of an idle core (about 110,000 facts a second), far above one that would hold training up."""
    start = time.process_time()
    num_facts = len(generate(3000, seed=1))
    assert num_facts / (time.process_time() - start) > 15_000
