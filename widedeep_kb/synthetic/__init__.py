"""Synthetic facts and questions, seeded and unlimited, for training a reader that serves domains it never saw."""

from widedeep_kb.synthetic.comparisons import COMPARISON_FRAMES, ComparisonQuestion, comparison_questions
from widedeep_kb.synthetic.generator import MAX_FACTS_PER_SUBJECT, SyntheticBatch, generate, near_value
from widedeep_kb.synthetic.relations import Property, draw_properties
from widedeep_kb.synthetic.subjects import SUBJECT_KINDS, SubjectKind, near_identical
from widedeep_kb.synthetic.two_hops import TwoHopQuestion, two_hop_questions
from widedeep_kb.synthetic.unrelated import unrelated_prompts
from widedeep_kb.synthetic.values import LONG_KINDS, VALUE_KINDS

__all__ = [
    "COMPARISON_FRAMES",
    "LONG_KINDS",
    "MAX_FACTS_PER_SUBJECT",
    "SUBJECT_KINDS",
    "VALUE_KINDS",
    "ComparisonQuestion",
    "Property",
    "SubjectKind",
    "SyntheticBatch",
    "TwoHopQuestion",
    "comparison_questions",
    "draw_properties",
    "generate",
    "near_identical",
    "near_value",
    "two_hop_questions",
    "unrelated_prompts",
]
