"""Ctrl-C held back while parts that belong together are changed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the body finish before a Ctrl-C acts; for bodies of seconds at most.

    Python interrupts its main thread only, so that elsewhere there is nothing to hold back.
    """
    former = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or former is None:
        yield
        return
    held = []
    signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
    if held:
        signal.raise_signal(signal.SIGINT)
