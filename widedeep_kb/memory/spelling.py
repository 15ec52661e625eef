"""How alike names are spelled: vectors of hashed letter runs, and the typing errors between two. No LLM, no state.

In: names as words. Out: unit vectors that are close where spellings are (a typing error changes a few runs of 2 or 3
letters, a dropped word those of one word, an accent none: marks on letters are taken off first), or a count of errors.

Letters: N names, D numbers of a vector, U distinct words, G runs of letters of all words.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from widedeep_kb.keys import hash_words, number
from widedeep_kb.segment import words
from widedeep_kb.word_statistics import content_weight

NameVectors = Callable[[Sequence[Sequence[str]]], np.ndarray]
"""Names as plain words -> float32 [N, D] of unit length."""
_DIM = 128
_RUNS = (2, 3)


def plain_words(text: str) -> list[str]:
    """The folded words of `text` without marks on letters: `São-Tomé` gives `sao-tome`."""
    return words("".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char)))


def spelling_vectors(names: Sequence[Sequence[str]], *, dim: int = _DIM) -> np.ndarray:
    """Vectors of names, sums over the letter runs of their words; rare words count more.

    Args:
        names: N names as plain words.
        dim: D.

    Returns:
        float32 [N, D] of unit length, zeros for a name without words.
    """
    distinct, members = number([word for name in names for word in name])
    owners = np.repeat(np.arange(len(names)), np.fromiter(map(len, names), np.int64, len(names)))
    result = np.zeros((len(names), dim), np.float32)
    of_words = _word_vectors(distinct, dim=dim)
    places = np.arange(len(owners)) - np.searchsorted(owners, owners)
    for place in range(int(places.max(initial=-1)) + 1):  # the first words of all names, the second ones, ...
        rows = np.flatnonzero(places == place)
        result[owners[rows]] += of_words[members[rows]]
    return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)


def _word_vectors(distinct: list[str], *, dim: int) -> np.ndarray:
    """float32 [U, D]: signed counts of each word's hashed letter runs, times the word's weight."""
    runs = [[f"<{word}>"[i : i + size] for size in _RUNS for i in range(len(word) + 3 - size)] for word in distinct]
    kinds, members = number([run for row in runs for run in row])
    hashes = hash_words(kinds)
    places = (hashes[:, 0] % np.uint64(dim)).astype(np.int64)[members]
    signs = np.where(hashes[:, 1] & np.uint64(1), 1.0, -1.0).astype(np.float32)[members]
    owners = np.repeat(np.arange(len(runs)), [len(row) for row in runs])
    flat = np.bincount(owners * dim + places, weights=signs, minlength=len(distinct) * dim)
    weights = np.array([content_weight(word) for word in distinct], np.float32)
    return flat.reshape(len(distinct), dim).astype(np.float32) * weights[:, None]


def count_errors(one: str, other: str, *, most: int) -> int:
    """Typing errors between two spellings: letters lost, added, changed, or two neighbours swapped.

    The optimal string alignment distance (Boytsov, 2011, section 2.1).

    Args:
        one, other: plain names.
        most: counted up to; more errors give `most + 1`.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    older, former = list(range(len(other) + 1)), list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            errors = min(former[j] + 1, row[-1] + 1, former[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                errors = min(errors, older[j - 2] + 1)
            row.append(errors)
        if min(row) > most and min(former) > most:
            return most + 1
        older, former = former, row
    return min(former[-1], most + 1)
