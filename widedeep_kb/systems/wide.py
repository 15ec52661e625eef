"""`wide`: facts written into the wide memory with no training, read by the frozen LLM through the reader's adapters."""

from __future__ import annotations

import polars as pl

from widedeep_kb.answering import AskOptions
from widedeep_kb.lm import FrozenLM
from widedeep_kb.memory.folder import empty_store, shipped_reader
from widedeep_kb.memory.reader import Reader
from widedeep_kb.model import KnowledgeMemory
from widedeep_kb.systems.memory import MemorySystem


def fresh_reader(lm: FrozenLM) -> Reader:
    """The reader shipped for an LLM, as it is shipped.

    Raises:
        ValueError: there is none.
    """
    return Reader.load(shipped_reader(lm))


class Wide(MemorySystem):
    """A memory of the shipped reader; its hooks leave the LLM with `close`.

    Args:
        lm: the frozen LLM.
        max_new_tokens: most tokens of an answer.
        batch_size: questions in one call of the LLM.

    Raises:
        ValueError: no reader is shipped for the LLM.
    """

    def __init__(self, lm: FrozenLM, *, max_new_tokens: int = 32, batch_size: int = 32) -> None:
        self.lm = lm
        memory = KnowledgeMemory(lm, fresh_reader(lm))
        super().__init__(memory, AskOptions(max_new_tokens=max_new_tokens, batch_size=batch_size))

    def ingest(self, facts: pl.DataFrame) -> None:
        """Write facts, a frame in `FACT_SCHEMA`, into an empty memory."""
        self.memory.store = empty_store(self.lm, self.memory.reader)
        self.memory.write(facts)

    def update(self, facts: pl.DataFrame) -> None:
        """Replace the values of the properties in `facts`; nothing is trained."""
        self.memory.write(facts)

    def close(self) -> None:
        """Take the memory's hooks off the LLM."""
        self.memory.hooks.remove()
