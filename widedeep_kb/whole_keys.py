"""Keys of whole names, for look-ups of a few dozen: the same as `text_keys(encode(names))`, with less ado.

A name of plain ASCII words needs none of what `encode` finds out about marks, sentences and scripts. The hashes of
words and the keys of names are kept: bodies of facts share words, and what is looked up is looked up again.

Letters: B names, T words of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from widedeep_kb.keys import BASES, encode, finish, text_keys

_MOST = 1 << 18  # words kept, and names: some 50 MB each


@lru_cache(maxsize=_MOST)
def _word_hash(word: str) -> bytes:
    """Key and check of a folded word, as in `hash_words`."""
    return hashlib.blake2b(word.encode(), digest_size=16).digest()


class _Kept(dict[str, bytes]):
    """Keys and checks of names; all are forgotten where they become too many."""

    def learn(self, names: Sequence[str]) -> None:
        """Take note of names."""
        if len(self) + len(names) > _MOST:
            self.clear()
        pairs = np.stack(_keys_of(names), axis=1).astype("<u8").tobytes()
        self.update((name, pairs[16 * place : 16 * place + 16]) for place, name in enumerate(names))


_KEPT = _Kept()


def whole_keys(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Keys and checks of B whole names, uint64 [B]."""
    found = [_KEPT.get(name) for name in names]
    if None in found:
        if len(names) > _MOST:
            return _keys_of(names)
        _KEPT.learn(list({name for name, pair in zip(names, found, strict=True) if pair is None}))
        found = [_KEPT.get(name) for name in names]
        if None in found:  # another thread had it cleared
            return _keys_of(names)
    pairs = np.frombuffer(b"".join(found), dtype="<u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def _keys_of(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
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
