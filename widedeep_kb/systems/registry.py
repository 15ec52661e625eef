"""Systems by name, imported only when asked for, so that one system's libraries never burden another."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from widedeep_kb.systems.protocol import System

if TYPE_CHECKING:
    from widedeep_kb.lm import FrozenLM


class Entry(NamedTuple):
    """Where a system's class is, as `module:class`, and whether its first argument is an LLM."""

    target: str
    has_lm: bool


SYSTEMS: dict[str, Entry] = {
    "closed_book": Entry("widedeep_kb.systems.closed_book:ClosedBook", has_lm=True),
    "oracle": Entry("widedeep_kb.systems.oracle:Oracle", has_lm=True),
    "in_context": Entry("widedeep_kb.systems.in_context:InContext", has_lm=True),
    "lookup": Entry("widedeep_kb.systems.lookup:Lookup", has_lm=False),
    "lookup_twice": Entry("widedeep_kb.systems.lookup_twice:LookupTwice", has_lm=False),
    "lookup_vectors": Entry("widedeep_kb.systems.lookup:LookupVectors", has_lm=True),
}


def make_system(name: str, get_lm: Callable[[], FrozenLM]) -> System:
    """A system with its default settings, without facts yet.

    Args:
        name: a key of `SYSTEMS`.
        get_lm: loads the LLM; called only for a system that has one.

    Raises:
        ValueError: no system has this name; the message names the closest one.
    """
    if name not in SYSTEMS:
        close = difflib.get_close_matches(name, SYSTEMS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(SYSTEMS))}"
        raise ValueError(f"no system is called {name!r}; {hint}")
    entry = SYSTEMS[name]
    module, _, attribute = entry.target.partition(":")
    system_class = getattr(importlib.import_module(module), attribute)
    return system_class(get_lm()) if entry.has_lm else system_class()
