"""Prompt texts, written out."""

import polars as pl
import pytest

from widedeep_kb.lm import FrozenLM, LMIdentity
from widedeep_kb.systems.prompts import (
    INSTRUCTION,
    PROMPT_FORMATS,
    Context,
    PromptFormat,
    Shot,
    build_prompt,
    context_of,
)

SHOTS = (Shot("How old is A?", "7", Context(("A is 7.",), ("f1",))), Shot("How old is B?", "8"))
CONTEXT = Context(("C is 9.", "C is blue."), ("f2", "f3"))


def prompt(lm: FrozenLM, num_shots: int, *, is_chat: bool) -> str:
    return build_prompt(
        lm, "How old is C?", context=CONTEXT, shots=SHOTS, prompt_format=PromptFormat(num_shots, is_chat)
    )


def test_plain_prompts_end_where_the_answer_begins(tiny_lm: FrozenLM) -> None:
    question = "C is 9.\nC is blue.\nQuestion: How old is C?\nAnswer:"
    assert prompt(tiny_lm, 0, is_chat=False) == question
    shots = "A is 7.\nQuestion: How old is A?\nAnswer: 7\n\nQuestion: How old is B?\nAnswer: 8\n\n"
    assert prompt(tiny_lm, 2, is_chat=False) == shots + question


def test_chat_prompts_go_through_the_template(tiny_lm: FrozenLM) -> None:
    def user(text: str) -> str:
        return f"<|im_start|>user\n{text}\n{INSTRUCTION}<|im_end|>\n"

    question = user("C is 9.\nC is blue.\nHow old is C?") + "<|im_start|>assistant\n"
    assert prompt(tiny_lm, 0, is_chat=True) == question
    shot = user("A is 7.\nHow old is A?") + "<|im_start|>assistant\n7<|im_end|>\n"
    assert prompt(tiny_lm, 1, is_chat=True) == shot + question


def test_too_few_shots_are_refused(tiny_lm: FrozenLM) -> None:
    with pytest.raises(ValueError, match="plain-5 needs 5 shots, got 2"):
        prompt(tiny_lm, 5, is_chat=False)


def test_chat_needs_a_template(tiny_lm: FrozenLM) -> None:
    class NoTemplate:
        chat_template, pad_token_id = None, 0

    bare = FrozenLM(tiny_lm.model, NoTemplate(), identity=LMIdentity("bare", "0"))
    with pytest.raises(ValueError, match="'bare' has no chat template"):
        prompt(bare, 0, is_chat=True)


def test_format_names_are_distinct() -> None:
    names = [prompt_format.name for prompt_format in PROMPT_FORMATS]
    assert names == ["plain-0", "plain-2", "plain-5", "chat-0", "chat-2", "chat-5"]


def test_a_context_uses_a_facts_own_statement(facts: pl.DataFrame) -> None:
    context = context_of(facts[:2])
    assert context.statements == (
        "Zorvania was founded in 1871, they say.",
        "The flag colour of Zorvania is teal.",
    )
    assert context.fact_ids == tuple(facts["fact_id"][:2])
    assert context.first(1).statements == context.statements[:1]
