"""Ways to ask for a property of what is itself a property: `{second} of the {first} of {subject}`, a frame a line.

Frozen: figures for trained and held-out two-hop phrasings rest on these lists. A line without a mark at its end is a
statement to complete; its next token is the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from widedeep_kb.phrasings.frame import SPLITS

TRAINED = """
What is the {second} of the {first} of {subject}?
What is the {second} of {subject}'s {first}?
What is {subject}'s {first}'s {second}?
What was the {second} of the {first} of {subject}?
What is the {second} of the {first} that {subject} has?
What is the {second} of whatever is the {first} of {subject}?
What is the {second} of the one who is the {first} of {subject}?
What is the {second} of the thing that is the {first} of {subject}?
Which {second} does the {first} of {subject} have?
Which {second} belongs to {subject}'s {first}?
Who or what is the {second} of the {first} of {subject}?
Do you know the {second} of the {first} of {subject}?
Can you tell me the {second} of {subject}'s {first}?
The {first} of {subject} has what {second}?
Tell me the {second} of the {first} of {subject}.
Give the {second} of {subject}'s {first}.
Name the {second} of the {first} of {subject}.
Find the {first} of {subject} and state its {second}.
Take the {first} of {subject}: what is its {second}?
Look up the {first} of {subject}. What is its {second}?
{subject} has a {first}. What is the {second} of that?
I need the {second} of the {first} of {subject}. What is it?
The {second} of the {first} of {subject} is
The {second} of {subject}'s {first} is
{subject}'s {first}'s {second} is
The {second} of whatever is the {first} of {subject} is
"""

HELDOUT = """
What does the {first} of {subject} have as its {second}?
For the {first} of {subject}, what is the {second}?
Could you say what the {second} of the {first} of {subject} is?
What is listed as the {second} of the {first} of {subject}?
What would be the {second} of {subject}'s {first}?
State the {second} belonging to the {first} of {subject}.
{subject}'s {first} has which {second}?
Please give me the {second} that goes with {subject}'s {first}.
The {first} of {subject} has as its {second}
As for the {first} of {subject}, its {second} is
"""


@dataclass(frozen=True, slots=True)
class TwoHopFrame:
    """One phrasing; `text` holds `{subject}`, `{first}` and `{second}` once each; `split` is "trained" or "heldout"."""

    text: str
    split: str

    @property
    def is_completion(self) -> bool:
        """True when the prompt is used raw and the value is its continuation."""
        return self.text[-1] not in "?."

    def render(self, subject: str, *, first: str, second: str) -> str:
        """Fill the frame: `second` is a relation of the object of `subject`'s `first`."""
        pieces = {"subject": subject, "first": first, "second": second}
        return "".join(part if i % 2 == 0 else pieces[part] for i, part in enumerate(_split(self.text)))


@cache
def two_hop_frames(split: str) -> tuple[TwoHopFrame, ...]:
    """The frames of one split.

    Raises:
        ValueError: for an unknown split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    lines = (TRAINED if split == "trained" else HELDOUT).strip("\n").split("\n")
    return tuple(TwoHopFrame(line, split) for line in lines)


@cache
def _split(text: str) -> tuple[str, ...]:
    return tuple(text.replace("}", "{").split("{"))
