"""Guessed names: what is believed and what is not, names in step with the facts, and silence where nothing is meant."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from widedeep_kb.memory import semantic
from widedeep_kb.memory.guessing import FILE_NAME, GUESSED, NameGuesser, add_guesses
from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.memory.spelling import plain_words, spelling_vectors
from widedeep_kb.phrasings.corruption import misspell
from widedeep_kb.schema import facts_from_records

NAMES = (
    "Hasbruch",
    "São Tomé de Quarra",
    "Guernsey",
    "Port Valdovia",
    "Zorvania Heights",
    "New Zorvania",
    "Mandolu",
    "Lima Field",
)


def facts(*rows: tuple) -> pl.DataFrame:
    """A checked frame of (subject, relation, object[, aliases])."""
    keys = ("subject", "relation", "object", "subject_aliases")
    return facts_from_records([dict(zip(keys, row, strict=False)) for row in rows])


def guesser_of(names: tuple[str, ...] = NAMES) -> NameGuesser:
    guesser = NameGuesser(device="cpu")
    guesser.add(facts(*((name, "capital", "Quillfax") for name in names)))
    return guesser


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is the capital of Hasbruhc?", "Hasbruch"),  # swapped letters
        ("what is hasbrch's capital", "Hasbruch"),  # a lost letter, a possessive
        ("Capital of “Guernssey”, please", "Guernsey"),  # a doubled letter, marks around it
        ("Tell me the capital of Sao Tome de Quarra.", "São Tomé de Quarra"),  # no accents
        ("the capital of tome de quarra is", "São Tomé de Quarra"),  # a word left out
        ("Where is Valdovia's capital?", "Port Valdovia"),
        ("Which is the capital of Zorvnia Hieghts?", "Zorvania Heights"),  # two errors in 16 letters
        ("Which is the capital of Prot Valdovai?", None),  # two errors in 13 letters
        ("What is the capital of Zorvania?", None),  # two names have it
        ("What is the capital of Gernsy?", None),  # two errors in 8 letters
        ("What is the capital of Manlolu City?", "Mandolu"),
        ("What is the capital of Mila Field?", None),  # the shared word makes it no more alike
        ("What is the capital of the port?", None),  # a common word is no damaged name
        ("What is the capital of the heights?", None),
        ("Who painted the Mona Lisa?", None),
        ("", None),
    ],
)
def test_what_is_guessed(question: str, name: str | None) -> None:
    (guess,) = guesser_of().guess([question])
    assert (guess and guess.name) == name
    if guess is not None:
        assert guess.text == question.replace(guess.words, name) and 0 < guess.similarity <= 1


def test_a_guess_is_the_best_name_by_brute_force() -> None:
    """A fresh typing error in a random name: the nearest spelling of all is found by the index, at every size."""
    rng = random.Random(5)
    letters = "bcdfghklmnprstvz"
    names = sorted({"".join(rng.choice(letters) + rng.choice("aeiou") for _ in range(5)) for _ in range(400)})
    guesser = guesser_of(tuple(names))
    asked = [misspell(name, rng) for name in names]
    vectors = spelling_vectors([[name] for name in names]).astype(np.float64)
    nearest = (spelling_vectors([[word] for word in asked]).astype(np.float64) @ vectors.T).argsort(axis=1)[:, -8:]
    found = guesser.guess([f"What is the area of {word}?" for word in asked])
    num_found = 0
    for name, word, guess, row in zip(names, asked, found, nearest, strict=True):
        if guess is not None:
            assert guess.words == word and names.index(guess.name) in row
            num_found += guess.name == name
    assert num_found > 0.9 * len(names)


def test_names_are_kept_in_step(tmp_path: Path) -> None:
    guesser = guesser_of()
    more = facts(("Hasbruch", "mayor", "Ada"), ("HASBRUCH", "motto", "on", ["Old Hasbruchen"]))
    guesser.add(more)
    assert len(guesser) == len(NAMES) + 1 == len(guesser.index)
    guesser.remove(more)
    assert len(guesser) == len(NAMES) == len(guesser.index)
    guesser.remove(facts(("Hasbruch", "capital", "Quillfax")))
    questions = ["Capital of Hasbruhc?", "Capital of Guernssey?"]
    assert [guess and guess.name for guess in guesser.guess(questions)] == [None, "Guernsey"]
    guesser.save(tmp_path)
    data = (tmp_path / FILE_NAME).read_bytes()
    assert b"asbruch" not in data and spelling_vectors([plain_words("Hasbruch")]).astype("f2").tobytes() not in data
    loaded = NameGuesser.load(tmp_path, device="cpu")
    assert loaded.guess(questions) == guesser.guess(questions) and loaded.size_bytes == guesser.size_bytes
    loaded.add(facts(("Hasbruch", "capital", "Quillfax")))
    assert loaded.guess(questions)[0].name == "Hasbruch"


def test_more_names_than_a_flat_index_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "FLAT_LIMIT", 3000)
    rng = random.Random(1)
    names = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=9)).capitalize() for _ in range(8000)]
    guesser = guesser_of(tuple(names[:2000]))
    assert guesser.index.is_flat
    guesser.add(facts(*((name, "capital", "x") for name in names[2000:])))
    assert not guesser.index.is_flat and len(guesser.index) == len(guesser) == 8000
    found = guesser.guess([f"Capital of {name[:4] + name[5:]}?" for name in names[::40]])
    assert (
        np.mean([guess is not None and guess.name == name for guess, name in zip(found, names[::40], strict=True)])
        > 0.95
    )
    guesser.remove(facts(*((name, "capital", "x") for name in names[:4000])))
    assert len(guesser.index) == len(guesser) == 4000
    assert guesser.guess([f"Capital of {names[40][1:]}?"]) == [None]


def test_only_questions_without_a_hit_are_touched() -> None:
    retriever, guesser = Retriever(4), guesser_of()
    size = len(NAMES)
    retriever.add(np.arange(size), subjects=NAMES, aliases=[()] * size, subject_ids=NAMES, relations=["capital"] * size)
    texts = ["Capital of Guernsey?", "Capital of Hasbruhc?", "Who painted the Mona Lisa?"]
    before = retriever.lookup(texts)
    after = add_guesses(before, texts, guesser=guesser, retriever=retriever)
    assert (before.ordinals[1] == -1).all(), "the former hits are left as they were"
    for row in (0, 2):
        assert all(np.array_equal(one[row], other[row]) for one, other in zip(before, after, strict=True))
    assert after.ordinals[1, 0] == NAMES.index("Hasbruch") and after.stage[1].tolist() == [GUESSED, 0, 0, 0]
    (exact,) = retriever.lookup(["Capital of Hasbruch?"]).weights
    np.testing.assert_array_equal(after.weights[1], exact)
    assert add_guesses(before, ["", "", ""], guesser=guesser, retriever=retriever) is before


def test_bad_limits_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 1.2"):
        NameGuesser(least_alike=1.2)
    guesser_of().save(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="truncated or damaged"):
        NameGuesser.load(tmp_path)
