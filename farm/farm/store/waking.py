"""Waiting in Redis until a look at the farm is worth it, without taking anything."""

import asyncio

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.connection import is_full

POLL_SECONDS = 0.1
"""Where Redis refuses blocking moves (`maxmemory` reached), a queue is polled instead."""


class WakeUps:
    """Blocking waits. Each uses a connection of its own while it lasts; all end well before a connection times out."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys

    async def bell(self, seconds: float) -> bool:
        """Waits for the coordinator's bell. False if nobody rang."""
        return await self._client.blpop([self._keys.bell], timeout=seconds) is not None

    async def room(self, seconds: float) -> bool:
        """Waits for the bell of room. False if nobody rang."""
        return await self._client.blpop([self._keys.room], timeout=seconds) is not None

    async def job(self, queue: str, seconds: float) -> bool:
        """Waits until `queue` holds a job, which stays where it is. False if none came.

        For a queue seen empty: on one with jobs this returns at once, and a loop around it would never rest.
        """
        return await wait_for_job(self._client, self._rq_keys.queue(queue), seconds)


async def wait_for_job(client: redis.asyncio.Redis, key: str, seconds: float) -> bool:
    """As `WakeUps.job`, for the list of a queue."""
    try:
        return await client.blmove(key, key, seconds, "LEFT", "LEFT") is not None  # type: ignore[arg-type]
    except redis.ResponseError as error:
        if not is_full(error):
            raise
        await asyncio.sleep(POLL_SECONDS)
        return True
