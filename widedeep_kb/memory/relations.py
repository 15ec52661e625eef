"""Relations as retrieval sees them: cues (stemmed words and word pairs) and one small vector for each relation string.

Letters: R relations, P pairs of relation and cue, D numbers of a vector, T words of the questions, E cues met in them.
"""

import functools
import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from widedeep_kb.keys import Encoded, hash_words, ranges_of
from widedeep_kb.memory.growing import Growing
from widedeep_kb.memory.key_counts import KeyCounts
from widedeep_kb.segment import is_unspaced, words
from widedeep_kb.word_statistics import FUNCTION_WORDS, content_weight

WordVectors = Callable[[list[str]], np.ndarray]
"""Folded words -> float32 [n, D], for instance the mean input embedding of each word's tokens."""

_PAIR_SHARE = 0.6
"""Weight of a word pair against the mean of its words: it settles order (`date of first launch`), no more."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JOINTS = re.compile(r"[_/:|>\-]+|(?<=\w)\.(?=\w)")
_SUFFIXES = ("ation", "ating", "ated", "ator", "ment", "ing", "ion", "ate", "ed", "er", "or", "al", "ly", "e")
_SUFFIXES_BY_END = {end: [s for s in _SUFFIXES if s[-1] == end] for end in {s[-1] for s in _SUFFIXES}}

ANY = -1
"""Number of no relation: see `Relations.numbers_of`."""


def relation_words(relation: str) -> list[str]:
    """Folded words of a relation: `place_of_birth`, `birthPlace` and `/person/birth-place` are taken apart."""
    return words(_JOINTS.sub(" ", _CAMEL.sub(" ", relation)))


@functools.lru_cache(maxsize=1 << 18)
def stem(word: str) -> str:
    """Light stem: `populations` and `populated` meet at `popul`. Never shorter than three letters."""
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in _SUFFIXES_BY_END.get(word[-1:], ()):
        if word.endswith(suffix) and len(word) - len(suffix) >= (3 if suffix == "e" else 4):
            word = word[: -len(suffix)]
            break
    return word[:-1] if word.endswith("y") and len(word) > 4 else word


def relation_cues(relation: str) -> dict[str, float]:
    """Cues of a relation with their weights: its content words, and its pairs of neighbouring words."""
    return _cues_of(relation_words(relation))


def content_words(found: list[str]) -> list[str]:
    """The words that are no function words; all where there are no others."""
    return [word for word in found if word not in FUNCTION_WORDS] or found


def _cues_of(found: list[str]) -> dict[str, float]:
    cues = {stem(word): _cue_weight(word) for word in content_words(found)}
    for one, other in itertools.pairwise(found):
        weight = _PAIR_SHARE * (_cue_weight(one) + _cue_weight(other)) / 2
        cues.setdefault(stem(one + other), weight)
    return cues


def hashed_word_vectors(texts: list[str], *, dim: int = 128) -> np.ndarray:
    """Vectors of words from their character 3- to 5-grams, for use without an LLM: alike where spellings are.

    Returns:
        float32 [n, dim], of unit length.
    """
    result = np.zeros((len(texts), dim), dtype=np.float32)
    grams = [[f"<{t}>"[i : i + n] for n in (3, 4, 5) for i in range(len(t) + 3 - n)] or [t] for t in texts]
    if texts:
        hashes = hash_words([gram for row in grams for gram in row])
        rows = np.repeat(np.arange(len(texts)), [len(row) for row in grams])
        signs = np.where(hashes[:, 1] & np.uint64(1), 1.0, -1.0)
        np.add.at(result, (rows, (hashes[:, 0] % np.uint64(dim)).astype(np.int64)), signs)
    return _unit(result)


@dataclass(frozen=True)
class Cues:
    """E relation cues met in encoded texts, in the order of their first words.

    Attributes:
        positions: int64 [E], of the first word.
        lengths: int64 [E], words: 2 for a pair, more where glued words are read as one.
        keys, checks: uint64 [E].
        weights: float32 [E].
    """

    positions: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    checks: np.ndarray
    weights: np.ndarray

    def slice(self, first: int, last: int) -> "Cues":
        """Cues at the words first to last - 1, counted from first."""
        part = slice(*np.searchsorted(self.positions, [first, last]))
        positions = self.positions[part] - first
        return Cues(positions, self.lengths[part], self.keys[part], self.checks[part], self.weights[part])


class Relations:
    """The distinct relation strings of the live facts."""

    def __init__(self, word_vectors: WordVectors = hashed_word_vectors) -> None:
        self.word_vectors = word_vectors
        self.names: list[str | None] = []
        self._counts = Growing(np.zeros(0, np.int64))  # live facts of each relation, [R]
        self._totals = Growing(np.zeros(0, np.float32))  # [R]
        self._vectors = Growing(np.zeros((0, 0), np.float16))  # [R, D]
        self._offsets = Growing(np.zeros(1, np.int64))
        self._cue_hashes = Growing(np.zeros((0, 2), np.uint64))  # [P, 2]
        self._vocabulary = KeyCounts()
        self._ids: dict[str, int] = {}

    @property
    def totals(self) -> np.ndarray:
        """float32 [R]: summed weight of each relation's cues."""
        return self._totals.array

    @property
    def vectors(self) -> np.ndarray:
        """float16 [R, D], of unit length."""
        return self._vectors.array

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays, and of the relations' strings."""
        tables = (self._counts, self._totals, self._vectors, self._offsets, self._cue_hashes, self._vocabulary)
        return sum(table.nbytes for table in tables) + sum(len(name or "") for name in self.names)

    def add(self, relations: Sequence[str]) -> np.ndarray:
        """Count one more fact for each relation given. Returns their numbers, int32 [n]."""
        new = [relation for relation in dict.fromkeys(relations) if relation not in self._ids]
        if new:
            self._append(new)
        numbers = np.fromiter(map(self._ids.__getitem__, relations), np.int32, len(relations))
        distinct, counts = np.unique(numbers, return_counts=True)
        self._counts.array[distinct] += counts
        return numbers

    def release(self, numbers: np.ndarray) -> None:
        """Undo `add`: a relation without facts is forgotten, its string and vector with it."""
        distinct, counts = np.unique(numbers, return_counts=True)
        self._counts.array[distinct] -= counts
        for number in distinct[self._counts.array[distinct] == 0].tolist():
            del self._ids[self.names[number]]
            self.names[number] = None
            cues = self._cue_hashes.array[slice(*self._offsets.array[number : number + 2])]
            self._vocabulary.subtract(cues[:, 0])
            cues[:] = 0
            self.vectors[number], self._totals.array[number] = 0, 0

    def numbers_of(self, relations: Sequence[str | None]) -> np.ndarray:
        """Numbers of relations as they were written, int32 [n]: `ANY` for None, -2 for one that no fact has."""
        found = (ANY if relation is None else self._ids.get(relation, -2) for relation in relations)
        return np.fromiter(found, np.int32, len(relations))

    def cues_of(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cues of each relation: (position in `numbers`, int64 [P]; key and check, uint64 [P, 2])."""
        rows, members = ranges_of(self._offsets.array, numbers)
        return rows, self._cue_hashes.array[members]

    def find_cues(self, encoded: Encoded) -> Cues:
        """Every word and word pair of the texts that is a cue of some relation."""
        singles = [cue_stems(word) for word in encoded.folded]
        offsets = np.concatenate([[0], np.cumsum([len(s) for s in singles], dtype=np.int64)]).astype(np.int64)
        hashes, weights = self._known([stem for row in singles for stem in row])
        readings, members = ranges_of(offsets, encoded.reading_ids)
        positions = np.repeat(np.arange(len(encoded.word_ids)), np.diff(encoded.reading_offsets))[readings]
        lengths = encoded.reading_spans[readings].astype(np.int64)
        pair_positions, pair_members, pair_hashes, pair_weights = self._pairs(encoded)
        members = np.concatenate([members, pair_members + len(hashes)])
        positions = np.concatenate([positions, pair_positions])
        lengths = np.concatenate([lengths, np.full(len(pair_positions), 2)])
        hashes, weights = np.concatenate([hashes, pair_hashes]), np.concatenate([weights, pair_weights])
        keep = np.flatnonzero(weights[members] > 0)
        keep = keep[np.argsort(positions[keep], kind="stable")]
        members = members[keep]
        return Cues(positions[keep], lengths[keep], hashes[members, 0], hashes[members, 1], weights[members])

    def question_vectors(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Unit vectors, float32 [n, D], of the words of questions, to compare with `vectors`."""
        return self._embed([[word for word in text if word not in FUNCTION_WORDS] for text in texts])

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        text = json.dumps(self.names, ensure_ascii=False).encode("utf-8", "surrogatepass")
        own = {"names": np.frombuffer(text, np.uint8), "counts": self._counts.array, "totals": self.totals}
        own |= {"vectors": self.vectors, "offsets": self._offsets.array, "cue_hashes": self._cue_hashes.array}
        return own | {f"vocabulary.{name}": array for name, array in self._vocabulary.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], word_vectors: WordVectors) -> "Relations":
        """The relations of `arrays()`.

        Raises:
            ValueError: `word_vectors` gives vectors of another size than the stored ones.
        """
        result = cls(word_vectors)
        result.names = json.loads(arrays["names"].tobytes().decode("utf-8", "surrogatepass"))
        result._counts, result._totals, result._vectors, result._offsets, result._cue_hashes = (
            Growing(arrays[name]) for name in ("counts", "totals", "vectors", "offsets", "cue_hashes")
        )
        result._vocabulary = KeyCounts.from_arrays(
            {name: arrays[f"vocabulary.{name}"] for name in ("keys", "counts", "weights")}
        )
        result._ids = {name: number for number, name in enumerate(result.names) if name is not None}
        if result._ids and word_vectors(["word"]).shape[1] != result.vectors.shape[1]:
            given, stored = word_vectors(["word"]).shape[1], result.vectors.shape[1]
            raise ValueError(f"word vectors of size {given} given, but the stored relations have size {stored}")
        return result

    def _append(self, new: list[str]) -> None:
        split = [relation_words(relation) for relation in new]
        cues = [_cues_of(found) for found in split]
        sizes = [len(row) for row in cues]
        hashes = hash_words([cue for row in cues for cue in row])
        weights = np.array([weight for row in cues for weight in row.values()], np.float32)
        self._vocabulary.add(hashes[:, 0], weights)
        weights = self._vocabulary.weights_of(hashes[:, 0])
        totals = np.bincount(np.repeat(np.arange(len(new)), sizes), weights=weights, minlength=len(new))
        vectors = self._embed(split).astype(np.float16)
        self._ids.update({relation: len(self.names) + i for i, relation in enumerate(new)})
        self.names.extend(new)
        self._offsets.append(self._offsets.array[-1] + np.cumsum(sizes))
        self._cue_hashes.append(hashes)
        self._totals.append(totals.astype(np.float32))
        self._vectors.append(vectors)
        self._counts.append(np.zeros(len(new), np.int64))

    def _known(self, stems: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Hashes, uint64 [n, 2], and weights, float32 [n], of stems; weight 0 where no relation has the cue."""
        hashes = hash_words(stems)
        return hashes, self._vocabulary.weights_of(hashes[:, 0])

    def _pairs(self, encoded: Encoded) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        has_next = np.ones(len(encoded.word_ids), dtype=bool)
        ends = encoded.offsets[1:][np.diff(encoded.offsets) > 0]
        has_next[ends - 1] = False
        positions = np.flatnonzero(has_next)
        codes = encoded.word_ids[positions].astype(np.int64) * len(encoded.folded) + encoded.word_ids[positions + 1]
        unique, members = np.unique(codes, return_inverse=True)
        first, second = np.divmod(unique, max(1, len(encoded.folded)))
        folded = encoded.folded
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        return positions, members, *self._known([stem(folded[i] + folded[j]) for i, j in pairs])

    def _embed(self, texts: Sequence[Sequence[str]]) -> np.ndarray:
        """Unit vectors, float32 [n, D]: sums of the words' vectors by `content_weight`."""
        numbers: dict[str, int] = {}
        ids = np.fromiter((numbers.setdefault(w, len(numbers)) for text in texts for w in text), np.int64)
        vectors = np.asarray(self.word_vectors(list(numbers) or ["?"]), dtype=np.float32)
        weights = np.array([content_weight(word) for word in numbers] or [0.0], np.float32)
        starts = np.cumsum([0] + [len(text) for text in texts[:-1]])
        weighted = torch.from_numpy(vectors * weights[:, None])
        sums = F.embedding_bag(torch.from_numpy(ids), weighted, torch.from_numpy(starts[: len(texts)]), mode="sum")
        return _unit(sums.numpy())


def cue_stems(word: str) -> list[str]:
    """Cues that a word of a question may be: its stem, and those of the parts of a hyphenated word."""
    parts = [part for part in word.split("-") if part]
    if len(parts) < 2:
        return [stem(word)]
    return list(dict.fromkeys([*map(stem, parts), stem("".join(parts))]))


@functools.lru_cache(maxsize=1 << 18)
def _cue_weight(word: str) -> float:
    return 0.3 if is_unspaced(word) else content_weight(word)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
