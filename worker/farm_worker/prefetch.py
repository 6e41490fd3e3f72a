"""How many jobs may wait at a host: few milliseconds of work, learned from how long jobs of each queue take.

Only short jobs are worth dealing in advance; behind a long one nothing may wait. So the estimate rises at once when a
job takes longer than expected, and falls slowly.
"""

import math

WAITING_SECONDS = 0.1
"""Expected work that may wait for each process: half of it in its frame, half in the inbox."""

OVERHEAD_SECONDS = 0.0001
"""What a job costs beside its own run, so that empty jobs don't count as free."""

MAX_DEPTH = 200
"""Jobs sent to one process at most: enough to bridge an exchange with Redis, which is about those of all processes."""

LEAST_UNHEARD_SECONDS = 0.004
"""So long the end of a job may go unheard while others follow it in its process, however short they are."""

RECALL_SECONDS = 0.2
"""A job that was not begun after this long goes back to the head of its queue."""

_MEMORY_SECONDS = 10.0
_RISE, _FALL = 0.5, 0.1


class Durations:
    """What this host learned about the run times of its queues' jobs. Times are on the monotonic clock."""

    def __init__(self) -> None:
        self._estimates: dict[str, tuple[float, float]] = {}

    def observe(self, queue: str, seconds: float, now: float) -> None:
        """A job of `queue` took this long."""
        known = self._estimates.get(queue)
        if known is None:
            estimate = seconds
        else:
            weight = _RISE if seconds > known[0] else _FALL
            estimate = known[0] + weight * (seconds - known[0])
        self._estimates[queue] = (estimate, now)

    def observe_running(self, queue: str, seconds: float, now: float) -> None:
        """A job of `queue` has been running for this long and goes on."""
        known = self._estimates.get(queue)
        if known is None or seconds > known[0]:
            self._estimates[queue] = (seconds, now)

    def expected(self, now: float) -> float | None:
        """Seconds that a job takes, by the slowest queue seen lately; None if none was."""
        recent = [estimate for estimate, seen in self._estimates.values() if now - seen < _MEMORY_SECONDS]
        return max(recent) if recent else None


def depth(expected: float | None) -> int:
    """How many jobs one process may hold, the running one counted."""
    return min(1 + _waiting(expected), MAX_DEPTH)


def unheard(expected: float | None) -> float:
    """Seconds that a process with several jobs may go unheard: half of the time that it has work for, as far as known.

    Each job that is heard of for itself costs the host, and Redis, about as much as ten that are heard of together.
    """
    return max(LEAST_UNHEARD_SECONDS, (depth(expected) - 1) * (expected or 0.0) / 2)


def prefetch(expected: float | None, processes: int) -> int:
    """How many jobs may be placed on a host beyond one for each process. Half wait in frames, as many in the inbox."""
    return 2 * (depth(expected) - 1) * processes


def _waiting(expected: float | None) -> int:
    if expected is None:
        return 0
    return math.floor(WAITING_SECONDS / (expected + OVERHEAD_SECONDS) / 2)
