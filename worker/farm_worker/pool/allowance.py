"""How much may be said: so much at once, then so much a second. The rest is counted and not shown."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """What may be said at once, and a second after that."""

    lines: int
    size: int
    lines_per_second: int
    size_per_second: int


JOB = Rate(1_000, 1 << 20, 100, 100 << 10)
PROCESS = Rate(5_000, 5 << 20, 500, 500 << 10)
"""For all jobs of a process together, else short jobs would say as much as they like."""
HOST = Rate(20_000, 20 << 20, 2_000, 2 << 20)


class Allowance:
    """What is left of a rate. A part of it may have another allowance above it: both must have enough."""

    __slots__ = ("_above", "_clock", "_closed_until", "_lines", "_rate", "_since", "_size")

    def __init__(
        self, rate: Rate, above: "Allowance | None" = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._above = above
        self._clock = clock
        self._lines, self._size = float(rate.lines), float(rate.size)
        self._since = clock()
        self._closed_until = 0.0

    def take(self, size: int) -> bool:
        """Takes one line of this size; False if there is not enough left.

        Once it was used up, nothing more is taken until a second's worth has come back: what is shown then comes in
        pieces that can be read, with one mark between them.
        """
        if (self._lines < 1 or self._size <= 0) and (self._clock() < self._closed_until or not self._refill()):
            return False
        if self._above is not None and not self._above.take(size):
            return False
        self._lines -= 1
        self._size -= size
        return True

    def spend(self, size: int) -> None:
        """Counts what was taken in anyway."""
        self._size -= size
        if self._above is not None:
            self._above.spend(size)

    def is_spent(self) -> bool:
        """Whether `take` would say no now."""
        spent = (self._lines < 1 or self._size <= 0) and not self._refill()
        return spent or (self._above is not None and self._above.is_spent())

    def _refill(self) -> bool:
        rate, now = self._rate, self._clock()
        passed = now - self._since
        lines = self._lines + passed * rate.lines_per_second
        size = self._size + passed * rate.size_per_second
        missing = max(1 - lines / rate.lines_per_second, 1 - size / rate.size_per_second)
        if missing > 0:
            self._closed_until = now + missing
            return False
        self._lines, self._size, self._since = min(lines, rate.lines), min(size, rate.size), now
        return True
