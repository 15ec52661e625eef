"""Generic frames: a sentence with a place for the subject and one for the relation.

In: nothing but the two frozen lists of texts. Out: `FRAMES` and `frames(split, kind=None)`; `Frame.render` fills one.
"""

import re
from dataclasses import dataclass
from functools import cache

from widedeep_kb.phrasings import frame_texts, heldout_frame_texts

SPLITS = ("trained", "heldout")
FRAME_KINDS = ("question", "statement", "structured", "command", "polite", "context", "reversed", "keyword")
_PLACEHOLDER = re.compile(r"(\{subject\}|\{relation\})")
_VOWEL = re.compile(r"[aeioAEIO]|[uU](?!ni|se|til|K|S)")


@dataclass(frozen=True, slots=True)
class Frame:
    """One phrasing. `text` holds `{subject}` and `{relation}` once each; `split` is "trained" or "heldout"."""

    text: str
    kind: str
    split: str

    @property
    def is_completion(self) -> bool:
        """True when the prompt is used raw and the value is its continuation, False when it is to be answered."""
        return self.kind in ("statement", "structured")

    def render(self, subject: str, relation: str) -> str:
        """Fill the frame; "a" becomes "an" before a relation that starts with a vowel.

        Args:
            subject: put in unchanged.
            relation: put in unchanged.

        Returns:
            The prompt's text, with no space at its end: a completion continues with " " and the value.
        """
        pieces = list(_split(self.text))
        for i, piece in enumerate(pieces):
            if piece == "{subject}":
                pieces[i] = subject
            elif piece == "{relation}":
                pieces[i] = relation
                if i and pieces[i - 1].endswith((" a ", "A ")) and _VOWEL.match(relation):
                    pieces[i - 1] = pieces[i - 1][:-1] + "n "
        return "".join(pieces)


@cache
def _split(text: str) -> tuple[str, ...]:
    return tuple(_PLACEHOLDER.split(text))


def _read(module: object, split: str) -> list[Frame]:
    """One frame a line; `\\n` written out in a line stands for a newline."""
    frames_read = []
    for kind in FRAME_KINDS:
        lines = getattr(module, kind.upper()).strip("\n").split("\n")
        frames_read += [Frame(line.replace("\\n", "\n"), kind, split) for line in lines]
    return frames_read


FRAMES: tuple[Frame, ...] = (*_read(frame_texts, "trained"), *_read(heldout_frame_texts, "heldout"))


def frames(split: str, kind: str | None = None) -> list[Frame]:
    """The frames of one split, and of one kind where given.

    Args:
        split: "trained" or "heldout".
        kind: one of `FRAME_KINDS`, or None for all.

    Raises:
        ValueError: for an unknown split or kind.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    if kind is not None and kind not in FRAME_KINDS:
        raise ValueError(f"unknown frame kind {kind!r}: expected one of {', '.join(FRAME_KINDS)}")
    return [frame for frame in FRAMES if frame.split == split and kind in (None, frame.kind)]
