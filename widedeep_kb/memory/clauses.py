"""Which words of a question name a fact: `the country of Lyon` in `What is the capital of the country of Lyon?`

In: a question, a name in it and relations. Out: the places of the words that name each, and the question with another
name in the place of such words. Pure functions of text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from widedeep_kb.keys import word_variants
from widedeep_kb.memory.relations import cue_stems, relation_cues, stem
from widedeep_kb.phrasings import frames
from widedeep_kb.segment import CLOSING, SENTENCE_END, strip_marks, words
from widedeep_kb.word_statistics import FUNCTION_WORDS, content_weight

_CHUNKS = re.compile(r"\S+")
_DETERMINERS = frozenset("a an the this that its their his her".split())
_MARK = 3  # words that a mark between a name and a word counts
_QUOTES = {'"': '"', "”": "“", "»": "«"}
_PAIRED = frozenset(")]}")
_COPULAS = frozenset("is are was were".split())
_RELATIVES = frozenset("where which who whom whose that".split())


class Word(NamedTuple):
    """A word of a question: `text[begin:end]`, folded; `ends` = a sentence or a clause ends behind it."""

    begin: int
    end: int
    folded: str
    ends: bool


class Span(NamedTuple):
    """Words `first` to `last - 1`."""

    first: int
    last: int


class Match(NamedTuple):
    """The words that name a relation.

    Attributes:
        places: of the words.
        share: of the relation's cues that they are, in [0, 1].
    """

    places: frozenset[int]
    share: float


class Clause:
    """A question as words, one name in it and what the words say.

    Args:
        text: the question.
    """

    def __init__(self, text: str) -> None:
        self.text, self.words = text, question_words(text)
        self.weights = [0.0 if w.folded in FUNCTION_WORDS else content_weight(w.folded) for w in self.words]
        self._cues: dict[str, list[tuple[int, ...]]] = {}
        for i, word in enumerate(self.words):
            for cue in cue_stems(word.folded):
                self._cues.setdefault(cue, []).append((i,))
            if i and not self.words[i - 1].ends:
                self._cues.setdefault(stem(self.words[i - 1].folded + word.folded), []).append((i - 1, i))

    def find(self, names: Iterable[str]) -> Span | None:
        """Where the longest of the names stands first, also with a possessive or plural ending; None: nowhere."""
        wanted = {tuple(words(name)) for name in names}
        for length in sorted({len(name) for name in wanted}, reverse=True):
            for first in range(len(self.words) - length + 1 if length else 0):
                *before, end = (word.folded for word in self.words[first : first + length])
                if any((*before, form) in wanted for form in (end, *word_variants(end))):
                    return Span(first, first + length)
        return None

    def match(self, relation: str, *, name: Span, used: Collection[int] = ()) -> Match:
        """The words outside the name and not `used` that name the relation; of several, those nearest to the name."""
        taken = {*used, *range(*name)}
        cues = relation_cues(relation)
        free = {cue: [at for at in self._cues.get(cue, ()) if not taken.intersection(at)] for cue in cues}
        places: set[int] = set()
        for found in sorted(filter(None, free.values()), key=lambda found: -len(found[0])):  # pairs, then words in them
            places.update(min(found, key=lambda at: (not places.issuperset(at), self.distance(at, name))))
        matched = sum(weight for cue, weight in cues.items() if free[cue])
        total = sum(cues.values())
        return Match(frozenset(places), matched / total if total else 0.0)

    def covered(self, places: Iterable[int]) -> float:
        """Summed weight of the content words at the places."""
        return sum(self.weights[i] for i in places)

    def total(self, name: Span) -> float:
        """Summed weight of all content words outside the name."""
        return sum(weight for i, weight in enumerate(self.weights) if not name.first <= i < name.last)

    def distance(self, places: Iterable[int], name: Span) -> int:
        """Words between the name and the nearest of the places, a mark counted as three; very many for no place."""
        return min((self._gap(i, name) for i in places), default=4 * len(self.words))

    def _gap(self, place: int, name: Span) -> int:
        first, last = (place, name.first) if place < name.first else (name.last - 1, place)
        return last - first - 1 + _MARK * any(word.ends for word in self.words[first:last])

    def phrase(self, name: Span, own: Collection[int], outer: Collection[int]) -> Span:
        """The words that stand for what a first fact says: its name, the words of its relation and what is between.

        Args:
            name: of its subject.
            own: places of the words that name its relation.
            outer: places of the words that name the second fact's relation; the phrase holds none of them.
        """
        first = min([name.first, *(i for i in own if i < name.first)])
        last = max([name.last, *(i + 1 for i in own if i >= name.last)])
        inside = [i for i in outer if first <= i < last]
        first = max([first, *(i + 1 for i in inside if i < name.first)])
        last = min([last, *(i for i in inside if i >= name.last)])
        before = [i for i in outer if i < first]
        if before:  # `the capital of [the place that is the country of Lyon]`
            content = [i for i in range(max(before) + 1, first) if self.weights[i]]
            first = min([first, *content])
            if any(self.words[i].folded in _RELATIVES for i in range(first, name.first)):
                last = self._clause_end(last, outer)
        while first and self.words[first - 1].folded in _DETERMINERS and first - 1 not in outer:
            first -= 1
        return Span(first, last)

    def is_definite(self, phrase: Span, name: Span) -> bool:
        """Whether the phrase names one thing: it begins with `the`, or with the name as an owner."""
        if phrase.first < name.first:
            return self.words[phrase.first].folded in ("the", "whatever", "whoever")
        return self.words[name.last - 1].folded.endswith(("'s", "s'")) and phrase.last > name.last

    def shell(self, phrase: Span) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The two words before the phrase and the two behind it, as far as no mark parts them from it."""
        before, after = [], []
        for word in reversed(self.words[max(0, phrase.first - 2) : phrase.first]):
            if word.ends:
                break
            before.append(word.folded)
        for place in range(phrase.last, min(phrase.last + 2, len(self.words))):
            if self.words[place - 1].ends:
                break
            after.append(self.words[place].folded)
        return tuple(reversed(before)), tuple(after)

    def replace(self, phrase: Span, name: str) -> str:
        """The question with a name in the place of the phrase; an ending `'s` stays."""
        begin, end = self.words[phrase.first].begin, self.words[phrase.last - 1].end
        ending = re.search(r"['’]s$", self.text[begin:end])
        closing = self.text[end : end + 1]
        if closing in _PAIRED and strip_marks(self.text[begin : end + 1]).endswith(closing):
            end += 1  # the phrase holds the bracket that this one closes
        elif closing in _QUOTES and self.text.count(_QUOTES[closing], begin, end) % 2:
            end += 1  # the phrase holds the mark that opens the quotation
        return self.text[:begin] + name + (ending.group() if ending else "") + self.text[end:]

    def spoken(self, phrase: Span) -> str:
        """The words of the phrase as written."""
        return self.text[self.words[phrase.first].begin : self.words[phrase.last - 1].end]

    def _clause_end(self, last: int, outer: Collection[int]) -> int:
        """Where a relative clause that reaches to `last` ends: at a mark, the next word of `outer`, a last verb."""
        while last < len(self.words) and last not in outer and not self.words[last - 1].ends:
            if last == len(self.words) - 1 and self.words[last].folded in _COPULAS and not self.words[last].ends:
                break
            last += 1
        return last


def question_words(text: str) -> list[Word]:
    """The words of a question, each a piece of text without a space less the marks around it."""
    found = []
    for match in _CHUNKS.finditer(text):
        core = strip_marks(match.group())
        if not core:
            continue
        begin = match.start() + match.group().find(core)
        rest = match.group()[begin - match.start() + len(core) :]
        ends = any(mark in SENTENCE_END or mark in ",;" for mark in rest if mark not in CLOSING)
        found.append(Word(begin, begin + len(core), " ".join(words(core)), ends))
    return found


@functools.cache
def plain_shells() -> frozenset[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What stands around the phrase where people ask for no more than the fact it names (see `Clause.shell`).

    `Provide ...`, `what ... is` and the like: those of the trained frames for one fact.
    """
    found = set()
    for frame in frames("trained"):
        clause = Clause(frame.render("Xsubject", "xrelation"))
        name = clause.find(["Xsubject"])
        own = [i for i, word in enumerate(clause.words) if "xrelation" in word.folded]
        if name is not None and own:
            found.add(clause.shell(clause.phrase(name, own, ())))
    return frozenset(found)
