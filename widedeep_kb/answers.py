"""An answer of the memory: its text, the facts it came from, how sure it is and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass


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
        confidence: geometric mean of the probabilities of its tokens, 0 to 1.
        evidence: the facts looked at, most attention first; behind them those that were read on the way (see `chain`).
        prompt_tokens, generated_tokens: of the LLM.
        latency_ms: wall-clock milliseconds, shared equally by the questions of a call.
        chain: of an answer over several hops, the facts it rests on in order, each a fact about the object of the one
            before; empty for an answer from one fact. The attention is of the pass in which the fact was read.
    """

    text: str
    confidence: float
    evidence: tuple[Evidence, ...]
    prompt_tokens: int
    generated_tokens: int
    latency_ms: float
    chain: tuple[Evidence, ...] = ()

    def as_dict(self) -> dict:
        """The answer as `ask --json` prints it; `chain` is there only where there is one."""
        values = {**asdict(self), "evidence": [e.as_dict() for e in self.evidence]}
        chain = [e.as_dict() for e in self.chain]
        del values["chain"]
        return values | {"chain": chain} if chain else values
