"""Text -> words: what counts as one word, and how it is compared. Pure functions, no state.

In: raw text. Out: words in order, as written or folded. `C++`, `AT&T`, `api.x.y` and `O'Brien` stay whole.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

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


def normalise(text: str) -> str:
    """`text` as it is compared: NFKC, one kind of apostrophe and hyphen, case-folded, whitespace collapsed."""
    return " ".join(fold(unify(text)).split())


def words(text: str) -> list[str]:
    """The folded words of `text`, in order, as keys see them: `Who made "C++"?` gives `who`, `made`, `c++`."""
    return [word for chunk in unify(text).split() for word in _folded_words(chunk)]


def is_unspaced(word: str) -> bool:
    """The word is one character of a script written without spaces."""
    return bool(_UNSPACED.match(word))


def unify(text: str) -> str:
    """`text` with one form of each letter, apostrophe and hyphen; line breaks and commas between words taken out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_UNIFIED)
    # A line break ends a sentence: the next capital letter says nothing.
    text = text.replace("\n", " . ")
    return _SEPARATOR.sub(" ", text) if "," in text or ";" in text else text


def fold(text: str) -> str:
    """Unified `text` without capital letters."""
    return text.lower() if text.isascii() else text.casefold().replace("i\u0307", "i")


def strip_marks(chunk: str) -> str:
    """`chunk` without the punctuation around it: `("C++"),` gives `C++`, but `foo()` keeps its pair."""
    core = chunk.lstrip(OPENING)
    while core and (core[-1] in TRAILING or core[-1] in CLOSING):
        opener = PAIRS.get(core[-1])
        if opener and core.count(opener) >= core.count(core[-1]):
            break
        core = core[:-1]
    return core


def chunk_words(chunk: str) -> tuple[list[str], bool]:
    """Words of a piece of unified text without whitespace, and whether the piece ends a sentence."""
    core = strip_marks(chunk)
    ends = any(c in SENTENCE_END for c in chunk[len(chunk.rstrip(TRAILING + CLOSING)) :])
    if not core:
        # Nothing but punctuation: a name such as `!!!`, or a single stray mark.
        return ([chunk] if len(chunk) > 1 else []), ends
    return list(_by_script(core)), ends


@lru_cache(maxsize=1 << 18)
def _folded_words(chunk: str) -> tuple[str, ...]:
    return tuple(fold(raw) for raw in chunk_words(chunk)[0])


def _by_script(core: str) -> Iterator[str]:
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
