"""Whether Redis answers this host. Who loses it says so here, the beat looks for it, all that writes waits for that.

So the first thing that Redis hears after an outage is the conditional beat, which tells whether this host may go on.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable

from farm.store.connection import SILENCE

_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Between tries. A try costs a server that is there next to nothing, and each second of waiting is one without work."""

_logger = logging.getLogger("farm.host")


class Contact:
    """One outage is told of twice: that it began, and how long it was. A connection that was only cut is not."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._tries = 0
        self._is_told = False
        self._there = asyncio.Event()
        self._there.set()
        self.on_loss: Callable[[], None] = lambda: None
        """Told at once: time for a beat."""

    @property
    def lost(self) -> bool:
        """Redis did not answer, or could not serve, and no beat got through since."""
        return self._lost_at is not None

    def lose(self, error: Exception) -> None:
        """A command failed for want of Redis: until a beat gets through, nothing else is tried."""
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self._there.clear()
            _logger.debug("lost Redis: %s", error)
            self.on_loss()
        if isinstance(error, SILENCE):
            self._tell(error)

    def lose_again(self, error: Exception) -> None:
        """A beat failed."""
        self.lose(error)
        self._tries += 1
        if self._tries > 1:
            self._tell(error)

    def regain(self) -> None:
        """A beat got through: the lease is current."""
        if self._lost_at is None:
            return
        if self._is_told:
            _logger.info("Redis is back after %.1f s", time.monotonic() - self._lost_at)
        self._lost_at, self._tries, self._is_told = None, 0, False
        self._there.set()

    async def wait(self) -> None:
        """Returns when Redis answers: at once, most of the time."""
        await self._there.wait()

    async def wait_to_listen(self) -> None:
        """After who only listens lost its connection: a little apart from others, not before Redis answers."""
        await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        await self.wait()

    async def ride_out(self, error: Exception, attempt: int) -> None:
        """After a command failed: waits for a beat, and longer with each attempt in a row, counted from 0."""
        self.lose(error)
        await self.wait()
        if attempt:
            if attempt == 1:
                _logger.warning("Redis answers and does not do what is needed, trying on: %s", error)
            await asyncio.sleep(_jittered(attempt - 1))

    async def pause(self) -> None:
        """Between two beats that look for Redis."""
        await asyncio.sleep(_jittered(self._tries - 1))

    def _tell(self, error: Exception) -> None:
        if not self._is_told:
            self._is_told = True
            _logger.warning("Redis is away, running jobs go on: %s", error)


def _jittered(tries: int) -> float:
    return _PAUSES[max(0, min(tries, len(_PAUSES) - 1))] * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)
