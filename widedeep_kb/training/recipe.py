"""The recipe of a training chunk: fresh synthetic facts, a sample of real ones, and questions about them.

In: real `FactTable`s, names to keep out, a seed. Out: a `Chunk`. Runs in worker processes; the same seed gives the
same chunk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from widedeep_kb.phrasings import relation_paraphrases
from widedeep_kb.schema import normalise_text
from widedeep_kb.synthetic import comparison_questions, generate, unrelated_prompts
from widedeep_kb.training.build_chunk import build_chunk
from widedeep_kb.training.chunk import Chunk
from widedeep_kb.training.examples import Example, Phraser, absent_example, candidate_facts
from widedeep_kb.training.fact_table import FactTable, load_tables


@dataclass(frozen=True)
class Recipe:
    """Sizes and shares of a chunk.

    Attributes:
        synthetic_subjects: subjects of fresh synthetic facts.
        real_facts: facts sampled from the real tables.
        num_questions: Q.
        synthetic_share: of the questions about facts.
        unrelated, absent, comparison: shares of questions that no fact can answer, whose fact is not in memory, and
            that compare two facts.
        num_candidates: most facts in memory for a question.
        chat_template: text of a chat prompt with the mark in the user's place, or None.
    """

    synthetic_subjects: int = 4000
    real_facts: int = 15000
    num_questions: int = 50000
    synthetic_share: float = 0.65
    unrelated: float = 0.08
    absent: float = 0.06
    comparison: float = 0.05
    num_candidates: int = 32
