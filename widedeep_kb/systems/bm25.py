"""bm25s without JAX.

bm25s starts JAX where it is installed, for a top-k that is not used here; JAX then takes three quarters of the GPU's
memory for itself, and the LLM no longer fits.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Make `import module` fail inside the block, unless the module was imported before."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None
    try:
        yield
    finally:
        del sys.modules[module]


with hidden("jax"):
    from bm25s import BM25

__all__ = ["BM25", "hidden"]
