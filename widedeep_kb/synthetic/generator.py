"""The generator of synthetic facts: seeded, unlimited, made for training a reader on strings and relations of any kind.

In: a number of subjects and a seed. Out: a `SyntheticBatch`. Subjects come in groups that share their properties, as
the rows of a table do; some names in a group are near-identical, and a few subjects are namesakes.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from widedeep_kb.synthetic.draw import Draw
from widedeep_kb.synthetic.relations import Property, draw_properties, plain
from widedeep_kb.synthetic.strings import approximate_tokens
from widedeep_kb.synthetic.subjects import SUBJECT_KINDS, near_identical
from widedeep_kb.synthetic.values import MAX_SHORT_TOKENS, VALUE_KINDS, any_kind

MAX_FACTS_PER_SUBJECT = 30
GROUP_SIZES = (1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 6)
_DIGIT_KINDS = frozenset(("integer", "large_integer", "code", "hex", "decimal", "phone", "postcode", "date_iso"))


@dataclass(frozen=True, slots=True)
class SyntheticBatch:
    """Facts of S subjects, N in all; the facts of subject s are `offsets[s] : offsets[s + 1]`.

    A subject string and a relation (both casefolded) occur together at most once, so every question has one answer.
    """

    subjects: list[str]  # S
    subject_kinds: list[str]  # S
    groups: np.ndarray  # int64 [S]; subjects of one group share properties
    offsets: np.ndarray  # int64 [S + 1]
    subject_index: np.ndarray  # int64 [N]
    relations: list[str]  # N
    objects: list[str]  # N
    value_kinds: list[str]  # N; a name of values.VALUE_KINDS
    families: np.ndarray  # int64 [N]; facts of one subject and one family have near-identical relations
    common: list[str | None]  # N; the common relation whose natural questions ask for this fact
    is_long: np.ndarray  # bool [N]; True where the object has more than about 16 tokens

    def __len__(self) -> int:
        return len(self.objects)

    def to_frame(self, *, prefix: str) -> pl.DataFrame:
        """The facts as a table of subject_id, subject, relation, object; ids are `prefix` and the subject's number."""
        return pl.DataFrame(
            {
                "subject_id": [f"{prefix}{s}" for s in self.subject_index.tolist()],
                "subject": [self.subjects[s] for s in self.subject_index.tolist()],
                "relation": self.relations,
                "object": self.objects,
            }
        )


@dataclass(slots=True)
class _Builder:
    """What has been drawn so far."""

    draw: Draw
    excluded_relations: frozenset[str]
    subjects: list[str]
    subject_kinds: list[str]
    groups: list[int]
    facts: list[tuple[int, str, str, str, int, str | None]]
    taken: dict[str, set[str]]  # casefolded subject -> its casefolded relations

    def add_subject(self, subject: str, *, kind: str, group: int, properties: list[Property]) -> None:
        """Add one subject with a value for each property, less those that a namesake has."""
        index = len(self.subjects)
        taken = self.taken.setdefault(subject.casefold(), set())
        self.subjects.append(subject)
        self.subject_kinds.append(kind)
        self.groups.append(group)
        draw, previous, family = self.draw, "", -1
        for p in properties:
            relation_key = p.relation.casefold()
            if relation_key in taken:
                continue
            taken.add(relation_key)
            if p.family == family and p.value_kind in _DIGIT_KINDS and draw.random() < 0.25:
                value = near_value(draw, previous)
            else:
                value = VALUE_KINDS[p.value_kind](draw)
            self.facts.append((index, p.relation, value, p.value_kind, p.family, p.common))
            previous, family = value, p.family


def near_value(draw: Draw, value: str) -> str:
    """The value with one digit changed (the value itself if it has none)."""
    places = [i for i, c in enumerate(value) if c.isdecimal() and c.isascii()]
    if not places:
        return value
    i = places[draw.below(len(places))]
    return value[:i] + str((int(value[i]) + 1 + draw.below(9)) % 10) + value[i + 1 :]


def num_properties(draw: Draw) -> int:
    """How many facts a subject has: 3 to 10 in most, 1 or 2 in some, up to 30 in one of fourteen."""
    u = draw.random()
    if u < 0.10:
        return draw.between(1, 2)
    if u < 0.80:
        return draw.between(3, 10)
    return draw.between(11, 24) if u < 0.93 else draw.between(25, MAX_FACTS_PER_SUBJECT)


def generate(
    num_subjects: int,
    *,
    seed: int,
    excluded_relations: Iterable[str] = (),
    excluded_subjects: Iterable[str] = (),
) -> SyntheticBatch:
    """Draw the facts of `num_subjects` subjects (about eight facts each); equal arguments give equal facts.

    Args:
        num_subjects: at least 1.
        seed: seed of the draw; another seed gives other strings.
        excluded_relations: relations (any case, words or snake_case) that must not occur, neither as they are nor with
            a modifier; a common relation is left out under all of its names.
        excluded_subjects: subjects (any case) that must not occur.

    Raises:
        ValueError: for `num_subjects` below 1.
    """
    if num_subjects < 1:
        raise ValueError(f"num_subjects must be at least 1, not {num_subjects}")
    draw = Draw(seed)
    builder = _Builder(draw, _folded(frozenset(excluded_relations), plain), [], [], [], [], {})
    forbidden = _folded(frozenset(excluded_subjects), str.casefold)
    group = 0
    while len(builder.subjects) < num_subjects:
        size = min(draw.pick(GROUP_SIZES), num_subjects - len(builder.subjects))
        _add_group(builder, group, size=size, forbidden=forbidden)
        group += 1
    return _finish(builder)


@functools.lru_cache(maxsize=8)
def _folded(names: frozenset[str], fold: Callable[[str], str]) -> frozenset[str]:
    """Names as they are compared; the same hundred thousands are kept out of every batch of a process."""
    return frozenset(map(fold, names))


def _add_group(builder: _Builder, group: int, *, size: int, forbidden: frozenset[str]) -> None:
    draw = builder.draw
    kind = draw.pick(SUBJECT_KINDS)
    properties = draw_properties(
        draw, kind.theme, num_properties=num_properties(draw), excluded=builder.excluded_relations
    )
    is_near = draw.random() < 0.5
    is_namesake = draw.random() < 0.03
    names: list[str] = []
    for _ in range(size):
        if is_namesake and builder.subjects:
            name, is_namesake = draw.pick(builder.subjects), False
        elif is_near and names:
            name = near_identical(draw, names[0])
        else:
            name = kind.draw_name(draw)
        while not name or name.casefold() in forbidden or name in names:
            name = kind.draw_name(draw)
        names.append(name)
        builder.add_subject(name, kind=kind.name, group=group, properties=_vary(draw, properties))


def _vary(draw: Draw, properties: list[Property]) -> list[Property]:
    """One subject's share of its group's properties: a few may be missing, a few have another kind of value."""
    if draw.random() < 0.6:
        return properties
    kept = [p for p in properties if draw.random() > 0.15] or properties[:1]
    if draw.random() < 0.1:
        i = draw.below(len(kept))
        kept[i] = Property(kept[i].relation, any_kind(draw), kept[i].family, kept[i].common)
    return kept


def is_long(value: str) -> bool:
    """Whether a value may have more than 16 tokens (an estimate; count with the tokenizer where it matters)."""
    return len(value) > MAX_SHORT_TOKENS and approximate_tokens(value) > MAX_SHORT_TOKENS


def _finish(builder: _Builder) -> SyntheticBatch:
    index, relations, objects, kinds, families, common = (
        [list(column) for column in zip(*builder.facts, strict=True)] if builder.facts else [[] for _ in range(6)]
    )
    subject_index = np.array(index, dtype=np.int64)
    counts = np.bincount(subject_index, minlength=len(builder.subjects))
    return SyntheticBatch(
        subjects=builder.subjects,
        subject_kinds=builder.subject_kinds,
        groups=np.array(builder.groups, dtype=np.int64),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        subject_index=subject_index,
        relations=relations,
        objects=objects,
        value_kinds=kinds,
        families=np.array(families, dtype=np.int64),
        common=common,
        is_long=np.array([is_long(value) for value in objects], dtype=bool),
    )
