"""Subjects as retrieval sees them: which n-grams of a text are a subject or an alias, and how far to believe each.

A *naming* is one (subject_id, subject, aliases) as it stands on facts; it lives while a live fact bears it. A *subject
key* is the hash of the subject_id: namesakes have one name and several subject keys.

Letters: F namings, S spans (hits) in the texts, M pairs of span and subject, U unique words, T words of all texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widedeep_kb.glue import SOFT, UNDERSCORE
from widedeep_kb.keys import (
    CASED_SALT,
    Encoded,
    NGrams,
    Variants,
    encode,
    find_variants,
    hash_words,
    mix,
    ngram_keys,
    text_keys,
    word_variants,
)
from widedeep_kb.memory.array_file import part_of
from widedeep_kb.memory.growing import Growing
from widedeep_kb.memory.index import ExactIndex
from widedeep_kb.memory.key_counts import KeyCounts
from widedeep_kb.segment import is_unspaced
from widedeep_kb.whole_keys import whole_keys
from widedeep_kb.word_statistics import FUNCTION_WORDS, is_common, zipf_frequency

FREE, COMMON, FUNCTION = 0, 1, 2
"""Kinds of a hit: a name in its own right; a common word, to be confirmed; a function word, to be confirmed twice."""
_INDEXES = ("forms", "forms_of", "words_of", "numbers")


@dataclass(frozen=True)
class Lexicon:
    """What matters about each of the U unique words of the texts, computed once."""

    is_known: np.ndarray  # bool [U], a word of some subject
    variants: Variants
    raw_hashes: np.ndarray  # uint64 [U, 2]
    is_content: np.ndarray  # bool [U], no function word
    is_common: np.ndarray  # bool [U], alone no name
    has_common_variant: np.ndarray  # bool [U], `sings` is no evidence for a `Sing`
    zipf: np.ndarray  # float64 [U]
    is_upper: np.ndarray  # bool [U], begins with a capital letter
    is_lower: np.ndarray  # bool [U], begins with a small letter
    is_shouted: np.ndarray  # bool [U], has a capital letter after its first


@dataclass(frozen=True)
class SubjectHits:
    """S spans that name a subject, and their M subjects.

    Attributes:
        starts, ends: int64 [S], words of the span in `Encoded.word_ids`.
        is_part: bool [S], one word that a weak mark glues to others, as `Widget` in `api.Widget.size`: to be confirmed.
        is_variant: bool [S], met without a possessive or plural ending.
        agrees: bool [S], capital letters in a mixed-case text are those of the subject.
        is_mixed: bool [S], the text's capital letters mean something.
        kinds: int8 [S], `FREE`, `COMMON` or `FUNCTION`.
        weights: float32 [S], in (0, 1].
        spans: int64 [M], ascending.
        subject_keys, subject_checks: uint64 [M].
    """

    starts: np.ndarray
    ends: np.ndarray
    is_part: np.ndarray
    is_variant: np.ndarray
    agrees: np.ndarray
    is_mixed: np.ndarray
    kinds: np.ndarray
    weights: np.ndarray
    spans: np.ndarray
    subject_keys: np.ndarray
    subject_checks: np.ndarray


class Subjects:
    """Exact index from names to subjects."""

    def __init__(self) -> None:
        self.forms = ExactIndex()  # key of a name, as folded and as written -> numbers of namings
        self._forms_of = ExactIndex()  # number of a naming -> its form keys
        self._words_of = ExactIndex()  # number of a naming -> its word keys
        self._numbers = ExactIndex()  # key of a naming -> its number
        self._words = KeyCounts()
        self._lengths = np.zeros(0, np.int64)  # distinct lengths of names, in words
        self._hashes = Growing(np.zeros((0, 2), np.uint64))  # key and check of each naming's subject, [F, 2]
        self._own_keys = Growing(np.zeros(0, np.uint64))  # [F]
        self._counts = Growing(np.zeros(0, np.int64))  # live facts of each naming, [F]

    @property
    def size_bytes(self) -> int:
        """Bytes of all arrays."""
        indexes = (self.forms, self._forms_of, self._words_of, self._numbers)
        tables = (self._hashes, self._own_keys, self._counts, self._words)
        return sum(index.size_bytes for index in indexes) + sum(table.nbytes for table in tables)

    @property
    def hashes(self) -> np.ndarray:
        """uint64 [F, 2]: key and check of each naming's subject, zeros where nobody bears it any more."""
        return self._hashes.array

    def add(
        self, subjects: Sequence[str], aliases: Sequence[Sequence[str]], *, subject_ids: Sequence[str]
    ) -> np.ndarray:
        """Count one more fact for each naming given. Returns their numbers, int64 [n].

        Raises:
            ValueError: a subject without a single word, or a hash collision. Nothing is changed.
        """
        groups: dict[tuple, int] = {}
        rows = zip(subject_ids, subjects, map(tuple, aliases), strict=True)
        members = np.fromiter((groups.setdefault(row, len(groups)) for row in rows), np.int64, len(subjects))
        namings = list(groups)
        own = hash_words([f"{sid}\x1f{name}\x1f" + "\x1f".join(others) for sid, name, others in namings])
        stored = self._numbers.lookup(own[:, 0], own[:, 1])
        numbers = np.full(len(namings), -1, np.int64)
        numbers[stored.lengths > 0] = stored.values
        new = np.flatnonzero(numbers < 0)
        if len(new):
            numbers[new] = self._append([namings[i] for i in new], own=own[new])
        self._counts.array[numbers] += np.bincount(members, minlength=len(namings))
        return numbers[members]

    def release(self, numbers: np.ndarray) -> None:
        """Undo `add`: namings without facts are forgotten, with their names and words."""
        distinct, counts = np.unique(numbers.astype(np.int64), return_counts=True)
        self._counts.array[distinct] -= counts
        dead = distinct[self._counts.array[distinct] == 0]
        if not len(dead):
            return
        keys = mix(dead.astype(np.uint64))
        for members, index in ((self._forms_of.lookup(keys), self.forms), (self._words_of.lookup(keys), None)):
            values = members.values.view(np.uint64)
            if index is None:
                self._words.subtract(values)
            else:
                index.delete(values, dead[members.rows])
        for index in (self._forms_of, self._words_of):
            members = index.lookup(keys)
            index.delete(keys[members.rows], members.values)
        self._numbers.delete(self._own_keys.array[dead], dead)
        self._hashes.array[dead], self._own_keys.array[dead] = 0, 0

    def describe(self, encoded: Encoded) -> Lexicon:
        """The lexicon of the texts' unique words."""
        raw, folded = encoded.raw, encoded.folded
        known = self._words.is_known(encoded.hashes[:, 0])
        variants = find_variants(folded)
        return Lexicon(
            is_known=known,
            variants=variants.restrict(self._words.is_known(variants.hashes[:, 0])),
            raw_hashes=encoded.raw_hashes(),
            is_content=np.array([word not in FUNCTION_WORDS for word in folded], bool),
            has_common_variant=np.array([any(map(is_common, word_variants(word))) for word in folded], bool),
            is_common=np.array([is_common(word) or is_unspaced(word) for word in folded], bool),
            zipf=np.array([zipf_frequency(word) for word in folded]),
            is_upper=np.array([word[0].isupper() for word in raw], bool),
            is_lower=np.array([word[0].islower() for word in raw], bool),
            is_shouted=np.array([word[1:] != word[1:].lower() for word in raw], bool),
        )

    def find(self, encoded: Encoded, lexicon: Lexicon) -> SubjectHits:
        """Every n-gram of the texts that is a name, judged by frequency and by capital letters."""
        content = lexicon.is_content
        grams = ngram_keys(
            encoded,
            lengths=self._lengths.tolist(),
            is_known=lexicon.is_known,
            variants=lexicon.variants,
            raw_hashes=lexicon.raw_hashes,
            values=np.stack([content, content & lexicon.is_common, content * lexicon.zipf], axis=1),
        )
        found = self.forms.lookup(grams.keys, grams.checks)
        hit = np.flatnonzero(found.lengths)
        grams = grams.take(hit)
        starts, ends, is_variant = grams.starts, grams.ends, grams.is_variant
        is_same = self.forms.lookup(grams.cased_keys ^ CASED_SALT, grams.cased_checks).lengths > 0
        agrees, is_mixed = _case(encoded, lexicon, grams=grams, is_same=is_same)
        kinds, weights = _judge(lexicon, grams)
        is_weak = np.append(np.isin(encoded.glue, (SOFT, UNDERSCORE)), False)
        weights = np.where(agrees | ~is_mixed, weights, 0.9 * weights)
        weights = np.where(is_variant, 0.6 * weights, weights).astype(np.float32)
        spans = np.repeat(np.arange(len(hit)), found.lengths[hit])
        spans, hashes = _distinct(spans, self.hashes[found.values])
        return SubjectHits(
            starts=starts,
            ends=ends,
            is_part=(grams.lengths == 1) & (is_weak[starts] | is_weak[ends]),
            is_variant=is_variant,
            agrees=agrees,
            is_mixed=is_mixed,
            kinds=kinds,
            weights=weights,
            spans=spans,
            subject_keys=hashes[:, 0],
            subject_checks=hashes[:, 1],
        )

    def named(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Subjects that have exactly one of N names: index of the name, int64 [M], key and check, uint64 [M, 2]."""
        found = self.forms.lookup(*whole_keys(names))
        rows, hashes = found.rows, self.hashes[found.values]
        is_one_each = (rows[1:] > rows[:-1]).all()
        return (rows, hashes) if is_one_each else _distinct(rows, hashes)

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for a file."""
        tables = {"hashes": self._hashes, "own_keys": self._own_keys, "counts": self._counts}
        result = {"lengths": self._lengths} | {name: table.array for name, table in tables.items()}
        parts = dict(zip(_INDEXES, (self.forms, self._forms_of, self._words_of, self._numbers), strict=True))
        for name, part in (*parts.items(), ("words", self._words)):
            result |= {f"{name}.{key}": array for key, array in part.arrays().items()}
        return result

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Subjects":
        """The subjects of `arrays()`, without a copy."""
        result = cls()
        result._hashes, result._own_keys = Growing(arrays["hashes"]), Growing(arrays["own_keys"])
        result._counts, result._lengths = Growing(arrays["counts"]), arrays["lengths"]
        result.forms, result._forms_of, result._words_of, result._numbers = (
            ExactIndex.from_arrays(part_of(arrays, name)) for name in _INDEXES
        )
        result._words = KeyCounts.from_arrays(part_of(arrays, "words"))
        return result

    def _append(self, namings: list[tuple], *, own: np.ndarray) -> np.ndarray:
        numbers = len(self._own_keys) + np.arange(len(namings))
        texts = [text for _, subject, aliases in namings for text in (subject, *aliases)]
        sizes = [1 + len(aliases) for *_, aliases in namings]
        encoded = encode(texts)
        owners = np.repeat(numbers, sizes)
        lengths = np.diff(encoded.offsets)
        is_subject = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        wordless = is_subject[lengths[is_subject] == 0]
        if len(wordless):
            raise ValueError(f"subject {texts[wordless[0]]!r} has no word to be found by")
        named = np.flatnonzero(lengths)
        keys, checks = text_keys(encoded)
        cased_keys, cased_checks = text_keys(encoded, hashes=encoded.raw_hashes())
        cased = named[cased_keys[named] != keys[named]]
        keys = np.concatenate([keys[named], cased_keys[cased] ^ CASED_SALT])
        checks = np.concatenate([checks[named], cased_checks[cased]])
        sources = np.concatenate([named, cased])
        self.forms.insert(keys, owners[sources], checks, texts=[texts[i] for i in sources])
        self._numbers.insert(own[:, 0], numbers, own[:, 1], texts=[str(naming) for naming in namings])
        members = mix(owners.astype(np.uint64))
        self._forms_of.insert(members[sources], keys.view(np.int64), members[sources])
        word_keys, word_owners = encoded.hashes[encoded.word_ids, 0], members[encoded.text_ids]
        self._words_of.insert(word_owners, word_keys.view(np.int64), word_owners)
        self._words.add(self._words_of.lookup(mix(numbers.astype(np.uint64))).values.view(np.uint64))
        self._lengths = np.union1d(self._lengths, lengths[named])
        self._hashes.append(hash_words([sid for sid, *_ in namings]))
        self._own_keys.append(own[:, 0])
        self._counts.append(np.zeros(len(namings), np.int64))
        return numbers


def _case(encoded: Encoded, lexicon: Lexicon, *, grams: NGrams, is_same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """bool [S] twice: capitals agree with the subject's (`is_same`); the text's capitals mean something."""
    starts, ends = grams.starts, grams.ends
    texts = encoded.text_ids[starts]
    bounds = {"starts": encoded.offsets[texts], "ends": encoded.offsets[texts + 1]}
    is_lower = lexicon.is_lower[encoded.word_ids]
    is_upper = lexicon.is_upper[encoded.word_ids] & ~encoded.is_start
    # Only the words around the name tell how the text is written: `Who sang All I Need?` is no title.
    num_lower = _sums(is_lower, **bounds) - _sums(is_lower, starts=starts, ends=ends)
    num_upper = _sums(is_upper, **bounds) - _sums(is_upper, starts=starts, ends=ends)
    has_upper = _sums(lexicon.is_upper[encoded.word_ids], **bounds) > 0
    is_mixed = has_upper & (num_lower > 0) & (num_lower >= num_upper)
    # A first word is capital whatever it is, unless it is written like `IT`.
    is_forced = (grams.lengths == 1) & encoded.is_start[starts] & ~lexicon.is_shouted[grams.last_ids]
    return is_same & is_mixed & ~is_forced, is_mixed


def _judge(lexicon: Lexicon, grams: NGrams) -> tuple[np.ndarray, np.ndarray]:
    """Kind, int8 [S], and weight, float64 [S], of n-grams by the frequency of their words."""
    num_content, num_common, zipf = grams.values.T
    kinds = np.full(len(num_content), FREE, np.int8)
    is_common = (num_common == 1) | (grams.is_variant & lexicon.has_common_variant[grams.last_ids])
    kinds[(num_content == 1) & is_common] = COMMON
    kinds[num_content == 0] = np.where(grams.lengths[num_content == 0] == 1, FUNCTION, COMMON)
    weights = np.where(num_content == 1, np.clip(1.0 - 0.15 * (zipf - 3.0), 0.6, 1.0), 1.0)
    weights[num_content == 0] = 0.5
    return kinds, weights


def _sums(values: np.ndarray, *, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    before = np.concatenate([[0], np.cumsum(values)])
    return before[ends] - before[starts]


def _distinct(spans: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each (span, subject) once: several namings may belong to one subject."""
    order = np.lexsort((hashes[:, 0], spans))
    spans, hashes = spans[order], hashes[order]
    is_new = np.ones(len(spans), bool)
    is_new[1:] = (spans[1:] != spans[:-1]) | (hashes[1:, 0] != hashes[:-1, 0])
    return spans[is_new], hashes[is_new]
