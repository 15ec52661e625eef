"""`lookup_twice`: no LLM at all; the index names the first fact, its object takes its words' place, then `lookup`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from widedeep_kb.systems.lookup import Lookup
from widedeep_kb.systems.protocol import Answer


class LookupTwice(Lookup):
    """`Lookup` for questions that take two facts; those that take one are looked up as they are."""

    def generate(self, questions: Sequence[str]) -> list[Answer]:
        """Answer questions, one answer each, in order; the first fact stands last in the evidence."""
        hops = self._facts.hops(questions)
        texts = [own[0].text if own else question for question, own in zip(questions, hops, strict=True)]
        return [
            replace(answer, evidence=[*answer.evidence, self._facts.fact_id(own[0].first)]) if own else answer
            for answer, own in zip(super().generate(texts), hops, strict=True)
        ]
