"""A trained wide and deep memory of a user's facts for any frozen LLM.

    from widedeep_kb import KnowledgeMemory
    memory = KnowledgeMemory.from_pretrained()

Names are imported when they are first used: `import widedeep_kb` alone loads neither torch nor torchrec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widedeep_kb.client import Client
    from widedeep_kb.model import KnowledgeMemory

__all__ = ["Client", "KnowledgeMemory", "__version__"]


def __getattr__(name: str) -> object:
    if name == "KnowledgeMemory":
        from widedeep_kb.model import KnowledgeMemory

        return KnowledgeMemory
    if name == "Client":
        from widedeep_kb.client import Client

        return Client
    if name == "__version__":
        from importlib.metadata import version

        return version("widedeep_kb")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
