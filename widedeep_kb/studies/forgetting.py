"""What giving a model knowledge broke: its answers to unrelated questions, and how likely unrelated text is to it.

In: a system with its facts, and probes that have nothing to do with them. Out: `Forgetting`.
"""

from __future__ import annotations

import hashlib
import json
import math
import pydoc_data.topics
from dataclasses import dataclass

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.metrics import bootstrap_interval, clean_prediction
from widedeep_kb.phrasings import ask_prompt
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.systems.closed_book import ClosedBook
from widedeep_kb.systems.memory import MemorySystem
from widedeep_kb.systems.prompted import PromptedSystem
from widedeep_kb.systems.prompts import Context, PromptFormat, Shot
from widedeep_kb.systems.protocol import Altering, System, ToldSystem
from widedeep_kb.systems.tuned import text_loglikelihood


@dataclass(frozen=True)
class Probes:
    """What must not change.

    Attributes:
        questions: unrelated to the facts, a frame in `QUESTION_SCHEMA`; may be empty.
        texts: unrelated texts; may be empty.
    """

    questions: pl.DataFrame
    texts: tuple[str, ...]

    def digest(self) -> str:
        """SHA-256 of all of them."""
        rows = [self.questions["question"].to_list(), self.questions["answers"].to_list(), list(self.texts)]
        return hashlib.sha256(json.dumps(rows).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Forgetting:
    """What changed. None: there was nothing to see it by.

    Attributes:
        num_questions: unrelated questions asked.
        share_answered: of them, that got an answer that is not empty.
        share_changed: of them, whose answer is not that of the bare LLM in the same prompt format; None without an LLM.
        changed_interval: its 95 % interval.
        f1_bare, f1: SQuAD token F1 of the bare LLM's answers and of the system's.
        f1_drop: share of the bare LLM's F1 that is lost, below 0 where it rose, as Lin et al. 2025 (arXiv 2510.15103)
            report it of NaturalQuestions; None where there was none to lose.
        perplexity_bare, perplexity: a token, on the texts; both are the same where the LLM is the frozen one.
    """

    num_questions: int = 0
    share_answered: float | None = None
    share_changed: float | None = None
    changed_interval: tuple[float, float] | None = None
    f1_bare: float | None = None
    f1: float | None = None
    f1_drop: float | None = None
    perplexity_bare: float | None = None
    perplexity: float | None = None


def forgetting(system: System, probes: Probes, *, batch_size: int = 64) -> Forgetting:
    """Ask the unrelated questions and read the unrelated texts, with the system and with the bare LLM.

    A ceiling that is told the right fact has none here, and is left out.
    """
    if isinstance(system, ToldSystem) or probes.questions.is_empty():
        return Forgetting()
    lm: FrozenLM | None = getattr(system, "lm", None)
    theirs = predict(system, probes.questions, batch_size=batch_size)
    found: dict[str, object] = {
        "num_questions": theirs.height,
        "share_answered": float((theirs["prediction"].str.strip_chars() != "").mean()),
        "f1": float(theirs["f1"].mean()),
    }
    if lm is None:
        return Forgetting(**found)
    bare = predict(bare_llm_of(system, lm), probes.questions, batch_size=batch_size)
    changed = [
        float(clean_prediction(one) != clean_prediction(other))
        for one, other in zip(theirs["prediction"], bare["prediction"], strict=True)
    ]
    interval = bootstrap_interval(changed)
    found |= {"share_changed": interval.mean, "changed_interval": (interval.low, interval.high)}
    f1_bare = float(bare["f1"].mean())
    found |= {"f1_bare": f1_bare, "f1_drop": (f1_bare - found["f1"]) / f1_bare if f1_bare > 0 else None}
    if probes.texts and isinstance(system, Altering):
        found |= dict(zip(("perplexity_bare", "perplexity"), _perplexities(system, lm, probes.texts), strict=True))
    return Forgetting(**found)


def default_texts(*, num_texts: int = 32, num_words: int = 120) -> tuple[str, ...]:
    """English prose that comes with Python: the beginnings of the topics of its reference."""
    texts = []
    for _, topic in sorted(pydoc_data.topics.topics.items()):
        words = topic.split()
        if len(words) >= num_words:
            texts.append(" ".join(words[:num_words]))
    return tuple(texts[:num_texts])


class Plain(ClosedBook):
    """The bare LLM in the prompt of memories and tuned LLMs: statements are gone on with, questions are answered."""

    def _prompt(self, question: str, context: Context) -> str:
        return ask_prompt(question)


def bare_llm_of(system: System, lm: FrozenLM) -> ClosedBook:
    """The bare LLM in the prompt format of a system, with its worked examples but for their facts.

    It is asked in the same batches too: in others a GPU rounds otherwise, and a few answers differ for that alone.
    """
    batch_size = system.options.batch_size if isinstance(system, MemorySystem) else getattr(system, "batch_size", 32)
    options = {"max_new_tokens": getattr(system, "max_new_tokens", 32), "batch_size": batch_size}
    if not isinstance(system, PromptedSystem):
        return Plain(lm, prompt_format=PromptFormat(num_shots=0, is_chat=False), **options)
    shots = [Shot(shot.question, shot.answer, Context(), shot.fact_id) for shot in system.shots]
    return ClosedBook(lm, prompt_format=system.prompt_format, shots=shots, **options)


def _perplexities(system: Altering, lm: FrozenLM, texts: tuple[str, ...]) -> tuple[float, float]:
    """A token's, by the bare LLM and by the system: of all tokens but the first of each text."""
    num_tokens = sum(len(row) - 1 for row in lm.encode(texts))
    bare = text_loglikelihood(lm, texts)
    return tuple(math.exp(-sum(values) / num_tokens) for values in (bare, system.text_loglikelihood(texts)))
