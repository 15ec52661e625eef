"""How a question and its facts are put to a small LLM: formats, worked examples (shots), and the prompt text itself.

A small LLM's exact match depends on the format more than on anything else, so that a comparison uses the best of all
formats, found on questions that are not in the test (see `tuning.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.schema import statement_prefix

INSTRUCTION = "Give only the answer, as short as possible, without a sentence around it."


@dataclass(frozen=True)
class PromptFormat:
    """A way to lay out a prompt.

    Attributes:
        num_shots: worked examples before the question.
        is_chat: through the tokenizer's chat template, or plain text.
    """

    num_shots: int
    is_chat: bool

    @property
    def name(self) -> str:
        """For tables: `plain-2`, `chat-0`."""
        return f"{'chat' if self.is_chat else 'plain'}-{self.num_shots}"


PROMPT_FORMATS = tuple(PromptFormat(num_shots, is_chat) for is_chat in (False, True) for num_shots in (0, 2, 5))
DEFAULT_FORMAT = PromptFormat(num_shots=2, is_chat=False)


@dataclass(frozen=True)
class Context:
    """Facts shown before a question.

    Attributes:
        statements: one sentence a fact.
        fact_ids: the ids of the same facts.
    """

    statements: tuple[str, ...] = ()
    fact_ids: tuple[str, ...] = ()

    def first(self, num_facts: int) -> Context:
        """The first `num_facts` facts only."""
        return Context(self.statements[:num_facts], self.fact_ids[:num_facts])


@dataclass(frozen=True)
class Shot:
    """A worked example: a question that is not in the test, its answer, and the facts shown with it."""

    question: str
    answer: str
    context: Context = Context()
    fact_id: str | None = None


def fact_sentence(row: Mapping[str, Any]) -> str:
    """A fact's own statement, or the default one, as a sentence; `row` is a row of a facts frame."""
    return row["statement"] if row["statement"] is not None else f"{statement_prefix(row)} {row['object']}."


def context_of(facts: pl.DataFrame) -> Context:
    """The rows of a facts frame as sentences, in order."""
    return Context(tuple(fact_sentence(row) for row in facts.iter_rows(named=True)), tuple(facts["fact_id"]))


def build_prompt(
    lm: FrozenLM, question: str, *, context: Context, shots: Sequence[Shot], prompt_format: PromptFormat
) -> str:
    """The text the LLM reads for one question.

    Args:
        lm: gives the chat template.
        question: raw text.
        context: facts shown with the question.
        shots: at least `prompt_format.num_shots` worked examples, of which the first ones are used.
        prompt_format: the layout.

    Raises:
        ValueError: too few shots, or a chat format and no chat template.
    """
    if len(shots) < prompt_format.num_shots:
        raise ValueError(f"format {prompt_format.name} needs {prompt_format.num_shots} shots, got {len(shots)}")
    used = shots[: prompt_format.num_shots]
    if prompt_format.is_chat:
        turns = [(_user_turn(shot.question, shot.context), shot.answer) for shot in used]
        return lm.chat_prompt(_user_turn(question, context), shots=turns)
    blocks = [f"{_plain_block(shot.question, shot.context)} {shot.answer}" for shot in used]
    return "\n\n".join([*blocks, _plain_block(question, context)])


def _plain_block(question: str, context: Context) -> str:
    return "\n".join([*context.statements, f"Question: {question}", "Answer:"])


def _user_turn(question: str, context: Context) -> str:
    return "\n".join([*context.statements, question, INSTRUCTION])
