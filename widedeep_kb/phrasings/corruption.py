"""Light, natural damage to a question: typing errors, lower case, a lost question mark, doubled spaces.

In: a prompt's text and its subject. Out: the text as a hurried user would type it. The subject's characters stay as
they are (the keys must still find it), except that all of the text may be put in lower case.
"""

import random
import re

_WORD = re.compile(r"[^\W\d_]{4,}")
_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {key: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in _KEYBOARD for i, key in enumerate(row)}


def corrupt(
    text: str,
    subject: str,
    rng: random.Random,
    *,
    typing_error: float = 0.3,
    lower_case: float = 0.2,
    drop_question_mark: float = 0.2,
    double_space: float = 0.1,
) -> str:
    """Damage a question lightly.

    Args:
        text: the filled frame, not yet wrapped.
        subject: its subject; every occurrence is protected.
        rng: seeded source of randomness.
        typing_error: probability of one typing error in a word of 4 letters or more (of two: a quarter of it). Words
            with digits are left alone, so that years and numbers stay what they are.
        lower_case: probability that all of the text, the subject included, is put in lower case.
        drop_question_mark: probability that a final question mark is dropped.
        double_space: probability that one space outside the subject is doubled.

    Returns:
        The text; its last character is only changed when a question mark is dropped.

    Raises:
        ValueError: if the subject is empty or not in the text.
    """
    if not subject or subject not in text:
        raise ValueError(f"the text to corrupt does not hold its subject {subject!r}: {text!r}")
    pieces = [subject] * (2 * text.count(subject) + 1)  # the subject, with what stands around it at even places
    pieces[::2] = text.split(subject)
    if rng.random() < typing_error:
        for _ in range(2 if rng.random() < 0.25 else 1):
            _add_typing_error(pieces, rng)
    if rng.random() < double_space:
        _double_a_space(pieces, rng)
    if text.endswith("?") and pieces[-1] and rng.random() < drop_question_mark:
        pieces[-1] = pieces[-1].removesuffix("?")
    damaged = "".join(pieces)
    return damaged.lower() if rng.random() < lower_case else damaged


def misspell(word: str, rng: random.Random) -> str:
    """One typing error inside a word of 2 letters or more: swapped, lost, doubled or neighbouring letter."""
    i = rng.randrange(len(word) - 1)
    error = rng.randrange(4)
    if error == 0:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if error == 1:
        return word[: i + 1] + word[i + 2 :]
    if error == 2:
        return word[:i] + word[i] + word[i:]
    return word[:i] + rng.choice(_NEIGHBOURS.get(word[i].lower(), word[i])) + word[i + 1 :]


def _add_typing_error(pieces: list[str], rng: random.Random) -> None:
    """Misspell a random word of the pieces at even places: those at odd places are the subject."""
    words = [(i, match) for i in range(0, len(pieces), 2) for match in _WORD.finditer(pieces[i])]
    if words:
        i, match = rng.choice(words)
        pieces[i] = pieces[i][: match.start()] + misspell(match.group(), rng) + pieces[i][match.end() :]


def _double_a_space(pieces: list[str], rng: random.Random) -> None:
    places = [(i, j) for i in range(0, len(pieces), 2) for j, c in enumerate(pieces[i]) if c == " "]
    if places:
        i, j = rng.choice(places)
        pieces[i] = pieces[i][:j] + " " + pieces[i][j:]
