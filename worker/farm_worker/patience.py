"""Pauses between tries while Redis is away."""

import asyncio
import logging
import random

from farm.store.connection import CONNECTION_LOST

_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


async def back_off(logger: logging.Logger, error: Exception, attempt: int) -> None:
    """Pauses, longer with each attempt in a row, counted from 0; says why at the first."""
    if attempt == 0:
        away = isinstance(error, CONNECTION_LOST)
        logger.warning("Redis %s, running jobs go on: %s", "is away" if away else "cannot serve", error)
    pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
