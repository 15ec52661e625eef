"""Text -> words -> 64-bit n-gram keys. No torch, no state: the same text has the same keys on every machine and version.

In: raw text (a subject, an alias, a question). Out: numpy arrays of keys and of independent check hashes.
Each unique word is hashed once with BLAKE2b; the key of an n-gram is a mixed polynomial of its words' hashes modulo 2^64.
Both subjects and questions go through `encode`, so whatever is stripped here is stripped alike on both sides.

Letters: B texts, T words in all texts, U unique words as written, F unique folded words, N n-grams.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from widedeep_kb.word_statistics import zipf_frequency

OPENING = "\"'`“”„«»‹›([{<¿¡「『《〈【（"
CLOSING = "\"'`“”«»‹›)]}>」』》〉】）"
SENTENCE_END = ".?!:。？！…"
TRAILING = SENTENCE_END + ",;،、，；؟।"
PAIRS = {")": "(", "]": "[", "}": "{", ">": "<"}

# NFKC keeps these apart although people type one for the other.
_UNIFIED = str.maketrans(
    {"’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "−": "-", "—": " ", "―": " ", "\u200b": " "}
)
_SEPARATOR = re.compile(r"(?<!\d)[,;](?=[^\W\d])|(?<=[^\W\d])[,;](?!\d)")
# Scripts written without spaces (or, as Hangul, with particles joined to the name): one word per character.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)

_BASE, _CHECK_BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
CASED_SALT = np.uint64(0xA24BAED4963EE407)


def normalise(text: str) -> str:
    """`text` as it is compared: NFKC, one kind of apostrophe and hyphen, case-folded, whitespace collapsed."""
    return " ".join(_fold(_unify(text)).split())


def words(text: str) -> list[str]:
    """The folded words of `text`, in order, as keys see them: `Who made "C++"?` gives `who`, `made`, `c++`."""
    return [_fold(raw) for chunk in _unify(text).split() for raw in _chunk_words(chunk)[0]]


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
    """B texts as indices into their unique words.

    Attributes:
        word_ids: int32 [T], into `raw`.
        offsets: int64 [B + 1]; text b is word_ids[offsets[b]:offsets[b + 1]].
        is_start: bool [T], the word opens a sentence, so that its capital letter says nothing.
        raw: the U unique words as written.
        folded: their folded forms, U strings.
        hashes: uint64 [U, 2], key and check of the folded form.
    """

    word_ids: np.ndarray
    offsets: np.ndarray
    is_start: np.ndarray
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
        offsets = self.offsets[first : last + 1] - begin
        return replace(self, word_ids=self.word_ids[begin:end], offsets=offsets, is_start=self.is_start[begin:end])

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
        starts: int64 [N], index of the first word in `Encoded.word_ids`.
        lengths: int32 [N], words.
        is_variant: bool [N], the last word was taken without its possessive or plural ending.
    """

    keys: np.ndarray
    checks: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    is_variant: np.ndarray


def encode(texts: Sequence[str]) -> Encoded:
    """Split texts into words; each distinct whitespace-separated piece is taken apart and hashed once."""
    chunk_ids: dict[str, int] = {}
    split = [_unify(text).split() for text in texts]
    flat = np.fromiter((chunk_ids.setdefault(c, len(chunk_ids)) for chunks in split for c in chunks), np.int64)
    raw_ids: dict[str, int] = {}
    parts, ends = [], np.zeros(len(chunk_ids), dtype=bool)
    for number, chunk in enumerate(chunk_ids):
        pieces, ends[number] = _chunk_words(chunk)
        parts.append([raw_ids.setdefault(piece, len(raw_ids)) for piece in pieces])
    sizes = np.fromiter(map(len, parts), np.int64, len(parts))
    pool = np.fromiter((i for part in parts for i in part), np.int32)
    firsts = np.concatenate([[0], np.cumsum(sizes)])[:-1] if len(sizes) else sizes
    per_chunk = sizes[flat] if len(flat) else flat
    word_ids = pool[ranges(firsts[flat], per_chunk)] if len(flat) else np.zeros(0, np.int32)
    words_before = np.concatenate([[0], np.cumsum(per_chunk)])
    chunk_offsets = np.concatenate([[0], np.cumsum(np.fromiter(map(len, split), np.int64, len(split)))])
    offsets = words_before[chunk_offsets]
    is_start = np.zeros(len(word_ids) + 1, dtype=bool)
    is_start[offsets] = True
    is_start[words_before[1:][ends[flat]]] = True
    raw = list(raw_ids)
    folded = [_fold(word) for word in raw]
    return Encoded(word_ids, offsets, is_start[:-1], raw, folded, _hash_unique(folded))


def text_keys(encoded: Encoded, *, hashes: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One key for each whole text, with `hashes` (uint64 [U, 2]) in the place of the folded words' hashes.

    Returns:
        keys, checks: uint64 [B]. A text without a word has the key of the empty n-gram.
    """
    hashes = encoded.hashes if hashes is None else hashes
    lengths = np.diff(encoded.offsets)
    return span_keys(encoded, encoded.offsets[:-1], lengths=lengths, hashes=hashes)


def span_keys(
    encoded: Encoded, starts: np.ndarray, *, lengths: np.ndarray, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Keys and checks, uint64 [N], of the n-grams at `starts` of `lengths` words."""
    sums = np.zeros((len(starts), 2), dtype=np.uint64)
    for step in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > step)
        sums[rows] = _extend(sums[rows], hashes[encoded.word_ids[starts[rows] + step]])
    return _finish(sums, lengths)


def ngram_keys(encoded: Encoded, *, lengths: Sequence[int], is_known: np.ndarray, variants: "Variants") -> NGrams:
    """Every n-gram of the given lengths whose words are all known, also with its last word's variants.

    Args:
        encoded: the texts.
        lengths: n-gram lengths in words, those that subjects have.
        is_known: bool [U], the word occurs in some subject. N-grams that cross another word are skipped.
        variants: possessive and plural readings of the U words, already restricted to known ones.
    """
    stops = np.repeat(encoded.offsets[1:], np.diff(encoded.offsets))
    alive = np.arange(len(encoded.word_ids))
    sums = np.zeros((len(alive), 2), dtype=np.uint64)
    found: list[tuple[np.ndarray, np.ndarray, int, bool]] = []
    for step in range(max(lengths, default=0)):
        ids = encoded.word_ids[alive + step]
        if step + 1 in lengths:
            rows, choices = ranges_of(variants.offsets, ids)
            found.append((alive[rows], _extend(sums[rows], variants.hashes[choices]), step + 1, True))
        known = is_known[ids]
        alive, sums = alive[known], _extend(sums[known], encoded.hashes[ids[known]])
        if step + 1 in lengths:
            found.append((alive, sums, step + 1, False))
        inside = alive + step + 1 < stops[alive]
        alive, sums = alive[inside], sums[inside]
    return _gather(found)


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


def is_unspaced(word: str) -> bool:
    """The word is one character of a script written without spaces."""
    return bool(_UNSPACED.match(word))


def _hash_unique(texts: list[str]) -> np.ndarray:
    numbers: dict[str, int] = {}
    order = np.fromiter((numbers.setdefault(text, len(numbers)) for text in texts), np.int64, len(texts))
    return hash_words(list(numbers))[order]


def _extend(sums: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """One more word on the right of each polynomial, uint64 [N, 2]."""
    return sums * np.array([_BASE, _CHECK_BASE]) + hashes


def _finish(sums: np.ndarray, lengths: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    salt = np.asarray(lengths).astype(np.uint64)
    return mix(sums[:, 0] + salt), mix(sums[:, 1] ^ salt)


def _gather(found: list[tuple[np.ndarray, np.ndarray, int, bool]]) -> NGrams:
    if not found:
        empty = np.zeros(0, np.uint64)
        return NGrams(empty, empty, np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, bool))
    sizes = [len(starts) for starts, *_ in found]
    lengths = np.repeat(np.array([length for *_, length, _ in found], np.int32), sizes)
    is_variant = np.repeat([variant for *_, variant in found], sizes)
    keys, checks = _finish(np.concatenate([sums for _, sums, *_ in found]), lengths)
    return NGrams(keys, checks, np.concatenate([starts for starts, *_ in found]), lengths, is_variant)


def _unify(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_UNIFIED)
    # A line break ends a sentence: the next capital letter says nothing.
    return _SEPARATOR.sub(" ", text.replace("\n", " . "))


def _fold(text: str) -> str:
    return text.lower() if text.isascii() else text.casefold().replace("i\u0307", "i")


def _chunk_words(chunk: str) -> tuple[list[str], bool]:
    """Words of a piece of text without whitespace, and whether the piece ends a sentence."""
    core = chunk.lstrip(OPENING)
    while core and (core[-1] in TRAILING or core[-1] in CLOSING):
        opener = PAIRS.get(core[-1])
        if opener and core.count(opener) >= core.count(core[-1]):
            break
        core = core[:-1]
    ends = any(c in SENTENCE_END for c in chunk[len(chunk.rstrip(TRAILING + CLOSING)) :])
    if not core:
        # Nothing but punctuation: a name such as `!!!`, or a single stray mark.
        return ([chunk] if len(chunk) > 1 else []), ends
    return list(_segment(core)), ends


def _segment(core: str) -> Iterator[str]:
    if core.isascii() or not _UNSPACED.search(core):
        yield core
        return
    start = 0
    for match in _UNSPACED.finditer(core):
        piece = core[start : match.start()].strip(OPENING + CLOSING + TRAILING)
        if piece:
            yield piece
        yield match.group()
        start = match.end()
    piece = core[start:].strip(OPENING + CLOSING + TRAILING)
    if piece:
        yield piece
