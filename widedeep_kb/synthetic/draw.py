"""A seeded source of randomness with the few cheap draws that the generator makes millions of times."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw(random.Random):
    """`random.Random` with faster draws: no rejection loop (the bias of a float draw is below 1e-12 here)."""

    def pick(self, items: Sequence[T]) -> T:
        """One item of a non-empty sequence, all equally likely."""
        return items[int(self.random() * len(items))]

    def below(self, stop: int) -> int:
        """An integer of 0 ... stop - 1."""
        return int(self.random() * stop)

    def between(self, low: int, high: int) -> int:
        """An integer of low ... high, both included."""
        return low + int(self.random() * (high - low + 1))

    def digits(self, count: int) -> str:
        """A string of `count` digits, the first of which is not 0 when there are several."""
        if count == 1:
            return str(int(self.random() * 10))
        low = 10 ** (count - 1)
        return str(low + int(self.random() * (9 * low)))

    def characters(self, alphabet: str, *, count: int) -> str:
        """A string of `count` characters of the alphabet."""
        size, rnd = len(alphabet), self.random
        return "".join([alphabet[int(rnd() * size)] for _ in range(count)])
