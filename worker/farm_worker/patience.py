"""Waiting: time limits that a host which stood still blames on nobody."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Value = TypeVar("Value")

STEP_SECONDS = 0.5


async def within(awaitable: Awaitable[Value], seconds: float) -> Value:
    """What `awaitable` returns or raises. Raises TimeoutError, and cancels it, when it takes longer than `seconds`.

    Waiting is counted in steps of half a second, however long one took: should this host stand still, or the machine
    sleep, what comes meanwhile is not late.
    """
    task = asyncio.ensure_future(awaitable)
    left = seconds
    try:
        while left > 0 and not task.done():
            step = min(left, STEP_SECONDS)
            await asyncio.wait([task], timeout=step)
            left -= step
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
