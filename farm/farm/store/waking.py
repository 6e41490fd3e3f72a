"""Waiting in Redis until a look at the farm is worth it, without taking anything."""

import asyncio

import redis
import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.connection import is_full
from farm.store.line import Line

BLOCK_SECONDS = 5.0
"""Of one wait. A lost connection is noticed soon after, and what should have come on it is seen before: the coordinator
looks at everything each second, and a host's beat tells how long its inbox is."""

POLL_SECONDS = 0.1
"""Where Redis refuses blocking moves (`maxmemory` reached), a queue is polled instead."""


class WakeUps:
    """Blocking waits. Each uses a connection of its own while it lasts; all end well before a connection times out."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys
        self._bell, self._room = Line(client), Line(client)
        self._free: list[Line] = []

    async def bell(self, seconds: float) -> bool:
        """Waits for the coordinator's bell. False if nobody rang."""
        return await wait_for_bell(self._bell, self._keys.bell, seconds) is not None

    async def room(self, seconds: float) -> bool:
        """Waits for the bell of room. False if nobody rang."""
        return await wait_for_bell(self._room, self._keys.room, seconds) is not None

    async def job(self, queue: str, seconds: float) -> bool:
        """Waits until `queue` holds a job, which stays where it is. False if none came.

        For a queue seen empty: on one with jobs this returns at once, and a loop around it would never rest.
        """
        line = self._free.pop() if self._free else Line(self._client)
        try:
            came = await wait_for_job(line, self._rq_keys.queue(queue), seconds)
        except BaseException:
            line.close()
            raise
        self._free.append(line)
        return came

    def close(self) -> None:
        """Hangs up. No wait may be under way."""
        for line in (self._bell, self._room, *self._free):
            line.close()


async def wait_for_bell(line: Line, key: str, seconds: float) -> bytes | None:
    """What a bell says, None after so long without. Raises redis-py's errors."""
    rung = await line.wait_for("BLPOP", key, seconds=seconds)
    return None if rung is None else bytes(rung[1])


async def wait_for_job(line: Line, key: str, seconds: float) -> bool:
    """As `WakeUps.job`, for the list of a queue."""
    try:
        return await line.wait_for("BLMOVE", key, key, "LEFT", "LEFT", seconds=seconds) is not None
    except redis.ResponseError as error:
        if not is_full(error):
            raise
        await asyncio.sleep(POLL_SECONDS)
        return True
