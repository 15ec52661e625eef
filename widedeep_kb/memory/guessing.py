"""Which stored name a question means that holds none: a misspelt name, one without its accents or one of its words.

In: raw questions. Out: the question with the stored name in the place of the words taken for it, to be looked up by
exact keys. The semantic index brings candidates for each run of words; what is believed is decided by their letters,
because neighbours by vector alone are mostly wrong. Where two names may be meant, none is guessed.

Letters: B questions, C places for facts, S runs of words (spans), K candidates of a span.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import torch

from widedeep_kb.keys import number
from widedeep_kb.memory.array_file import load_arrays, save_arrays
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.memory.spelling import NameVectors, count_errors, plain_words, spelling_vectors
from widedeep_kb.segment import is_unspaced, strip_marks
from widedeep_kb.word_statistics import FUNCTION_WORDS, is_common, zipf_frequency

if TYPE_CHECKING:
    from widedeep_kb.memory.semantic import SemanticIndex

FILE_NAME = "names.safetensors"
LEAST_ALIKE = 0.85
"""Least share of letters that are spelled as in the question: one error in seven, two in fourteen. Those of words that
the name and the question share count less, or every `... Airport` would be like every other."""
LEAST_SHARE = 0.5
"""Least share of a name's letters in those of its words that are in the question, where words of it are left out and no
other name has them."""
GUESSED = 4
"""`Hits.stage` of facts that a guess brought."""
_LEAST_COSINE = 0.35
TOP_K = 16
"""Candidates of a span."""
_MOST_WORDS = 6  # of a span
_FAMILIAR, _FAMILIARITY = 2.0, 0.1  # words of a higher Zipf frequency are seldom typing errors: cost of each degree
_SHARED = 0.25  # what a letter counts in words before and after those that differ
_RARE = 3.0  # one word alone stands for a longer name if it is rarer
_CHUNK = 65_536  # names vectorised at a time
_CHUNKS = re.compile(r"\S+")


class Guess(NamedTuple):
    """A stored name taken to be meant by some words of a question.

    Attributes:
        text: the question with the name in their place.
        words: as they stand in the question.
        name: as stored.
        similarity: share of letters in common, in (0, 1].
    """

    text: str
    words: str
    name: str
    similarity: float


class Span(NamedTuple):
    """A run of words of question `owner`: text[begin:end]."""

    owner: int
    begin: int
    end: int
    words: tuple[str, ...]


class _Candidate(NamedTuple):
    """A name for a span; ordered by how far it is to be believed."""

    is_whole: bool  # all words of the name are there, spelled alike
    similarity: float
    number: int
    span: Span


class NameGuesser:
    """The names of live facts, as they are spelled, and the guesses at them.

    Args:
        vectors: of names and spans.
        least_alike: see `LEAST_ALIKE`.
        least_share: see `LEAST_SHARE`.
        device: where the index is searched, see `semantic.place`.
    """

    def __init__(
        self,
        *,
        vectors: NameVectors = spelling_vectors,
        least_alike: float = LEAST_ALIKE,
        least_share: float = LEAST_SHARE,
        device: str | torch.device | None = None,
    ) -> None:
        for given in (least_alike, least_share):
            if not 0 < given <= 1:
                raise ValueError(f"a least share of letters lies in (0, 1], got {given}")
        self.vectors, self.least_alike, self.least_share = vectors, least_alike, least_share
        self.index = _index_type()(vectors([]).shape[1], device=device)
        self._numbers: dict[str, int] = {}  # of each name without case and marks
        self._plain: dict[int, str] = {}  # the same the other way round
        self._names: dict[int, dict[str, int]] = {}  # names as written, with the number of facts that bear each
        self._next = 0

    def __len__(self) -> int:
        """Names held, those that differ in case and marks only being one."""
        return len(self._numbers)

    @property
    def size_bytes(self) -> int:
        """Bytes of the vectors, and of the names as UTF-8."""
        texts = sum(len(name.encode()) for names in self._names.values() for name in names)
        return self.index.size_bytes + texts + sum(map(len, self._numbers))

    def add(self, facts: pl.DataFrame) -> None:
        """Count the names of facts, each with its aliases, once more.

        Args:
            facts: has `subject` and `subject_aliases`.
        """
        new: dict[str, int] = {}
        for name, count in _names_of(facts).items():
            plain = " ".join(plain_words(name))
            if not plain:
                continue
            if plain not in self._numbers:
                new[plain] = self._numbers[plain] = self._next
                self._plain[self._next], self._names[self._next] = plain, {}
                self._next += 1
            names = self._names[self._numbers[plain]]
            names[name] = names.get(name, 0) + count
        self._hold(new)

    def remove(self, facts: pl.DataFrame) -> None:
        """Undo `add`: a name that no fact bears any more is forgotten, its vector with it."""
        gone = []
        for name, count in _names_of(facts).items():
            plain = " ".join(plain_words(name))
            if not plain:
                continue
            number_ = self._numbers[plain]
            names = self._names[number_]
            names[name] -= count
            if not names[name]:
                del names[name]
            if not names:
                del self._numbers[plain], self._plain[number_], self._names[number_]
                gone.append(number_)
        if gone:
            self.index.remove(np.array(gone, np.int64))

    def guess(self, texts: Sequence[str]) -> list[Guess | None]:
        """A guess for each question, or None."""
        spans = [span for owner, text in enumerate(texts) for span in find_spans(text, owner)]
        distinct, members = number([" ".join(span.words) for span in spans])
        scores, numbers = self.index.search(self.vectors([text.split(" ") for text in distinct]), top_k=TOP_K)
        best: dict[int, list[_Candidate]] = {}
        for span, row in zip(spans, members.tolist(), strict=True):
            for found in numbers[row][scores[row] >= _LEAST_COSINE].tolist():
                candidate = self._judge(span, found)
                if candidate is not None:
                    best.setdefault(span.owner, []).append(candidate)
        return [self._settle(text, best.get(owner, [])) for owner, text in enumerate(texts)]

    def plain_name(self, number_: int) -> str:
        """The name with this number in the index, folded and without marks."""
        return self._plain[number_]

    def save(self, folder: Path) -> None:
        """Write one file into `folder`, atomically."""
        rows = [[number_, plain, self._names[number_]] for plain, number_ in self._numbers.items()]
        text = json.dumps({"version": 1, "next": self._next, "names": rows}, ensure_ascii=False)
        meta = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        save_arrays({"meta": meta, **self.index.arrays()}, folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path, *, device: str | torch.device | None = None) -> NameGuesser:
        """Read what `save` wrote.

        Raises:
            ValueError: a damaged file, or one of another version.
        """
        path = folder / FILE_NAME
        arrays = load_arrays(path)
        meta = json.loads(arrays["meta"].tobytes().decode("utf-8", "surrogatepass"))
        if meta["version"] != 1:
            raise ValueError(f"{path}: version {meta['version']}, this release reads version 1")
        result = cls(device=device)
        result.index = _index_type().from_arrays(arrays, device=device)
        for number_, plain, names in meta["names"]:
            result._numbers[plain], result._plain[number_], result._names[number_] = number_, plain, names
        result._next = meta["next"]
        if len(result.index) != len(result):
            raise ValueError(f"{path}: {len(result.index)} vectors for {len(result)} names")
        return result

    def _hold(self, new: Mapping[str, int]) -> None:
        """Vectors of new names into the index; into a new one, with all others, where it has become too small."""
        if not self.index.has_room(len(new)):
            new = self._numbers
            kind, sample = _index_type(), self._vectors(list(new)[:: _index_type().SAMPLE_STEP])
            self.index = kind(self.index.dim, device=self.index.device, num_planned=len(new), sample=sample)
        names, numbers = list(new), np.fromiter(new.values(), np.int64, len(new))
        for begin in range(0, len(names), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            self.index.add(numbers[part], self._vectors(names[part]))

    def _vectors(self, plain: Sequence[str]) -> np.ndarray:
        return self.vectors([name.split(" ") for name in plain])

    def _judge(self, span: Span, found: int) -> _Candidate | None:
        """What speaks for the name with this number; None where that is too little."""
        name, asked = self._plain[found], " ".join(span.words)
        words = name.split(" ")
        if len(words) > len(span.words) and not Counter(span.words) - Counter(words):
            is_telling = len(span.words) > 1 or zipf_frequency(asked) < _RARE
            share = sum(map(len, span.words)) / sum(map(len, words))
            return _Candidate(False, share, found, span) if is_telling else None
        odd = max((zipf_frequency(word) for word in span.words if word not in words), default=0.0)
        penalty = _FAMILIARITY * max(0.0, odd - _FAMILIAR)
        one, other = _apart(span.words, words)
        rest, longest = max(len(one), len(other)), max(len(asked), len(name))
        length = rest + _SHARED * (longest - rest)
        most = int((1.0 - penalty - self.least_alike) * length + 1e-9)
        errors = count_errors(one, other, most=most) if most >= 0 else 0
        return _Candidate(True, 1.0 - errors / length - penalty, found, span) if errors <= most else None

    def _settle(self, text: str, candidates: list[_Candidate]) -> Guess | None:
        """The best candidate, unless another name may be meant: as well spelled, or with the same words in it."""
        best = max(candidates, key=lambda one: one[:2], default=None)
        if best is None or (not best.is_whole and best.similarity < self.least_share):
            return None
        for one in candidates:
            is_rival = one[:2] == best[:2] if best.is_whole else one.span == best.span
            if is_rival and one.number != best.number:
                return None
        begin, end = best.span.begin, best.span.end
        name = next(iter(self._names[best.number]))
        return Guess(text[:begin] + name + text[end:], text[begin:end], name, best.similarity)


def add_guesses(
    hits: Hits,
    texts: Sequence[str],
    *,
    guesser: NameGuesser,
    retriever: Retriever,
    excluded: np.ndarray | Sequence[int] = (),
) -> Hits:
    """`hits` with the facts of guessed names where exact keys found none; all other rows are as they were.

    Args:
        hits: of B questions.
        texts: the questions.
        guesser: knows the names of the retriever's facts.
        retriever: looks up the question with the guessed name in it.
        excluded: see `Retriever.lookup`.
    """
    missed = np.flatnonzero((hits.ordinals < 0).all(axis=1)).tolist()
    guesses = guesser.guess([texts[row] for row in missed])
    rows = np.array([row for row, guess in zip(missed, guesses, strict=True) if guess is not None], np.int64)
    if not len(rows):
        return hits
    found = retriever.lookup([guess.text for guess in guesses if guess is not None], excluded=excluded)
    is_found = found.ordinals >= 0
    is_hit = is_found.any(axis=1)  # a name that is a common word may still be refused
    result = Hits(*(column.copy() for column in hits))
    for column, others in zip(result, found, strict=True):
        column[rows[is_hit]] = others[is_hit]
    result.stage[rows[is_hit]] = np.where(is_found[is_hit], GUESSED, 0)
    return result


def _index_type() -> type[SemanticIndex]:
    """`SemanticIndex`, imported now: who never guesses needs no faiss."""
    from widedeep_kb.memory.semantic import SemanticIndex

    return SemanticIndex


def _names_of(facts: pl.DataFrame) -> dict[str, int]:
    """Every name of the facts, and on how many of them it stands."""
    counts: Counter[str] = Counter(facts["subject"].to_list())
    counts.update(facts["subject_aliases"].explode().drop_nulls().to_list())
    return counts


def find_spans(text: str, owner: int) -> Iterator[Span]:
    """Runs of words that may be a damaged name: not all of them are common, and no function word stands at an end."""
    places, words = [], []
    for match in _CHUNKS.finditer(text):
        core = strip_marks(match.group()) or match.group()
        begin = match.start() + match.group().find(core)
        core = re.sub(r"['’]s$", "", core)
        places.append((begin, begin + len(core)))
        words.append(plain_words(core))
    for first, (begin, _) in enumerate(places):
        for last in range(first, min(len(places), first + _MOST_WORDS)):
            found = tuple(word for part in words[first : last + 1] for word in part)
            if found and _may_be_name(found):
                yield Span(owner, begin, places[last][1], found)


def _apart(one: Sequence[str], other: Sequence[str]) -> tuple[str, str]:
    """Both names from the first word that differs to the last."""
    first, last = 0, 0
    shortest = min(len(one), len(other))
    while first < shortest and one[first] == other[first]:
        first += 1
    while last < shortest - first and one[-1 - last] == other[-1 - last]:
        last += 1
    return " ".join(one[first : len(one) - last]), " ".join(other[first : len(other) - last])


def _may_be_name(words: Sequence[str]) -> bool:
    if words[0] in FUNCTION_WORDS or words[-1] in FUNCTION_WORDS:
        return False
    return not all(is_common(word) or word in FUNCTION_WORDS or is_unspaced(word) for word in words)
