"""`key_rag`: the LLM with the few facts in its prompt that the question's exact keys rank best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from widedeep_kb.lm import FrozenLM
from widedeep_kb.systems.in_context import InContext


class KeyRAG(InContext):
    """The memory's own keys choose as few facts as a retriever would, where `in_context` shows all of the subject.

    Args:
        lm: the frozen LLM; its input embeddings help to rank the facts of a subject.
        top_k: most facts in a prompt.
        **options: as in `PromptedSystem`.
    """

    def __init__(self, lm: FrozenLM, *, top_k: int = 1, **options: object) -> None:
        super().__init__(lm, max_facts=top_k, **options)

    def settings(self) -> Sequence[Mapping[str, object]]:
        """Numbers of facts in the prompt."""
        return [{"top_k": top_k} for top_k in (1, 3, 8)]

    def use(self, setting: Mapping[str, object]) -> bool:
        """Take a setting; the facts need not be ingested again."""
        return super().use({"max_facts": setting["top_k"]})
