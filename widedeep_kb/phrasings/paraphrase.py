"""Common relations and the natural questions people ask for them ("When was X born?" for "date of birth").

In: six frozen texts. Out: `COMMON_RELATIONS`, one entry a relation, and `relation_paraphrases(relation, ...)`.
A text holds entries of this form; `{}` stands for the subject, "+" is trained and "-" held out. The entries after a
line with "#" are a family: near-synonyms that one subject may well have together, such as arrival and departure.

    # dates of a person
    name; another name; another name = kind of value @ theme theme
    + When was {} born? | {} was born on
    - What day does {} celebrate as a birthday?
"""

import re
from dataclasses import dataclass

from widedeep_kb.phrasings import (
    paraphrases_of_organisations_and_works,
    paraphrases_of_people_and_places,
    paraphrases_of_products_and_science,
    paraphrases_of_records_and_machines,
    paraphrases_of_travel_and_trade,
    paraphrases_of_work_and_systems,
)
from widedeep_kb.phrasings.frame import SPLITS

_FUNCTION_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "date", "for", "from", "how", "in", "is", "it", "last", "name", "number")
    + ("of", "on", "the", "to", "what", "with")
)


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """A natural phrasing of one relation.

    `text` holds `{subject}` once or more; `kind` is "question" or "statement" (a completion: the value follows);
    `split` is "trained" or "heldout"; `shares_word` says whether a content word of a name of the relation occurs in it.
    """

    text: str
    relation: str
    kind: str
    split: str
    shares_word: bool

    def render(self, subject: str) -> str:
        """The prompt's text for one subject."""
        return self.text.replace("{subject}", subject)


@dataclass(frozen=True, slots=True)
class CommonRelation:
    """A relation with several `names` (the first is its own), the kind of its values and the themes it suits.

    `family` names the near-synonyms it stands among, None where there are none.
    """

    names: tuple[str, ...]
    value_kind: str
    themes: tuple[str, ...]
    paraphrases: tuple[Paraphrase, ...]
    family: str | None


def _stems(text: str) -> set[str]:
    """First five letters of the content words: enough to see that "founded" and "founder" are one word."""
    return {word[:5] for word in re.findall(r"[a-z]+", text.lower()) if word not in _FUNCTION_WORDS}


def _read_entry(lines: list[str], family: str | None) -> CommonRelation:
    names_text, rest = lines[0].split(" = ")
    value_kind, themes = rest.split(" @ ")
    names = tuple(names_text.split("; "))
    stems = _stems(names_text)
    paraphrases = []
    for line in lines[1:]:
        split = {"+": "trained", "-": "heldout"}[line[0]]
        for template in line[2:].split(" | "):
            kind = "question" if template.endswith("?") else "statement"
            shares_word = bool(stems & _stems(template))
            paraphrases.append(Paraphrase(template.replace("{}", "{subject}"), names[0], kind, split, shares_word))
    return CommonRelation(names, value_kind, tuple(themes.split()), tuple(paraphrases), family)


def _read(text: str) -> list[CommonRelation]:
    entries: list[tuple[list[str], str | None]] = []
    family = None
    for line in text.strip().split("\n"):
        if line[0] in "+-":
            entries[-1][0].append(line)
        elif line[0] == "#":
            family = line[2:]
        else:
            entries.append(([line], family))
    return [_read_entry(lines, family) for lines, family in entries]


COMMON_RELATIONS: dict[str, CommonRelation] = {
    entry.names[0]: entry
    for module in (
        paraphrases_of_people_and_places,
        paraphrases_of_organisations_and_works,
        paraphrases_of_products_and_science,
        paraphrases_of_work_and_systems,
        paraphrases_of_travel_and_trade,
        paraphrases_of_records_and_machines,
    )
    for entry in _read(module.TEXT)
}
COMMON_NAMES: dict[str, str] = {name: entry.names[0] for entry in COMMON_RELATIONS.values() for name in entry.names}


def relation_paraphrases(relation: str, split: str | None = None, *, kind: str | None = None) -> list[Paraphrase]:
    """The natural phrasings of a relation, found by any of its names in any case; [] for a relation without.

    Args:
        relation: the relation string, for instance "birth date" or "date_of_birth".
        split: "trained", "heldout" or None for both.
        kind: "question", "statement" or None for both.

    Raises:
        ValueError: for an unknown split.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    name = COMMON_NAMES.get(relation.lower().replace("_", " "))
    if name is None:
        return []
    found = COMMON_RELATIONS[name].paraphrases
    return [p for p in found if split in (None, p.split) and kind in (None, p.kind)]
