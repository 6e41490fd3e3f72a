"""Waiting: pauses between tries while Redis is away, and time limits that a host which stood still blames on nobody."""

import asyncio
import logging
import random
from collections.abc import Awaitable
from typing import TypeVar

from farm.store.connection import CONNECTION_LOST

Value = TypeVar("Value")

STEP_SECONDS = 0.5
_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


async def back_off(logger: logging.Logger, error: Exception, attempt: int) -> None:
    """Pauses, longer with each attempt in a row, counted from 0; says why at the first."""
    if attempt == 0:
        away = isinstance(error, CONNECTION_LOST)
        logger.warning("Redis %s, running jobs go on: %s", "is away" if away else "cannot serve", error)
    pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)


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
