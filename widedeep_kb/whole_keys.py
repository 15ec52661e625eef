"""Keys of whole names, for look-ups of a few dozen: the same as `text_keys(encode(names))`, with less ado.

A name of plain ASCII words needs none of what `encode` finds out about marks, sentences and scripts. Its words' hashes
are kept: names of one body of facts share most of them.

Letters: B names, T words of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from widedeep_kb.keys import BASES, encode, finish, text_keys

_MOST_WORDS = 1 << 18  # kept, some 50 MB


@lru_cache(maxsize=_MOST_WORDS)
def _word_hash(word: str) -> bytes:
    """Key and check of a folded word, as in `hash_words`."""
    return hashlib.blake2b(word.encode(), digest_size=16).digest()


def whole_keys(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Keys and checks of B whole names, uint64 [B]."""
    words, lengths, others = [], [], []
    for place, name in enumerate(names):
        own = name.lower().split()
        if name.isascii() and "".join(own).isalnum():
            words += own
            lengths.append(len(own))
        else:
            others.append(place)
            lengths.append(0)
    hashes = np.frombuffer(b"".join(map(_word_hash, words)), dtype="<u8").reshape(-1, 2)
    keys, checks = _combined(hashes, np.array(lengths, dtype=np.int64))
    if others:
        keys[others], checks[others] = text_keys(encode([names[place] for place in others]))
    return keys, checks


def _combined(hashes: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys of names, uint64 [B], from their words' hashes [T, 2] and their numbers of words [B]."""
    starts = np.cumsum(lengths) - lengths
    sums = np.zeros((len(lengths), 2), dtype=np.uint64)
    for step in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > step)
        sums[rows] = sums[rows] * BASES + hashes[starts[rows] + step]
    return finish(sums, lengths)
