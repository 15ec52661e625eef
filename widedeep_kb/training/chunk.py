"""Pre-tokenised training examples: a chunk of facts with questions about them, in plain numpy.

Letters: N facts, Q questions, T tokens, C candidate facts of a question.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from widedeep_kb.memory.encoding import NO_TOKEN, EncodedFacts


@dataclass(frozen=True)
class Chunk:
    """Facts and questions.

    Attributes:
        facts: N encoded facts.
        input_ids: [Q, T] int32, prompt and answer, left aligned, NO_TOKEN behind.
        answer_starts: [Q] int32, index of the first answer token; the answer is everything from there on.
        candidates: [Q, C] int64, facts in memory when the question is asked, NO_TOKEN = none.
        weights: [Q, C] float16, weight of the hit that brought each candidate; 0 where the index did not return it.
        targets: [Q] int64, the fact that answers, or one of two; NO_TOKEN where no fact does.
        second_targets: [Q] int64, the other one of two facts that answer together; NO_TOKEN where there is none.
        silent: [Q] bool, questions that no candidate answers: memory must add nothing.
        classes: [Q] int16, the class a question is reported under (index into `class_names`).
        class_names: names of the classes.
    """

    facts: EncodedFacts
    input_ids: np.ndarray
    answer_starts: np.ndarray
    candidates: np.ndarray
    weights: np.ndarray
    targets: np.ndarray
    second_targets: np.ndarray
    silent: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of questions Q."""
        return len(self.targets)

    def save(self, path: Path) -> None:
        """Write the chunk as one compressed .npz file."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("facts", "class_names")}
        facts = {f"facts.{f.name}": getattr(self.facts, f.name) for f in fields(self.facts)}
        np.savez_compressed(path, class_names=np.array(self.class_names), **own, **facts)

    @classmethod
    def load(cls, path: Path) -> Chunk:
        """Read a chunk written by `save`; in files without `second_targets` no question has a second one."""
        with np.load(path) as arrays:
            facts = EncodedFacts(**{f.name: arrays[f"facts.{f.name}"] for f in fields(EncodedFacts)})
            names = tuple(arrays["class_names"].tolist())
            own = {f.name: arrays[f.name] for f in fields(cls) if f.name in arrays and f.name != "class_names"}
        own.setdefault("second_targets", np.full_like(own["targets"], NO_TOKEN))
        return cls(facts=facts, class_names=names, **own)
