"""What the coordinator says and does while Redis is away: a line at the beginning and at the end, tries in between."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

LOG = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
"""A try costs little, and each second of waiting is one in which nothing is placed."""


class Trouble:
    """Counts failures by activity, says the first, and makes the pauses between tries longer."""

    def __init__(self, drop_connections: Callable[[], Awaitable[None]] | None = None) -> None:
        """`drop_connections` closes those that wait for use: they may be as dead as the one that failed."""
        self._drop_connections = drop_connections
        self._failures: dict[str, int] = {}
        self._said: set[str] = set()

    async def back_off(self, activity: str, error: BaseException) -> None:
        """Notes a failure and pauses, longer after each one in a row, with jitter."""
        failures = self._failures.get(activity, 0)
        self._failures[activity] = failures + 1
        text = f"{type(error).__name__}: {error}"
        if text not in self._said:  # several activities meet the same outage
            self._said.add(text)
            LOG.warning("Redis trouble while %s: %s; trying on", activity, text)
        if self._drop_connections is not None:
            await self._drop_connections()
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(failures, 10))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret

    def end(self, activity: str) -> None:
        """Notes a success."""
        if self._failures.pop(activity, 0) and not self._failures:
            self._said.clear()
            LOG.info("Redis answers again")
