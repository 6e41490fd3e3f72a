"""The duty that raises the alarm before Redis refuses new jobs for want of memory."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from farm.store.leadership import LeaderScripts
from farm.store.memory import MemoryUse

LOG = logging.getLogger(__name__)

ALARM_SHARE = 0.95
CALM_SHARE = 0.9
"""Of `maxmemory`. Apart, so that a farm at the edge does not tell of it again and again."""

_MEGABYTE = 1 << 20


class MemoryWatch:
    """Tells once that Redis is full or nearly so, and once that it has room again."""

    interval = 5.0

    def __init__(
        self,
        look: Callable[[], Awaitable[MemoryUse]],
        tell: Callable[[str, Mapping[str, str | int | float]], Awaitable[None]],
    ) -> None:
        """`tell` gets the name of an event and its fields."""
        self._look = look
        self._tell = tell
        self._is_full = False

    async def run_once(self, leader: LeaderScripts) -> None:  # noqa: ARG002  the same for every duty
        """One look."""
        use = await self._look()
        before, self._is_full = self._is_full, use.share > (CALM_SHARE if self._is_full else ALARM_SHARE)
        if self._is_full == before:
            return
        fields = {"used": use.used, "limit": use.limit}
        if self._is_full:
            LOG.error(
                "Redis is full or nearly so: %d of %d MB (maxmemory). It refuses new jobs; hosts go on and make room. "
                "Give it more memory, or let results end sooner (FARM_RESULT_TTL)",
                use.used // _MEGABYTE,
                use.limit // _MEGABYTE,
            )
            await self._tell("redis.full", fields)
        else:
            LOG.info("Redis has room again: %d of %d MB", use.used // _MEGABYTE, use.limit // _MEGABYTE)
            await self._tell("redis.roomy", fields)
