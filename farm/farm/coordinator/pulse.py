"""When duties act that have time: all at the same moments, so that what they ask Redis goes in one message.

A coordinator of an idle farm then wakes up, and writes to Redis, once a second and not once for each duty.
"""

import asyncio
import math
import time

AFTER_WHOLE_SECOND = 0.05
"""RQ's scheduled jobs are due at whole seconds of the clock: just after them is the time to look."""


def seconds_to_pulse(seconds: float, now: float | None = None) -> float:
    """Until the last pulse that is no more than `seconds` away; less than one second stays. `now`: Unix time.

    A clock that is set moves pulses, and makes no pause longer than it was asked for.
    """
    if seconds < 1:
        return seconds
    since = (time.time() if now is None else now) - AFTER_WHOLE_SECOND
    return math.floor(since + seconds) - since


async def sleep_to_pulse(seconds: float) -> None:
    """Sleeps for `seconds` at most, until a pulse if one is in that time."""
    await asyncio.sleep(seconds_to_pulse(seconds))
