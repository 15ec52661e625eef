"""Text -> words -> 64-bit n-gram keys. No torch, no state: a text has the same keys on every machine and version.

In: raw text (a subject, an alias, a question). Out: numpy arrays of keys and of independent check hashes.
Each unique word is hashed once with BLAKE2b; the key of an n-gram is a mixed polynomial of its words' hashes, mod 2^64.
Both subjects and questions go through `encode`, so whatever is stripped here is stripped alike on both sides. Questions
are split once more, at the marks inside words: a subject is found as a whole word and as a part of one.

Letters: B texts, T words (or pieces) in all texts, E readings of them, U unique words as written, N n-grams.
"""

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

import numpy as np

from widedeep_kb.glue import SPACE, UNDERSCORE, Pieces, take_apart
from widedeep_kb.segment import SENTENCE_END, chunk_words, fold, unify
from widedeep_kb.word_statistics import zipf_frequency

_BASE, _CHECK_BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
BASES = np.array([_BASE, _CHECK_BASE])  # of the polynomials of keys and of checks
CASED_SALT = np.uint64(0xA24BAED4963EE407)


def hash_words(texts: Sequence[str]) -> np.ndarray:
    """BLAKE2b of each string.

    Returns:
        uint64 [n, 2]: a 64-bit key and an independent 64-bit check.
    """
    digests = b"".join(
        [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
    )
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)


def mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser, elementwise on uint64: spreads every input bit over the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def combine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Key of an ordered pair of keys (a subject and a relation cue), uint64, broadcasting."""
    return mix(first * _BASE + mix(second + _CHECK_BASE))


@dataclass(frozen=True)
class Encoded:
    """B texts as indices into their unique words, and every way to read them.

    Attributes:
        word_ids: int32 [T], into `raw`.
        offsets: int64 [B + 1]; text b is word_ids[offsets[b]:offsets[b + 1]].
        is_start: bool [T], the word opens a sentence, so that its capital letter says nothing.
        glue: int8 [T], what stands before the word: `SPACE`, or a mark that glues it to the one before.
        reading_offsets: int64 [T + 1]; readings reading_offsets[t]:reading_offsets[t + 1] begin at word t.
        reading_spans: int32 [E], words that a reading takes: more than one where glued words are read as one.
        reading_ids: int32 [E], into `raw`.
        raw: the U unique words as written.
        folded: their folded forms, U strings.
        hashes: uint64 [U, 2], key and check of the folded form.
    """

    word_ids: np.ndarray
    offsets: np.ndarray
    is_start: np.ndarray
    glue: np.ndarray
    reading_offsets: np.ndarray
    reading_spans: np.ndarray
    reading_ids: np.ndarray
    raw: list[str]
    folded: list[str]
    hashes: np.ndarray = field(repr=False)

    @property
    def text_ids(self) -> np.ndarray:
        """int64 [T]: the text of each word."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def slice(self, first: int, last: int) -> "Encoded":
        """Texts first to last - 1, with the same unique words."""
        begin, end = self.offsets[first], self.offsets[last]
        readings = slice(self.reading_offsets[begin], self.reading_offsets[end])
        return replace(
            self,
            word_ids=self.word_ids[begin:end],
            offsets=self.offsets[first : last + 1] - begin,
            is_start=self.is_start[begin:end],
            glue=self.glue[begin:end],
            reading_offsets=self.reading_offsets[begin : end + 1] - readings.start,
            reading_spans=self.reading_spans[readings],
            reading_ids=self.reading_ids[readings],
        )

    def raw_hashes(self) -> np.ndarray:
        """uint64 [U, 2]: hashes of the words as written, equal to `hashes` where they have no capital."""
        changed = [i for i, (raw, folded) in enumerate(zip(self.raw, self.folded, strict=True)) if raw != folded]
        result = self.hashes.copy()
        if changed:
            result[changed] = hash_words([self.raw[i] for i in changed])
        return result


@dataclass(frozen=True)
class NGrams:
    """N n-grams of encoded texts.

    Attributes:
        keys, checks: uint64 [N].
        cased_keys, cased_checks: uint64 [N], of the words as written.
        starts, ends: int64 [N], the n-gram covers starts:ends of `Encoded.word_ids`.
        lengths: int32 [N], words, each perhaps read from several glued ones.
        last_ids: int32 [N], the last word, into `Encoded.raw`.
        values: float64 [N, K], summed over the words.
        is_variant: bool [N], the last word was taken without its possessive or plural ending.
    """

    keys: np.ndarray
    checks: np.ndarray
    cased_keys: np.ndarray
    cased_checks: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lengths: np.ndarray
    last_ids: np.ndarray
    values: np.ndarray
    is_variant: np.ndarray

    def take(self, rows: np.ndarray) -> "NGrams":
        """Some of the n-grams."""
        return NGrams(*(getattr(self, column.name)[rows] for column in fields(self)))


def encode(texts: Sequence[str], *, has_pieces: bool = False) -> Encoded:
    """Split texts into words; each distinct whitespace-separated chunk is taken apart and hashed once.

    Args:
        texts: B texts.
        has_pieces: split words at the marks inside them too, and keep every reading of them.
    """
    split = [unify(text).split() for text in texts]
    distinct, flat = number(list(itertools.chain.from_iterable(split)))
    chunks, ends = _take_chunks_apart(distinct, has_pieces=has_pieces)
    sizes = np.array([len(chunk.words) for chunk in chunks], np.int64)
    per_chunk = sizes[flat]
    places = ranges((np.cumsum(sizes) - sizes)[flat], per_chunk)  # [T], in the words of all chunks
    glue = np.fromiter((mark for chunk in chunks for mark in chunk.glue), np.int8)
    readings = [row for chunk in chunks for row in chunk.readings]
    spans = np.fromiter((span for row in readings for span, _ in row), np.int32)
    pool_words = [word for chunk in chunks for word in chunk.words]
    raw, numbers = number([*pool_words, *(word for row in readings for _, word in row)])
    pool, ids = np.split(numbers.astype(np.int32), [len(pool_words)])
    pool_offsets = np.concatenate([[0], np.cumsum([len(row) for row in readings], dtype=np.int64)]).astype(np.int64)
    rows, members = ranges_of(pool_offsets, places)
    words_before = np.concatenate([[0], np.cumsum(per_chunk)])
    offsets = words_before[np.concatenate([[0], np.cumsum(np.fromiter(map(len, split), np.int64, len(split)))])]
    is_start = np.zeros(len(places) + 1, dtype=bool)
    is_start[offsets] = True
    is_start[words_before[1:][ends[flat]]] = True
    folded = [fold(word) for word in raw]
    return Encoded(
        word_ids=pool[places],
        offsets=offsets,
        is_start=is_start[:-1],
        glue=glue[places],
        reading_offsets=np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(places)))]),
        reading_spans=spans[members],
        reading_ids=ids[members],
        raw=raw,
        folded=folded,
        hashes=_hash_unique(folded),
    )


def text_keys(encoded: Encoded, *, hashes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One key for each whole text, with `hashes` (uint64 [U, 2]) in the place of the folded words' hashes.

    Returns:
        keys, checks: uint64 [B]. A text without a word has the key of the empty n-gram.
    """
    hashes = encoded.hashes if hashes is None else hashes
    starts, lengths = encoded.offsets[:-1], np.diff(encoded.offsets)
    sums = np.zeros((len(starts), 2), dtype=np.uint64)
    for step in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > step)
        sums[rows] = _extend(sums[rows], hashes[encoded.word_ids[starts[rows] + step]])
    return finish(sums, lengths)


def ngram_keys(
    encoded: Encoded,
    *,
    lengths: Sequence[int],
    is_known: np.ndarray,
    variants: "Variants",
    raw_hashes: np.ndarray | None = None,
    values: np.ndarray | None = None,
) -> NGrams:
    """Every n-gram of the given lengths whose words are all known, also with its last word's variants.

    Inside a chunk of glued words an n-gram begins and ends at any mark, but only a space or `_` parts two of its words.

    Args:
        encoded: the texts.
        lengths: n-gram lengths in words, those that subjects have.
        is_known: bool [U], the word occurs in some subject. N-grams that cross another word are skipped.
        variants: possessive and plural readings of the U words, already restricted to known ones.
        raw_hashes: uint64 [U, 2], of the words as written; the folded ones where absent.
        values: float64 [U, K], numbers of the words to be summed.
    """
    hashes = np.hstack([encoded.hashes, encoded.hashes if raw_hashes is None else raw_hashes])  # [U, 4]
    values = np.zeros((len(hashes), 0)) if values is None else values
    stops = np.repeat(encoded.offsets[1:], np.diff(encoded.offsets))
    is_joint = (encoded.glue == SPACE) | (encoded.glue == UNDERSCORE)
    first = np.arange(len(encoded.word_ids))
    alive = _Paths(first, first, np.zeros((len(first), 4), np.uint64), np.zeros((len(first), values.shape[1])), first)
    found: list[tuple[_Paths, int, bool]] = [(alive.take(first[:0]), 0, False)]
    for step in range(1, max(lengths, default=0) + 1):
        rows, readings = ranges_of(encoded.reading_offsets, alive.ends)
        ids, before = encoded.reading_ids[readings], alive.take(rows)
        before = before._replace(ends=before.ends + encoded.reading_spans[readings], last_ids=ids)
        if step in lengths:
            kept, choices = ranges_of(variants.offsets, ids)
            last = np.hstack([variants.hashes[choices], hashes[ids[kept], 2:]])
            found.append((before.take(kept).extend(last, values[ids[kept]]), step, True))
        known = np.flatnonzero(is_known[ids])
        alive = before.take(known).extend(hashes[ids[known]], values[ids[known]])
        if step in lengths:
            found.append((alive, step, False))
        inside = np.flatnonzero(alive.ends < stops[alive.starts])
        alive = alive.take(inside[is_joint[alive.ends[inside]]])
    return _gather(found)


class _Paths(NamedTuple):
    """N n-grams as they grow."""

    starts: np.ndarray
    ends: np.ndarray
    sums: np.ndarray  # uint64 [N, 4], polynomials of key, check, cased key, cased check
    values: np.ndarray
    last_ids: np.ndarray

    def take(self, rows: np.ndarray) -> "_Paths":
        return _Paths(*(column[rows] for column in self))

    def extend(self, hashes: np.ndarray, values: np.ndarray) -> "_Paths":
        return self._replace(sums=_extend(self.sums, hashes), values=self.values + values)


@dataclass(frozen=True)
class Variants:
    """Readings of words without a possessive or plural ending.

    Attributes:
        offsets: int64 [U + 1]; word u has the readings offsets[u]:offsets[u + 1].
        hashes: uint64 [V, 2].
    """

    offsets: np.ndarray
    hashes: np.ndarray

    def restrict(self, keep: np.ndarray) -> "Variants":
        """The readings with `keep`, bool [V]."""
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return Variants(kept_before[self.offsets], self.hashes[keep])


def find_variants(folded: Sequence[str]) -> Variants:
    """Possessive (`'s`, `s'`) and plural (`s`, `es`, `ies`) readings of each folded word."""
    readings = [word_variants(word) for word in folded]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in readings], dtype=np.int64)]).astype(np.int64)
    return Variants(offsets, _hash_unique([word for reading in readings for word in reading]))


def word_variants(word: str) -> list[str]:
    """Shorter readings of a folded word: `widgets'` and `widget's` may name `widget`, `cities` may name `city`."""
    if word.endswith("'s") and len(word) > 2:
        return [word[:-2].rstrip(SENTENCE_END) or word[:-2]]
    if not word.endswith("s") or word.endswith("ss") or len(word) < 3:
        return []
    candidates = [word[:-1]]
    if word.endswith("ies") and len(word) > 4:
        candidates.append(word[:-3] + "y")
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        candidates.append(word[:-2])
    # `james` is no plural of `jame`: a frequent word with a rare stem is a word of its own.
    frequency = zipf_frequency(word)
    stems = [stem.rstrip(SENTENCE_END) or stem for stem in candidates]
    return [stem for stem in stems if frequency < 3.0 or frequency - zipf_frequency(stem) < 1.0]


def number(texts: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The distinct strings in the order of their first places, and for each text, int64 [n], which of them it is."""
    numbers = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    return list(numbers), np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Concatenation of arange(start, start + length) over pairs, int64."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


def ranges_of(offsets: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Members of the jagged rows `indices`: (position in `indices` of each member, index of the member)."""
    starts = offsets[indices]
    lengths = offsets[indices + 1] - starts
    return np.repeat(np.arange(len(indices)), lengths), ranges(starts, lengths)


def _hash_unique(texts: list[str]) -> np.ndarray:
    distinct, numbers = number(texts)
    return hash_words(distinct)[numbers]


def _take_chunks_apart(chunks: Iterable[str], *, has_pieces: bool) -> tuple[list[Pieces], np.ndarray]:
    """Words of each chunk, and bool [chunks], the chunk ends a sentence."""
    result, ends = [], []
    for chunk in chunks:
        found, is_end = chunk_words(chunk)
        parts = [take_apart(word) if has_pieces else Pieces.whole(word) for word in found]
        result.append(parts[0] if len(parts) == 1 else Pieces.joined(parts))
        ends.append(is_end)
    return result, np.array(ends, bool)


def _extend(sums: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """One more word on the right of each polynomial, uint64 [N, 2] or [N, 4]."""
    return sums * np.array([_BASE, _CHECK_BASE] * (sums.shape[1] // 2)) + hashes


def finish(sums: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keys and checks, uint64 [N], of n-grams' polynomials (uint64 [N, 2]) and numbers of words [N]."""
    salt = lengths.astype(np.uint64)
    return mix(sums[:, 0] + salt), mix(sums[:, 1] ^ salt)


def _gather(found: list[tuple[_Paths, int, bool]]) -> NGrams:
    sizes = [len(paths.starts) for paths, *_ in found]
    paths = _Paths(*map(np.concatenate, zip(*(paths for paths, *_ in found), strict=True)))
    lengths = np.repeat(np.array([length for _, length, _ in found], np.int32), sizes)
    is_variant = np.repeat(np.array([variant for *_, variant in found]), sizes)
    keys, checks = finish(paths.sums[:, :2], lengths)
    cased_keys, cased_checks = finish(paths.sums[:, 2:], lengths)
    return NGrams(
        keys=keys,
        checks=checks,
        cased_keys=cased_keys,
        cased_checks=cased_checks,
        starts=paths.starts,
        ends=paths.ends,
        lengths=lengths,
        last_ids=paths.last_ids,
        values=paths.values,
        is_variant=is_variant,
    )
