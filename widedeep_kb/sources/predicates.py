"""Readable, distinct relation names for Freebase predicates such as `/people/person/place_of_birth`."""

import re
from collections.abc import Iterable

import polars as pl

SPELLINGS = {"containedby": "contained by", "citytown": "city or town", "cvg": "video game"}


def readable_predicates(predicates: Iterable[str]) -> dict[str, str]:
    """Name each predicate by its last path segment; one whose name is taken takes in more of its path.

    A compound predicate (`/a/b/c./d/e/f`) goes through a middle node: its names are `f`, `c f`, `b c f`, all words.

    Args:
        predicates: each once; an earlier one has the first choice, so the most frequent should come first.

    Returns:
        Name by predicate; no two predicates have the same name, whatever their case.

    Raises:
        ValueError: if a predicate has the same words in all as another.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for predicate in predicates:
        free = [name for name in _candidates(predicate) if name.casefold() not in taken]
        if not free:
            raise ValueError(f"predicate {predicate!r} has the words of another one")
        names[predicate] = free[0]
        taken.add(free[0].casefold())
    return names


def by_frequency(predicates: pl.Series) -> list[str]:
    """Return the distinct values of a String column, the most frequent first, equals in alphabetical order."""
    counts = predicates.rename("predicate").value_counts(name="count")
    return counts.sort("count", "predicate", descending=[True, False])["predicate"].to_list()


def _candidates(predicate: str) -> list[str]:
    hops = [[_words(segment) for segment in hop.strip("/").split("/")] for hop in predicate.split("./")]
    segments = [segment for hop in hops for segment in hop]
    last = hops[-1][-1]
    if len(hops) > 1:
        chosen = [[last], [hops[0][-1], last], [*hops[0][-2:], last], segments]
    else:
        chosen = [[last], segments[-2:], segments[-3:], segments]
    # The last candidate keeps repeated words, so that only predicates of the same words fail.
    return [*(_join(parts) for parts in chosen), " / ".join(segments)]


def _words(segment: str) -> str:
    text = re.sub(r"_s\b", "", segment).replace("_", " ").strip()
    return " ".join(SPELLINGS.get(word, word) for word in text.split())


def _join(parts: list[str]) -> str:
    kept: list[str] = []
    for part in parts:
        if kept and part.split()[0] == kept[-1].split()[-1]:
            part = " ".join(part.split()[1:])
        if part:
            kept.append(part)
    return " ".join(kept)
