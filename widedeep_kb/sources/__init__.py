"""Data sets as corpora of facts, questions and templates."""

from widedeep_kb.sources.corpus import Corpus, unique_property_facts
from widedeep_kb.sources.overlap import Overlap, assert_disjoint, exclude, measure_overlap
from widedeep_kb.sources.registry import SOURCES, load_corpus

__all__ = [
    "SOURCES",
    "Corpus",
    "Overlap",
    "assert_disjoint",
    "exclude",
    "load_corpus",
    "measure_overlap",
    "unique_property_facts",
]
