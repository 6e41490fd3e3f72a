"""Dividing a time among functions of the user that run one after the other: one that hangs leaves the others theirs."""

import time

LAST_SECONDS = 1.0
"""What each function has although those before it used up the time."""
LAST_PART = 0.1
"""The same as a part of the whole, where that is short."""


class Shares:
    """`seconds` for all, from now on. Where functions can't be interrupted it may take longer."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._least = max(min(LAST_SECONDS, LAST_PART * seconds), 0.05)

    @property
    def used_up(self) -> bool:
        """Nothing is left but what functions have at the least."""
        return time.monotonic() >= self._deadline

    def take(self, others: int) -> float:
        """Seconds for the next function, if so many are to come after it. Never 0, which would mean no limit."""
        left = self._deadline - time.monotonic() - others * self._least
        return max(round(left, 2), self._least)
