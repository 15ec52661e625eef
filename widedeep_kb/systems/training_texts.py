"""What every trained alternative learns of facts: questions in trained frames with their answers, and statements."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from widedeep_kb.phrasings import ask_prompt, frames
from widedeep_kb.systems.prompts import fact_sentence

STATEMENT_SHARE = 0.2


class TrainingText(NamedTuple):
    """A text to learn: the loss is taken on the answer, of which the prompt is not a part."""

    prompt: str
    answer: str


def training_texts(facts: pl.DataFrame, *, seed: int) -> Iterator[TrainingText]:
    """Texts without end: every fact once in a random order, then again, each time in another frame or as a statement.

    Questions are put as `ask` puts them, in frames of the split "trained"; an answer ends with a line break. A
    statement is an answer without a prompt.

    Args:
        facts: a frame in `FACT_SCHEMA`.
        seed: of order and frames.

    Raises:
        ValueError: there are no facts.
    """
    if facts.is_empty():
        raise ValueError("there are no facts to train on")
    rng, choices = random.Random(seed), frames("trained")
    rows = facts.select("subject", "relation", "object", "statement").to_dicts()
    while True:
        rng.shuffle(rows)
        for row in rows:
            if rng.random() < STATEMENT_SHARE:
                yield TrainingText("", fact_sentence(row))
            else:
                question = rng.choice(choices).render(row["subject"], row["relation"])
                yield TrainingText(ask_prompt(question), f" {row['object']}\n")
