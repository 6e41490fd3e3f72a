"""The mean rate of a growing counter over the last seconds, by the intervals that were really measured."""

from collections import deque

WINDOW_SECONDS = 2.5
POSSIBLE = 1.5
"""A counter cannot grow faster than its capacity; the half above covers ticks and bursts."""


class Rate:
    """Mean growth per second of one counter. Impossible steps are refused: they neither count nor move the mean."""

    def __init__(self, window: float = WINDOW_SECONDS) -> None:
        self._window = window
        self._steps: deque[tuple[float, float]] = deque()
        self._seconds = 0.0
        self.refused_since: float | None = None
        """When the present row of refused steps began (the caller's clock), None after a good step."""

    def add(self, growth: float, seconds: float, capacity: float, now: float) -> bool:
        """Takes one step: the counter grew by `growth` in `seconds`, at most `capacity` per second is possible.

        Returns False for a step that is refused: no time passed, the counter went back, or it grew faster than it can.
        """
        if not (seconds > 0 and 0 <= growth <= POSSIBLE * capacity * seconds):
            if self.refused_since is None:
                self.refused_since = now
            return False
        self.refused_since = None
        self._steps.append((growth, seconds))
        self._seconds += seconds
        while self._seconds - self._steps[0][1] >= self._window:
            self._seconds -= self._steps.popleft()[1]
        return True

    @property
    def mean(self) -> float | None:
        """Growth per second over the window, None before the first good step."""
        if not self._steps:
            return None
        return sum(growth for growth, _ in self._steps) / sum(seconds for _, seconds in self._steps)

    @property
    def last(self) -> float | None:
        """Growth per second of the last good step, None before the first."""
        if not self._steps:
            return None
        growth, seconds = self._steps[-1]
        return growth / seconds

    def forget(self) -> None:
        """Starts anew: another counter is read from now on."""
        self._steps.clear()
        self._seconds = 0.0
        self.refused_since = None
