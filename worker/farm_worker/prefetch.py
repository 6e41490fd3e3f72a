"""How many jobs may wait at a host: few milliseconds of work, by what was learned of how long jobs take.

Only short jobs are worth dealing in advance; behind a long one nothing may wait.
"""

import math

WAITING_SECONDS = 0.1
"""Expected work that may wait for each process: half of it in its frame, half in the inbox."""

OVERHEAD_SECONDS = 0.0001
"""What a job costs beside its own run, so that empty jobs don't count as free."""

MAX_DEPTH = 200
"""Jobs sent to one process at most: enough to bridge an exchange with Redis, which is about those of all processes."""

RECALL_SECONDS = 0.2
"""A job that was not begun after this long goes back to the head of its queue."""


def depth(expected: float | None, *, has_inbox: bool = True) -> int:
    """How many jobs one process may hold, the running one counted. Without an inbox all that may wait is in frames."""
    return min(1 + _waiting(expected) * (1 if has_inbox else 2), MAX_DEPTH)


def is_long(expected: float | None) -> bool:
    """Whether a job of so many seconds is to have nothing wait behind it."""
    return expected is not None and _waiting(expected) == 0


def prefetch(expected: float | None, processes: int) -> int:
    """How many jobs may be placed on a host beyond one for each process. Half wait in frames, as many in the inbox."""
    return 2 * (depth(expected) - 1) * processes


def _waiting(expected: float | None) -> int:
    if expected is None:
        return 0
    return math.floor(WAITING_SECONDS / (expected + OVERHEAD_SECONDS) / 2)
