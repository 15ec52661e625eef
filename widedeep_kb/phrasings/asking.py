"""The prompt that a memory asks a question with."""

from __future__ import annotations

import re

from widedeep_kb.phrasings.wrapper import CANONICAL

_QUESTION_START = re.compile(
    r"\s*(who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|would|will|has|have|"
    r"tell|give|name|list|state|show|find|please|provide|identify|specify)\b",
    re.IGNORECASE,
)


def ask_prompt(question: str) -> str:
    """The prompt for a question; a statement to complete is used as it is."""
    if question.rstrip().endswith(("?", ".", "!")) or _QUESTION_START.match(question):
        return CANONICAL.wrap(question)
    return question
