"""Training questions about facts: which fact, in which words, in which prompt, with which facts in memory.

In: a `FactTable` and a seed. Out: `Example`s, plain records that `build_chunk` tokenises.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from widedeep_kb.memory.retrieval import Retriever
from widedeep_kb.phrasings import CANONICAL, RAW, Frame, corrupt, frames, wrappers
from widedeep_kb.training.fact_table import FactTable

CHAT_MARK = "\u241f"


@dataclass(frozen=True)
class Example:
    """One training question.

    Attributes:
        prompt: the text the LLM sees.
        text: the user's words in it, from which the keys are made.
        answer: what is to be said, or None where memory is to stay silent.
        target: the fact that answers, -1 where none does.
        is_chat: the prompt ends in the chat template's assistant turn.
        kind: the class it is reported under.
    """

    prompt: str
    text: str
    answer: str | None
    target: int
    is_chat: bool = False
    kind: str = ""


@dataclass(frozen=True)
class PhrasingMix:
    """Shares of the choices made for each question.

    Attributes:
        own: of questions in the fact's own words, where there are any.
        chat: of chat-template prompts among questions.
        canonical: of the prompt that `ask` uses, among plain ones.
        raw: of plain prompts with nothing around the question.
        corrupted: of questions with typing errors, lower case and the like.
    """

    own: float = 0.5
    chat: float = 0.2
    canonical: float = 0.4
    raw: float = 0.15
    corrupted: float = 0.3


class Phraser:
    """Turns facts into prompts.

    Args:
        chat_prompt: makes a chat prompt of a user text, or None where the tokenizer has no template.
        split: "trained" or "heldout" phrasings.
        mix: shares of the choices.
    """

    def __init__(
        self, chat_prompt: Callable[[str], str] | None, *, split: str = "trained", mix: PhrasingMix = PhrasingMix()  # noqa: B008
    ) -> None:
        self.frames = frames(split)
        self.wrappers = [w for w in wrappers(split) if w not in (RAW, CANONICAL)]
        self.mix = mix
        if chat_prompt is None:
            self.mix = replace(mix, chat=0.0)
            self.chat_parts = ("", "")
        else:
            before, after = chat_prompt(CHAT_MARK).split(CHAT_MARK)
            self.chat_parts = (before, after)

    def example(self, table: FactTable, fact: int, rng: random.Random, *, kind: str = "") -> Example:
        """A question about one fact."""
        text, is_completion = self.words(table, fact, rng)
        prompt, is_chat = self.prompt(text, rng, is_completion=is_completion)
        return Example(prompt, text, table.objects[fact], fact, is_chat, kind)

    def words(self, table: FactTable, fact: int, rng: random.Random) -> tuple[str, bool]:
        """The user's words for a fact, and whether they are a statement to complete."""
        subject, relation = table.subjects[fact], table.relations[fact]
        own = table.questions.get(fact)
        templates = table.templates.get(relation)
        if (own or templates) and rng.random() < self.mix.own:
            if own and (not templates or rng.random() < 0.5):
                text = rng.choice(own)
            else:
                text = rng.choice(templates).replace("{subject}", subject)
            is_completion = not text.endswith(("?", ".", "!", ":")) and " " in text
        else:
            frame: Frame = rng.choice(self.frames)
            text, is_completion = frame.render(subject, relation), frame.is_completion
        if not is_completion and subject in text and rng.random() < self.mix.corrupted:
            text = corrupt(text, subject, rng)
        return text, is_completion

    def prompt(self, text: str, rng: random.Random, *, is_completion: bool = False) -> tuple[str, bool]:
        """`text` as a prompt, and whether it is a chat prompt."""
        if is_completion:
            return text, False
        if rng.random() < self.mix.chat:
            return text.join(self.chat_parts), True
        draw = rng.random()
        if draw < self.mix.canonical:
            return CANONICAL.wrap(text), False
        if draw < self.mix.canonical + self.mix.raw:
            return text, False
        return rng.choice(self.wrappers).wrap(text), False


def absent_example(phraser: Phraser, table: FactTable, fact: int, rng: random.Random) -> Example:
    """A question about a property that memory does not hold, though it holds others of its subject."""
    asked = phraser.example(table, fact, rng, kind="absent")
    return replace(asked, answer=None, target=fact)


def candidate_facts(
    examples: Sequence[Example], table: FactTable, rng: np.random.Generator, *, num_candidates: int, num_few: int = 10
) -> np.ndarray:
    """Facts in memory for each example [Q, C], as the exact index returns them for its text, best first; -1 = none.

    The answering fact is always among them, except where the example is to stay silent: then it never is. Seven in ten
    examples get at most `num_few` facts, one in twenty also two facts that the index would not have returned.

    Args:
        examples: Q examples.
        table: their facts.
        rng: source of randomness.
        num_candidates: C.
        num_few: see above.
    """
    retriever = Retriever(num_candidates)
    retriever.add(
        np.arange(len(table)),
        subjects=table.subjects,
        aliases=[()] * len(table),
        subject_ids=[str(g) for g in table.groups],
        relations=table.relations,
    )
    found = retriever.lookup([e.text for e in examples]).ordinals
    targets = np.array([e.target for e in examples])
    is_silent = np.array([e.answer is None for e in examples])
    found[found == targets[:, None]] = -1
    limits = np.where(rng.random(len(examples)) < 0.7, num_few, num_candidates) - 1
    found[(np.cumsum(found >= 0, axis=1) > limits[:, None])] = -1
    extra = np.where(rng.random((len(examples), 2)) < 0.05, rng.integers(0, len(table), (len(examples), 2)), -1)
    extra[extra == targets[:, None]] = -1
    found = np.concatenate([np.where(is_silent, -1, targets)[:, None], found, extra], axis=1)
    order = np.argsort(found < 0, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)[:, :num_candidates]
