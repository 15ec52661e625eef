"""Relations: the properties that a group of subjects has, with the kind of value of each.

In: a `Draw`, the theme of the subjects, how many properties. Out: a list of `Property`. Many share a base and differ
in a modifier, a year or a unit ("first owner", "last owner"), or are near-synonyms: they must be told apart.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from widedeep_kb.phrasings import COMMON_NAMES, COMMON_RELATIONS, CommonRelation
from widedeep_kb.synthetic import relation_vocabulary as rv
from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.values import VALUE_KINDS, any_kind
from widedeep_kb.synthetic.words import common_words, pseudo_word, word

RANDOM_KIND_SHARE = 0.25
FAMILY_SHARE = 0.4  # of the draws of a common relation that has near-synonyms
MAX_SIBLINGS = 6
MAX_ATTEMPTS = 1_000
_THEMES = ("person", "place", "organisation", "work", "product", "software", "science", "event", "any")
_BY_THEME = {
    theme: tuple(entry for entry in COMMON_RELATIONS.values() if theme in entry.themes) for theme in _THEMES[:-1]
}
_BY_THEME["any"] = tuple(COMMON_RELATIONS.values())
_BY_FAMILY = {
    entry.family: tuple(e for e in COMMON_RELATIONS.values() if e.family == entry.family)
    for entry in COMMON_RELATIONS.values()
    if entry.family is not None
}
_HEADS = tuple((head, kind) for kind, heads in rv.HEADS.items() for head in heads.split(", "))
_SYNONYMS = tuple(
    (tuple(words.split(", ")), kind) for kind, words in (line.split(": ") for line in rv.SYNONYMS.strip().split("\n"))
)


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a group of subjects.

    `family` numbers the bases within the group: properties of one family are near-identical. `common` names the
    common relation it is (see `phrasings.COMMON_RELATIONS`), None where natural questions would not single it out.
    """

    relation: str
    value_kind: str
    family: int
    common: str | None


@dataclass(slots=True)
class _Group:
    """The properties of one group of subjects while they are drawn."""

    excluded: frozenset[str]
    style: Callable[[str], str]
    properties: list[Property] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    claims: Counter[str | None] = field(default_factory=Counter)  # common relation -> properties with a name of it
    num_families: int = 0

    def add(self, relation: str, value_kind: str, *, base: str, common: str | None = None) -> None:
        """Add a property unless the group has it or it, or its base, is excluded."""
        text = self.style(relation)
        key = text.casefold()
        if key in self.seen or not self.excluded.isdisjoint((plain(relation), plain(base), plain(text))):
            return
        self.seen.add(key)
        self.claims[COMMON_NAMES.get(plain(relation))] += 1
        self.properties.append(Property(text, value_kind, self.num_families, common))


def draw_properties(
    draw: Draw, theme: str, *, num_properties: int, excluded: frozenset[str] = frozenset()
) -> list[Property]:
    """The properties of one group of subjects.

    Args:
        draw: source of randomness.
        theme: theme of the subjects, see `subjects.SubjectKind`.
        num_properties: how many properties, all with different relations (ignoring case).
        excluded: relations, as `plain` writes them, that must not occur, neither as they are nor as the base of a
            modified one.

    Returns:
        `num_properties` properties; those of one family stand together.

    Raises:
        ValueError: if so many relations are excluded that the properties cannot be drawn.
    """
    group = _Group(excluded, _draw_style(draw))
    for _ in range(MAX_ATTEMPTS):
        if len(group.properties) >= num_properties:
            break
        u = draw.random()
        if u < 0.80:
            _add_common(draw, group, theme)
        elif u < 0.87:
            _add_headed(draw, group)
        elif u < 0.93:
            _add_nouns(draw, group)
        elif u < 0.96:
            _add_synonyms(draw, group)
        else:
            _add_verbal(draw, group)
        group.num_families += 1
    else:
        raise ValueError(f"could not draw {num_properties} relations with {len(excluded)} excluded")
    chosen = group.properties[:num_properties]
    # Two names of one common relation, or a near-synonym that is one: a natural question would fit both.
    return [replace(p, common=None) if p.common and group.claims[p.common] > 1 else p for p in chosen]


def plain(relation: str) -> str:
    """A relation without the marks of its style: "Time_Zone" becomes "time zone"."""
    return relation.casefold().replace("_", " ")


def _kind(draw: Draw, usual: str) -> str:
    """The usual kind of value, or in a quarter of the draws any."""
    return any_kind(draw) if draw.random() < RANDOM_KIND_SHARE else usual


def _add_common(draw: Draw, group: _Group, theme: str) -> None:
    """A common relation; of a family often some or all of it, so that near-synonyms must be told apart."""
    pool = _BY_THEME[theme] if draw.random() < 0.8 else _BY_THEME["any"]
    entry = draw.pick(pool)
    if entry.family is not None and draw.random() < FAMILY_SHARE:
        family = _BY_FAMILY[entry.family]
        for member in draw.sample(family, draw.between(min(2, len(family)), min(MAX_SIBLINGS, len(family)))):
            _add_entry(draw, group, member)
    else:
        _add_entry(draw, group, entry)


def _add_entry(draw: Draw, group: _Group, entry: CommonRelation) -> None:
    """A relation by one of its names, now and then with variants of it."""
    if not group.excluded.isdisjoint([plain(name) for name in entry.names]):
        return
    name = entry.names[0] if draw.random() < 0.5 else draw.pick(entry.names)
    group.add(name, _kind(draw, entry.value_kind), base=name, common=entry.names[0])
    if draw.random() < 0.25:
        _add_variants(draw, group, base=name, value_kind=entry.value_kind)


def _add_headed(draw: Draw, group: _Group) -> None:
    head, kind = draw.pick(_HEADS)
    u = draw.random()
    if u < 0.25:
        base = head
    elif u < 0.75:
        base = f"{_noun(draw)} {head}"
    else:
        base = f"{head} {draw.pick(('of', 'of the', 'for', 'in'))} {_noun(draw)}"
    _add_family(draw, group, base=base, value_kind=kind)


def _add_nouns(draw: Draw, group: _Group) -> None:
    u = draw.random()
    count = 1 if u < 0.35 else 2 if u < 0.8 else 3
    base = " ".join([_noun(draw) for _ in range(count)])
    _add_family(draw, group, base=base, value_kind=any_kind(draw))


def _noun(draw: Draw) -> str:
    u = draw.random()
    return draw.pick(common_words()) if u < 0.75 else word(draw) if u < 0.96 else pseudo_word(draw)


def _add_family(draw: Draw, group: _Group, *, base: str, value_kind: str) -> None:
    """The base alone, or several variants of it, with or without the base itself."""
    u = draw.random()
    if u < 0.65:
        group.add(base, _kind(draw, value_kind), base=base)
    if u > 0.5:
        _add_variants(draw, group, base=base, value_kind=value_kind)


def _add_variants(draw: Draw, group: _Group, *, base: str, value_kind: str) -> None:
    """2 to 6 relations that differ from the base in a modifier, a year, a unit or an ending."""
    if value_kind not in VALUE_KINDS:
        raise ValueError(f"unknown kind of value {value_kind!r}")
    usual, num_variants = _kind(draw, value_kind), draw.between(1, 3) + draw.between(1, 3)
    shape = draw.random()
    year = draw.between(1950, 2024)
    for i in range(num_variants):
        if shape < 0.4:
            relation = f"{draw.pick(rv.MODIFIERS)} {base}"
        elif shape < 0.55:
            year += draw.between(1, 6)
            relation = f"{base} {('in', 'as of', 'for', 'since')[num_variants % 4]} {year}"
        elif shape < 0.63:
            relation = f"{base} {draw.pick(rv.UNIT_ENDINGS)}"
        elif shape < 0.75:
            relation = f"{base} {draw.pick(rv.ENDINGS)}"
        elif shape < 0.82:
            relation = f"{base} {i + 1}"
        elif shape < 0.92:
            relation = f"{_noun(draw)} {base}"
        else:
            relation = f"{draw.pick(rv.MODIFIERS)} {_noun(draw)} {base}"
        group.add(relation, usual if draw.random() < 0.85 else any_kind(draw), base=base)


def _add_synonyms(draw: Draw, group: _Group) -> None:
    words, kind = draw.pick(_SYNONYMS)
    usual, prefix = _kind(draw, kind), f"{_noun(draw)} " if draw.random() < 0.3 else ""
    for synonym in draw.sample(words, draw.between(2, len(words))):
        group.add(prefix + synonym, usual, base=synonym)


def _add_verbal(draw: Draw, group: _Group) -> None:
    if draw.random() < 0.6:
        verb = draw.pick(rv.VERBS)
        for preposition, kind in draw.sample(rv.VERB_ENDS, draw.pick((1, 1, 2, 3))):
            relation = f"{verb} {preposition}"
            group.add(relation, _kind(draw, kind), base=relation)
    else:
        relation = f"{draw.pick(('has', 'member of', 'part of', 'related', 'is a', 'see also', 'same'))} {_noun(draw)}"
        group.add(relation, any_kind(draw), base=relation)


def _camel(text: str) -> str:
    first, *rest = text.replace("(", "").replace(")", "").split()
    return first.lower() + "".join([part[:1].upper() + part[1:] for part in rest])


def _draw_style(draw: Draw) -> Callable[[str], str]:
    """How the names of a whole group are written: as words in most, as a program or a spreadsheet would in some."""
    u = draw.random()
    if u < 0.78:
        return str
    if u < 0.86:
        return lambda text: text.replace(" ", "_").lower()
    if u < 0.89:
        return _camel
    if u < 0.95:
        return lambda text: text[:1].upper() + text[1:]
    if u < 0.98:
        return str.title
    return str.upper if u < 0.985 else lambda text: text.replace(" ", "-").lower()
