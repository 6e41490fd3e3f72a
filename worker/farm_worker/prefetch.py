"""How many jobs may wait at a host: few milliseconds of work, by what was learned of how long jobs take.

Only short jobs are worth dealing in advance; behind a long one nothing may wait.
"""

import math

FRAME_SECONDS = 0.05
"""Expected work that may wait at a process, and as much again for it in the inbox."""

SOLE_FRAME_SECONDS = 0.15
"""The same where nothing is placed in advance, as a sole host takes for itself: an exchange with Redis costs as much as
a few jobs do, and what is taken for longer than this could not begin before it is recalled."""

OVERHEAD_SECONDS = 0.0001
"""What a job costs beside its own run, so that empty jobs don't count as free."""

MAX_DEPTH = 200
"""Jobs sent to one process at most: enough to bridge an exchange with Redis, which is about those of all processes."""

RECALL_SECONDS = 0.2
"""A job that was not begun after this long goes back to the head of its queue."""


def depth(expected: float | None, *, is_sole: bool = False) -> int:
    """How many jobs one process may hold, the running one counted."""
    if expected is None or is_long(expected):
        return 1
    return min(1 + _jobs_in(SOLE_FRAME_SECONDS if is_sole else FRAME_SECONDS, expected), MAX_DEPTH)


def is_long(expected: float | None) -> bool:
    """Whether a job of so many seconds is to have nothing wait behind it."""
    return expected is not None and _jobs_in(FRAME_SECONDS, expected) == 0


def prefetch(expected: float | None, processes: int, *, is_sole: bool = False) -> int:
    """How many jobs a host may hold beyond one for each process: those in frames, and as many that are elsewhere.

    In the inbox, that is; of a sole host those that ended, and of which Redis was not told yet, where they are many.
    """
    if expected is None or is_long(expected):
        return 0
    in_frames = depth(expected, is_sole=is_sole) - 1
    most = _jobs_in(SOLE_FRAME_SECONDS, expected) if is_sole else 2 * in_frames
    return min(most, 2 * in_frames) * processes


def _jobs_in(seconds: float, expected: float) -> int:
    return math.floor(seconds / (expected + OVERHEAD_SECONDS))
