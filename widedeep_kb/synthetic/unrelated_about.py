"""Questions that hold a stored name but ask for nothing stored: as people ask, the memory brings facts and is silent.

In: a source of randomness, a subject's name and the relations memory holds of it. Out: one text. Three kinds: the name
is part of another thing's name, the name is a circumstance of a question about something else, or a natural question
asks for a property that the subject does not have.
"""

import random
import re
from collections.abc import Collection
from functools import cache

from widedeep_kb.phrasings.paraphrase import COMMON_RELATIONS, CommonRelation
from widedeep_kb.synthetic import unrelated_about_texts as texts
from widedeep_kb.synthetic.relations import plain
from widedeep_kb.synthetic.unrelated import fill_slots, unrelated_prompts

_STEM = 5  # letters that tell a word: "founded" and "founder" are one
_LOWER_SHARE = 0.7  # as typed into a search box
_QUESTION_START = re.compile(r"(who|what|when|where|which|why|how|is|can)\b")
_ATTEMPTS = 20


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


THINGS = {kind: _split(text) for kind, text in texts.THINGS.items()}
QUESTIONS = {kind: _split(text) for kind, text in texts.QUESTIONS.items()}
_CONNECTORS = _split(texts.CONNECTORS)


def unrelated_about(
    rng: random.Random, subject: str, *, relations: Collection[str] = (), excluded_relations: Collection[str] = ()
) -> str:
    """A question with `subject` in it that none of the subject's facts answers.

    Args:
        rng: source of randomness.
        subject: a name, which stands in the text as it is or in lower case.
        relations: of the facts that memory holds of the subject; a property named like one of them is not asked for.
        excluded_relations: relations whose natural questions must not occur, under any of their names.

    Raises:
        ValueError: the subject is blank.
    """
    if not subject.strip():
        raise ValueError(f"a subject needs a name, not {subject!r}")
    draw = rng.random()
    if draw < 0.35:
        text = _another_property(rng, subject, relations=relations, excluded_relations=excluded_relations)
    elif draw < 0.55:
        (prompt,) = unrelated_prompts(rng, 1)
        text = f"{prompt.rstrip('?.!, ')} {rng.choice(_CONNECTORS).replace('{s}', subject)}"
    else:
        text = _another_thing(rng, subject)
    return _typed(rng, text)


def _another_thing(rng: random.Random, subject: str) -> str:
    kind = rng.choice(("work", "work", "event", "notion", "setting"))
    shape = rng.choice(QUESTIONS[kind])
    if kind in THINGS:
        shape = shape.replace("{t}", rng.choice(THINGS[kind]))
    return fill_slots(rng, shape.replace("{year}", str(rng.randrange(1850, 2020)))).replace("{s}", subject)


def _another_property(
    rng: random.Random, subject: str, *, relations: Collection[str], excluded_relations: Collection[str]
) -> str:
    """A natural question of a common relation unlike all of `relations`; another kind of text where none is found."""
    taken = frozenset().union(*map(_meanings, relations))
    excluded = {plain(relation) for relation in excluded_relations}
    for _ in range(_ATTEMPTS):
        common = rng.choice(_common_relations())
        if any(plain(name) in excluded for name in common.names):
            continue
        if taken.isdisjoint(frozenset().union(*map(_meanings, common.names))):
            trained = [p for p in common.paraphrases if p.split == "trained" and p.kind == "question"]
            if trained:
                return rng.choice(trained).render(subject)
    return _another_thing(rng, subject)


def _typed(rng: random.Random, text: str) -> str:
    if rng.random() < _LOWER_SHARE:
        return text.rstrip("?").lower() if rng.random() < 0.8 else text.lower()
    text = text[0].upper() + text[1:]
    is_question = _QUESTION_START.match(text.lower()) is not None
    return text + "?" if is_question and not text.endswith("?") else text


@cache
def _common_relations() -> tuple[CommonRelation, ...]:
    return tuple(COMMON_RELATIONS.values())


@cache
def _confusable() -> dict[str, int]:
    """Stem -> the line of `CONFUSABLE` it stands in (the last one, if several)."""
    lines = texts.CONFUSABLE.strip().split("\n")
    return {word[:_STEM]: number for number, line in enumerate(lines) for word in line.split()}


@cache
def _meanings(relation: str) -> frozenset[str | int]:
    """What tells relations apart: the stems of their words, and the groups of confusable words they belong to."""
    stems = {word[:_STEM] for word in re.findall(r"[^\W\d_]+", relation.lower()) if len(word) > 2}
    groups = _confusable()
    return frozenset(stems | {groups[stem] for stem in stems if stem in groups}) - {"the", "for", "with", "from"}
