"""Arrays that grow at their end, so that what a write adds costs its own size and not that of all before it."""

from __future__ import annotations

import numpy as np

_LEAST_ROOM = 1024


class Growing:
    """A numpy array [n, ...] with room behind it.

    Args:
        array: its rows to begin with; used as it is until it has to grow.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._buffer, self._size = array, len(array)

    def __len__(self) -> int:
        return self._size

    @property
    def array(self) -> np.ndarray:
        """[n, ...] the rows themselves, not a copy; not to be kept over `append`."""
        return self._buffer[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes taken, room included."""
        return self._buffer.nbytes

    def append(self, rows: np.ndarray) -> None:
        """Add rows [m, ...]; an array without rows takes over their shape and dtype."""
        if not self._size:
            self._buffer, self._size = rows.copy(), len(rows)
            return
        size = self._size + len(rows)
        if size > len(self._buffer):
            room = max(size, self._size + self._size // 2, _LEAST_ROOM)
            buffer = np.empty((room, *self._buffer.shape[1:]), self._buffer.dtype)
            buffer[: self._size] = self.array
            self._buffer = buffer
        self._buffer[self._size : size] = rows
        self._size = size
