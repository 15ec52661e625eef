"""`memo`: a second LLM is trained on the facts, and the frozen LLM asks it in words (MeMo, arXiv 2605.15156).

The frozen LLM sees nothing of the memory model but text. As in the paper it asks in three stages:

    grounding   the question itself is put to the memory
    entities    the frozen LLM names what the question is about; the memory is asked what it knows about each
    synthesis   the frozen LLM answers with the memory's answers as notes in its prompt

Two things differ from the paper. There, a larger LLM writes the questions and answers that the memory is trained on; no
such LLM is at hand here, and templates make them of the facts (see `reflection_questions`). There, an LLM of 32 billion
parameters asks in many turns; here a small one asks once a stage.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
import torch

from widedeep_kb.lm import FrozenLM, Generation
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.schema import normalise_text
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import DEFAULT_FORMAT, Context, PromptFormat, Shot
from widedeep_kb.systems.protocol import Answer
from widedeep_kb.systems.reflection_questions import OVERVIEW, reflection_texts
from widedeep_kb.systems.small_copy import pruned
from widedeep_kb.systems.tuned import LEAST_STEPS, batch_size_for, in_dtype_of, train

NAME_EXAMPLES = (
    ("What is the capital of France?", "France"),
    ("Which is longer, the Rhine or the Danube?", "Rhine; Danube"),
    ("The author of The Old Man and the Sea is", "The Old Man and the Sea"),
    ("Who is the mother of the inventor of the telephone?", "telephone"),
)
_NAMES_TOKENS = 32


class Notes(NamedTuple):
    """What the memory said on a question, and the tokens that both models took for it."""

    context: Context
    prompt_tokens: int
    generated_tokens: int


class MeMo(PromptedSystem):
    """The frozen LLM with what a memory model says in its prompt.

    Args:
        lm: the frozen LLM.
        seed: of the training.
        max_seconds: that training may take; None = all of its steps.
        prompt_format, shots, max_new_tokens, batch_size: as in `PromptedSystem`.

    Attributes:
        lr, every, max_names: `use` sets them. The memory begins as each `every`-th layer of the LLM, which is not
            healed before (1 = a copy of the whole LLM); it is asked about at most `max_names` names of a question.
        epochs, least_steps, train_batch_size: of the training, as in `TunedLM`; a pass has as many texts as there are
            facts, and half of them are plain.
        max_note_tokens: longest answer of the memory.
        history: steps, seconds, first and last losses of the last training.
    """

    lr: float = 1e-4
    every: int = 1
    max_names: int = 2
    epochs: int = 40
    least_steps: int = LEAST_STEPS
    train_batch_size: int = 32
    max_note_tokens: int = 64

    def __init__(
        self,
        lm: FrozenLM,
        *,
        seed: int = 0,
        max_seconds: float | None = None,
        prompt_format: PromptFormat = DEFAULT_FORMAT,
        shots: Sequence[Shot] = (),
        max_new_tokens: int = 32,
        batch_size: int = 16,
    ) -> None:
        super().__init__(
            lm, prompt_format=prompt_format, shots=shots, max_new_tokens=max_new_tokens, batch_size=batch_size
        )
        self.seed, self.max_seconds = seed, max_seconds
        self.memory: FrozenLM | None = None
        self.history: dict[str, float] = {}

    def ingest(self, facts: pl.DataFrame) -> None:
        """Train a new memory on facts, a frame in `FACT_SCHEMA`; worked examples stay as they were."""
        self.memory = None  # makes room for the new one
        torch.manual_seed(self.seed)
        model = pruned(self.lm, every=self.every)
        batch_size = batch_size_for(facts.height, least=self.train_batch_size)
        self.history = train(
            model,
            self.lm,
            reflection_texts(facts, seed=self.seed),
            lr=self.lr,
            num_steps=max(self.least_steps, math.ceil(self.epochs * facts.height / batch_size)),
            batch_size=batch_size,
            max_seconds=self.max_seconds,
        )
        self.memory = FrozenLM(in_dtype_of(self.lm, model), self.lm.tokenizer, identity=self.lm.identity)

    def contexts(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None) -> list[Context]:
        """What the memory says on each question; it names no facts."""
        return [notes.context for notes in self.notes(questions)]

    def notes(self, questions: Sequence[str]) -> list[Notes]:
        """What the memory says on each question: to the question as it is, and about what that names.

        Raises:
            ValueError: a question is too long for the LLM.
        """
        asked, tokens = [[question] for question in questions], [(0, 0)] * len(questions)
        if self.max_names:
            written = self._say(self.lm, [_names_prompt(question) for question in questions], most=_NAMES_TOKENS)
            for own, one in zip(asked, written, strict=True):
                names = names_in(own[0], one.text)[: self.max_names]
                own += [OVERVIEW.format(subject=name) for name in names]
            tokens = [(one.num_prompt_tokens, one.num_generated_tokens) for one in written]
        prompts = [ask_prompt(text) for own in asked for text in own]
        said, found = iter(self._say(self.memory, prompts, most=self.max_note_tokens)), []
        for own, (num_prompt, num_generated) in zip(asked, tokens, strict=True):
            answers = [next(said) for _ in own]
            lines = [f"{text} {answer.text.strip()}" for text, answer in zip(own, answers, strict=True)]
            num_prompt += sum(answer.num_prompt_tokens for answer in answers)
            num_generated += sum(answer.num_generated_tokens for answer in answers)
            found.append(Notes(Context(tuple(lines)), num_prompt, num_generated))
        return found

    def generate(self, questions: Sequence[str], *, fact_ids: Sequence[str | None] | None = None) -> list[Answer]:
        """Answer questions, one answer each, in order; the tokens are those of both models.

        Args:
            questions: raw texts.
            fact_ids: see `PromptedSystem.generate`.

        Raises:
            ValueError: see `PromptedSystem.generate`.
        """
        if not questions:
            return []
        self._refuse_shots(questions, fact_ids=fact_ids)
        started = time.perf_counter()
        notes = self.notes(questions)
        fitted = self._fit_all(questions, [one.context for one in notes])
        written = self._write([prompt for prompt, _ in fitted])
        latency_ms = (time.perf_counter() - started) * 1000 / len(questions)
        return [
            Answer(
                text=one.text,
                confidence=None,
                evidence=[],
                prompt_tokens=own.prompt_tokens + one.num_prompt_tokens,
                generated_tokens=own.generated_tokens + one.num_generated_tokens,
                latency_ms=latency_ms,
            )
            for own, one in zip(notes, written, strict=True)
        ]

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Learning rates, the question alone put to the memory, and a memory of a third of the layers."""
        return (
            {"lr": 1e-4, "every": 1, "max_names": 2},
            {"lr": 1e-4, "every": 1, "max_names": 0},
            {"lr": 3e-5, "every": 1, "max_names": 0},
            {"lr": 3e-4, "every": 3, "max_names": 0},
        )

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take attributes; only another learning rate or number of layers asks for another training."""
        retrain = self.memory is None or any(
            setting.get(name, getattr(self, name)) != getattr(self, name) for name in ("lr", "every")
        )
        for name, value in setting.items():
            setattr(self, name, value)
        return retrain

    def size_bytes(self) -> int:
        """Bytes of the memory model."""
        if self.memory is None:
            return 0
        return sum(p.numel() * p.element_size() for p in self.memory.model.parameters())

    def _say(self, lm: FrozenLM, prompts: Sequence[str], *, most: int) -> list[Generation]:
        """What one of the models writes behind each prompt.

        Raises:
            ValueError: a prompt is too long for it.
        """
        room = lm.model.config.get_text_config().max_position_embeddings - most
        for prompt, ids in zip(prompts, lm.encode(prompts), strict=True):
            if len(ids) > room:
                raise ValueError(f"a prompt of {len(ids)} tokens exceeds the LLM's {room}: {prompt[-60:]!r}")
        return lm.generate_texts(prompts, max_new_tokens=most, batch_size=self.batch_size)


def names_in(question: str, written: str) -> list[str]:
    """The names that the LLM wrote, separated by semicolons, so far as the question holds them; each once."""
    names = {normalise_text(name): name.strip() for name in written.split(";")}
    return [name for normalised, name in names.items() if normalised and normalised in normalise_text(question)]


def _names_prompt(question: str) -> str:
    """The prompt for the names of what a question is about."""
    blocks = [f"Question: {asked}\nNames: {names}" for asked, names in NAME_EXAMPLES]
    return "\n\n".join(["Name what each question asks about.", *blocks, f"Question: {question}\nNames:"])
