"""Keeps other libraries' chatter off stderr."""

from __future__ import annotations

import os
import sys


def quiet_libraries() -> None:
    """Keep stderr for our own line: no warnings of transformers, and bars only on a terminal.

    The bar of a GGUF file heeds only `TQDM_DISABLE`, which tqdm reads when it is first imported.
    """
    is_terminal = sys.stderr.isatty()
    if not is_terminal:
        os.environ.setdefault("TQDM_DISABLE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    if not is_terminal:
        transformers.logging.disable_progress_bar()
