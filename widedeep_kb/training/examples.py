"""Training questions about facts: which fact, in which words, in which prompt, with which facts in memory.

In: a `FactTable` and a seed. Out: `Example`s, plain records that `build_chunk` tokenises.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from widedeep_kb.memory.narrowing import narrow
from widedeep_kb.memory.retrieval import Hits, Retriever
from widedeep_kb.phrasings import CANONICAL, RAW, Frame, corrupt, frames, wrappers
from widedeep_kb.training.fact_table import FactTable

CHAT_MARK = "\u241f"
UNCUED_WEIGHT = 0.2  # of a fact that merely shares the subject


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
        continuation: where memory is to stay silent: words that an answer may begin with, silent as well.
        second: another fact that the answer rests on, -1 where there is none.
    """

    prompt: str
    text: str
    answer: str | None
    target: int
    is_chat: bool = False
    kind: str = ""
    continuation: str = ""
    second: int = -1


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

    own: float = 0.6
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
        self,
        chat_prompt: Callable[[str], str] | None,
        *,
        split: str = "trained",
        mix: PhrasingMix = PhrasingMix(),  # noqa: B008
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
    return replace(asked, answer=None, target=fact, continuation=continuation(table, rng))


def continuation(table: FactTable, rng: random.Random) -> str:
    """The first words of any object, or nothing: what the LLM may be saying while memory is silent."""
    return " ".join(rng.choice(table.objects).split()[:4]) if rng.random() < 0.5 else ""


class Candidates(NamedTuple):
    """Facts in memory for Q examples.

    Attributes:
        facts: [Q, C] int64, -1 = none.
        weights: [Q, C] float32, of the hits that brought them.
    """

    facts: np.ndarray
    weights: np.ndarray


def candidate_facts(
    examples: Sequence[Example], table: FactTable, rng: np.random.Generator, *, num_candidates: int, num_few: int = 10
) -> Candidates:
    """Facts in memory for each example, as the exact index returns them for its text, best first.

    The answering fact is always among them, except where the example is to stay silent: then it never is. Seven in ten
    examples get at most `num_few` facts, one in twenty also two facts that the index would not have returned. In four
    of ten the weights say nothing (all are equal and low), so that the reader learns to choose by meaning as well.

    Args:
        examples: Q examples.
        table: their facts.
        rng: source of randomness.
        num_candidates: C.
        num_few: see above.
    """
    hits = index_hits(table, [e.text for e in examples], budget=num_candidates)
    found, weights = hits.ordinals, hits.weights
    targets = np.array([e.target for e in examples])[:, None]
    is_silent = np.array([e.answer is None for e in examples])[:, None]
    is_target = (found == targets) & (found >= 0)
    target_weight = np.where(is_target, weights, 0).sum(axis=1, keepdims=True)
    target_weight = np.where(target_weight > 0, target_weight, UNCUED_WEIGHT)
    found[is_target] = -1
    limits = np.where(rng.random((len(examples), 1)) < 0.7, num_few, num_candidates) - 1
    found[np.cumsum(found >= 0, axis=1) > limits] = -1
    extra = np.where(rng.random((len(examples), 2)) < 0.05, rng.integers(0, len(table), (len(examples), 2)), -1)
    extra[extra == targets] = -1
    found = np.concatenate([np.where(is_silent, -1, targets), found, extra], axis=1)
    weights = np.concatenate([target_weight, weights, np.full(extra.shape, UNCUED_WEIGHT)], axis=1)
    alike = rng.uniform(0.05, 0.25, (len(examples), 1))
    weights = np.where(rng.random((len(examples), 1)) < 0.4, alike, weights)
    order = np.argsort(found < 0, axis=1, kind="stable")[:, :num_candidates]
    found, weights = np.take_along_axis(found, order, axis=1), np.take_along_axis(weights, order, axis=1)
    return Candidates(found, np.where(found >= 0, weights, 0.0).astype(np.float32))


def index_hits(table: FactTable, texts: list[str], *, budget: int, is_narrowed: bool = False) -> Hits:
    """What the exact index over a table returns for each text.

    Args:
        table: the facts.
        texts: questions.
        budget: most facts for a text.
        is_narrowed: as a memory does when it is asked (see `narrowing`); training keeps the distractors.
    """
    retriever = Retriever(budget)
    retriever.add(
        np.arange(len(table)),
        subjects=table.subjects,
        aliases=[()] * len(table),
        subject_ids=[str(g) for g in table.groups],
        relations=table.relations,
    )
    hits = retriever.lookup(texts)
    return narrow(hits, retriever.namings_of(hits.ordinals)) if is_narrowed else hits
