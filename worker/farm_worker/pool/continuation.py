"""What follows the end of an attempt: the rules of RQ's retries and repeats, as values in and values out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from farm.records import LONGEST_SECONDS


@dataclass(frozen=True, slots=True)
class Next:
    """Where a job goes when an attempt is over."""

    again: str = ""
    """`` nowhere, `back` or `front` of its queue, `scheduled` after `delay` seconds."""
    delay: int = 0


NOWHERE = Next()


def after_failure(retries_left: int | None, intervals: Sequence[float] | None, at_front: bool) -> Next:
    """A job raised. Its first retry takes the first interval; when there are fewer intervals, the first one repeats."""
    if not retries_left or retries_left < 0:
        return NOWHERE
    interval = intervals[max(len(intervals) - retries_left, 0)] if intervals else 0
    return _go(interval, at_front)


def after_returned_retry(done: int, most: int, intervals: Sequence[float], at_front: bool) -> Next:
    """A job returned `Retry(most, intervals)` and was retried `done` times so. The last interval repeats."""
    if done >= most:
        return NOWHERE
    interval = intervals[min(len(intervals) - 1, done)] if intervals else 0
    return _go(interval, at_front)


def after_success(repeats_left: int | None, intervals: Sequence[float] | None) -> Next:
    """A job finished that may be asked to repeat. The intervals that are left begin with the next one."""
    if not repeats_left or repeats_left < 0:
        return NOWHERE
    return _go(intervals[0] if intervals else 0, at_front=False)


def _go(interval: float, at_front: bool) -> Next:
    if interval > 0:
        return Next("scheduled", math.ceil(min(interval, LONGEST_SECONDS)))
    return Next("front" if at_front else "back")
