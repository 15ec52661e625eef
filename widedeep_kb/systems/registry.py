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
    """A system.

    Attributes:
        target: its class, as `module:class`.
        has_lm: its first argument is an LLM.
        is_trained: it takes `seed` and `max_seconds` (see `protocol.Trained`).
    """

    target: str
    has_lm: bool
    is_trained: bool = False


SYSTEMS: dict[str, Entry] = {
    "closed_book": Entry("widedeep_kb.systems.closed_book:ClosedBook", has_lm=True),
    "oracle": Entry("widedeep_kb.systems.oracle:Oracle", has_lm=True),
    "in_context": Entry("widedeep_kb.systems.in_context:InContext", has_lm=True),
    "wide": Entry("widedeep_kb.systems.wide:Wide", has_lm=True),
    "deep": Entry("widedeep_kb.systems.wide_deep:Deep", has_lm=True, is_trained=True),
    "wide_deep": Entry("widedeep_kb.systems.wide_deep:WideDeep", has_lm=True, is_trained=True),
    "wide_deep_ensemble": Entry(
        "widedeep_kb.systems.wide_deep_ensemble:WideDeepEnsemble", has_lm=True, is_trained=True
    ),
    "wide_deep_rag": Entry("widedeep_kb.systems.wide_deep_rag:WideDeepRAG", has_lm=True, is_trained=True),
    "key_rag": Entry("widedeep_kb.systems.key_rag:KeyRAG", has_lm=True),
    "reflexion": Entry("widedeep_kb.systems.reflexion:Reflexion", has_lm=True),
    "bm25": Entry("widedeep_kb.systems.bm25_rag:BM25RAG", has_lm=True),
    "dense_rag": Entry("widedeep_kb.systems.dense_rag:DenseRAG", has_lm=True),
    "hybrid_rag": Entry("widedeep_kb.systems.hybrid_rag:HybridRAG", has_lm=True),
    "knn_lm": Entry("widedeep_kb.systems.knn_lm:KNNLM", has_lm=True),
    "lora": Entry("widedeep_kb.systems.lora:Lora", has_lm=True, is_trained=True),
    "full_ft": Entry("widedeep_kb.systems.full_ft:FullFineTuning", has_lm=True, is_trained=True),
    "proxy_tuning": Entry("widedeep_kb.systems.proxy_tuning:ProxyTuning", has_lm=True, is_trained=True),
    "memo": Entry("widedeep_kb.systems.memo:MeMo", has_lm=True, is_trained=True),
    "lookup": Entry("widedeep_kb.systems.lookup:Lookup", has_lm=False),
    "lookup_twice": Entry("widedeep_kb.systems.lookup_twice:LookupTwice", has_lm=False),
    "lookup_vectors": Entry("widedeep_kb.systems.lookup:LookupVectors", has_lm=True),
}


def make_system(
    name: str, get_lm: Callable[[], FrozenLM], *, seed: int = 0, max_seconds: float | None = None
) -> System:
    """A system with its default settings, without facts yet.

    Args:
        name: a key of `SYSTEMS`.
        get_lm: loads the LLM; called only for a system that has one.
        seed: of the training of a trained system.
        max_seconds: that its training may take; None = as its recipe says.

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
    options = {"seed": seed, "max_seconds": max_seconds} if entry.is_trained else {}
    return system_class(*([get_lm()] if entry.has_lm else []), **options)
