"""What each system answers without its facts: the stateless run that its gain is measured from.

In: a system, and the questions of a comparison. Out: the exact match of its stateless self.
"""

from __future__ import annotations

import polars as pl

from widedeep_kb.lm import FrozenLM
from widedeep_kb.studies.evaluate import predict
from widedeep_kb.studies.forgetting import bare_llm_of
from widedeep_kb.systems.protocol import System


class Stateless:
    """The stateless selves of systems; those that are the same LLM in the same prompt are asked once.

    Without its facts a system that shows text is the bare LLM in the same prompt format, with the same worked examples
    but for their facts. A memory, a tuned LLM or a datastore is the bare LLM in the plain prompt that they read. A
    system without an LLM says nothing.

    Args:
        questions: in `QUESTION_SCHEMA`.
        batch_size: questions in one call.
    """

    def __init__(self, questions: pl.DataFrame, *, batch_size: int) -> None:
        self.questions, self.batch_size = questions, batch_size
        self._known: dict[tuple[type, str, tuple[str, ...]], float] = {}

    def exact_match(self, system: System) -> float:
        """Mean exact match of a tuned system's stateless self."""
        lm: FrozenLM | None = getattr(system, "lm", None)
        if lm is None:
            return 0.0
        bare = bare_llm_of(system, lm)
        shots = bare.shots[: bare.prompt_format.num_shots]
        key = (type(bare), bare.prompt_format.name, tuple(shot.question for shot in shots))
        if key not in self._known:
            answers = predict(bare, self.questions, batch_size=self.batch_size, description="without facts")
            self._known[key] = float(answers["exact_match"].mean())
        return self._known[key]
