"""An answer of the memory: its text, the facts it came from, how sure it is and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widedeep_kb.memory.signs import AnswerSigns

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """A fact that the memory looked at while it answered.

    Attributes:
        fact_id, subject, relation, object, source: of the fact.
        attention: its share, 0 to 1, of the attention of all adapters over the generated tokens.
        is_guessed: the question holds no stored name; that this fact's subject is meant was guessed.
    """

    fact_id: str
    subject: str
    relation: str
    object: str
    attention: float
    source: str | None
    is_guessed: bool = False

    def as_dict(self) -> dict:
        """The fact as `ask --json` prints it; `guessed` is there only where it is true."""
        values = asdict(self)
        return values | {"guessed": True} if values.pop("is_guessed") else values


@dataclass(frozen=True)
class MemoryAnswer:
    """One answer.

    Attributes:
        text: as generated, without leading white space, cut at the first line break.
        confidence: probability that it is right, 0 to 1 (see `memory.calibration`); `raw_confidence` where the reader
            has no calibration. Over several hops: that of the last.
        evidence: the facts looked at, most attention first; behind them those that were read on the way (see `chain`).
        prompt_tokens, generated_tokens: of the LLM.
        latency_ms: wall-clock milliseconds, shared equally by the questions of a call.
        chain: of an answer over several hops, the facts it rests on in order, each a fact about the object of the one
            before; empty for an answer from one fact. The attention is of the pass in which the fact was read.
        is_abstained: the answer was too doubtful for the precision asked for; `text` is "unknown".
        signs: what the answer showed, whatever became of it; None = not known.
    """

    text: str
    confidence: float
    evidence: tuple[Evidence, ...]
    prompt_tokens: int
    generated_tokens: int
    latency_ms: float
    chain: tuple[Evidence, ...] = ()
    is_abstained: bool = False
    signs: AnswerSigns | None = None

    @property
    def raw_confidence(self) -> float:
        """Geometric mean of the probabilities of the generated tokens, 0 to 1."""
        return self.confidence if self.signs is None else self.signs.raw_confidence

    def or_unknown(self, threshold: float) -> MemoryAnswer:
        """This answer, or "unknown" with the same evidence where its confidence is below `threshold`."""
        return self if self.confidence >= threshold else replace(self, text=UNKNOWN, is_abstained=True)

    def as_dict(self) -> dict:
        """The answer as `ask --json` prints it; `chain` and `abstained` are there only where they say something."""
        values = {**asdict(replace(self, signs=None)), "evidence": [e.as_dict() for e in self.evidence]}
        for name in ("chain", "is_abstained", "signs"):
            del values[name]
        if self.chain:
            values["chain"] = [e.as_dict() for e in self.chain]
        return values | {"abstained": True} if self.is_abstained else values
