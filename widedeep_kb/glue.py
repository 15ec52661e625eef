"""Words that hold several: `get("Oslo",`, `population(Chile)`, `capital_of:France` taken apart at their inner marks.

In: one word of unified text. Out: its pieces, the kind of mark before each, and every reading of neighbouring pieces as
one word, so that `C#`, `key=value` and `api.x.y` are still there, next to whatever they are glued to.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from widedeep_kb.segment import CLOSING, OPENING, PAIRS, TRAILING, strip_marks

SPACE, HARD, SOFT, UNDERSCORE = 0, 1, 2, 3
"""What stands before a piece: nothing; a mark that parts words; one that identifiers hold too; `_`, perhaps a space."""

_MAX_PIECES = 8  # of one reading, unless it is the whole word: bounds the readings of a long address
_AFFIXES = (
    "area|based|born|bound|built|centric|educated|led|like|made|native|only|owned|raised|related|sized|specific|style|"
    "type|wide"
)
_MARK = r"(?:[\"“”„«»‹›「」『』《》〈〉【】()\[\]{}<>¡¿|=@#;/\\*_~`→←↔⇒•!?]|(?<!\d)[.,:]|[.,:](?!\d))"
_GLUE = re.compile(
    rf"['-]{{0,2}}{_MARK}(?:['-]|{_MARK})*(?:(?<=')s$)?|--+|^-+(?=[^\W\d])|-(?=(?:{_AFFIXES})$)", re.IGNORECASE
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_WEAK = frozenset(".!?")
_OUTER = frozenset(OPENING + TRAILING + CLOSING) - frozenset(PAIRS)  # marks that no name ends with
_SPACED = frozenset("_.,")  # `Washington,_D.C.`


class Pieces(NamedTuple):
    """A piece of text without a space, as words.

    Attributes:
        words: the pieces as written, without the marks around them.
        glue: of each piece, what stands before it.
        readings: of each piece, the words that begin with it: (number of pieces, text), longer texts first.
    """

    words: Sequence[str]
    glue: Sequence[int]
    readings: Sequence[Sequence[tuple[int, str]]]

    @classmethod
    def whole(cls, word: str) -> "Pieces":
        """`word`, not to be taken apart."""
        return cls((word,), (SPACE,), (((1, word),),))

    @classmethod
    def joined(cls, parts: Sequence["Pieces"]) -> "Pieces":
        """The pieces of several words."""
        return cls(*([item for part in parts for item in part[column]] for column in range(3)))


def take_apart(word: str) -> Pieces:
    """The pieces of a word and all its readings; a word without an inner mark is one piece."""
    bounds = _bounds(word) if _GLUE.search(word) else []
    if not bounds:
        return Pieces.whole(word)
    edges = [0, *(edge for bound in bounds for edge in bound), len(word)]
    gaps = [word[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2)]  # before, between and after the pieces
    starts = [
        _starts(word, start, gap, is_first=not i)
        for i, ((start, _), gap) in enumerate(zip(bounds, gaps[:-1], strict=True))
    ]
    ends = [_ends(word, bound[1], gap) for bound, gap in zip(bounds, gaps[1:], strict=True)]
    pieces = [word[start:end] for start, end in bounds]
    is_email = _EMAIL.fullmatch(word) is not None
    inner = zip(gaps[1:-1], pieces, pieces[1:], strict=False)
    glue = [SPACE, *(_kind(gap, left, right, is_email=is_email) for gap, left, right in inner)]
    return Pieces(pieces, glue, [_readings(word, i, starts=starts[i], ends=ends) for i in range(len(pieces))])


def _bounds(word: str) -> list[tuple[int, int]]:
    """Start and end of each piece: what lies between marks and has a letter or a digit."""
    result, position = [], 0
    for match in (*_GLUE.finditer(word), None):
        end = len(word) if match is None else match.start()
        if any(map(str.isalnum, word[position:end])):
            result.append((position, end))
        position = len(word) if match is None else match.end()
    return result


def _starts(word: str, start: int, gap: str, *, is_first: bool) -> list[int]:
    """Where a word may begin whose first piece begins at `start`: two of the marks may be its own, as in `.NET`."""
    if is_first and set(gap) <= _WEAK:
        return [0]
    own = [start, *(i for i in range(start - 1, start - min(2, len(gap)) - 1, -1) if word[i] not in OPENING)]
    return [*own, 0] if is_first else own


def _ends(word: str, end: int, gap: str) -> list[int]:
    """Where a word may end whose last piece ends at `end`: `C#` and `foo()` keep their marks, also before others."""
    is_last = end + len(gap) == len(word)
    if is_last and (set(gap) <= _WEAK or (gap == "*" and len(word) < 4)):  # `A*` is no emphasis
        return [len(word)]
    own = [end, *(i for i in range(end + 1, end + min(2, len(gap)) + 1) if word[i - 1] not in _OUTER)]
    own = [i for i in own if word[i : i + 1] != "#" or word[i + 1 : i + 2].isalnum()]
    return [*own, len(word)] if is_last else own


def _readings(word: str, first: int, *, starts: Sequence[int], ends: Sequence[Sequence[int]]) -> list[tuple[int, str]]:
    """Words that begin with piece `first`, by the places where they may start and end."""
    found: dict[tuple[int, str], None] = {}
    lasts = list(range(first, min(first + _MAX_PIECES, len(ends))))
    if first == 0 and len(ends) > _MAX_PIECES:
        lasts.append(len(ends) - 1)
    for last in lasts:
        for start in starts:
            for end in ends[last]:
                is_word = start == 0 and end == len(word)
                text = word if is_word else strip_marks(word[start:end])
                found[last - first + 1, text] = None
    return sorted(found, key=lambda reading: -len(reading[1]))


def _kind(gap: str, left: str, right: str, *, is_email: bool) -> int:
    """How the marks between two pieces part them."""
    if "_" in gap and set(gap) <= _SPACED:
        return UNDERSCORE
    if set(gap) <= _WEAK or gap in ("::", "*"):
        return SOFT
    if gap == ":":  # `capital_of:France`, but `1bc0:a001`
        return HARD if left.isalpha() and len(left) > 1 else SOFT
    if gap == "/":  # `Paris/London`, but `AC/DC`
        return HARD if min(len(left), len(right)) > 2 else SOFT
    return SOFT if gap == "@" and is_email else HARD
