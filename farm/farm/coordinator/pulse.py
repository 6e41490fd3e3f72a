"""When duties act that have time: all at the same moments, so that what they ask Redis goes in one message.

A coordinator of an idle farm then wakes up, and writes to Redis, once a second and not once for each duty.
"""

import asyncio
import math


def seconds_to_pulse(now: float, seconds: float) -> float:
    """From `now` (monotonic) to the last pulse within `seconds`, as pulses are at whole seconds. Less than 1 stays."""
    return seconds if seconds < 1 else math.floor(now + seconds) - now


async def sleep_to_pulse(seconds: float) -> None:
    """Sleeps for `seconds` at most, until a pulse if one is in that time."""
    await asyncio.sleep(seconds_to_pulse(asyncio.get_running_loop().time(), seconds))
