"""What is still to be called of jobs that ended without their process. It stays in Redis until it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.packed import unpack
from farm.records import iso_now
from farm.store.scripts import Argument, AsyncScripts

MOST_RUNS = 3
"""How often one is begun: it may be what ends processes."""

TAKEN_SECONDS = 600.0
"""For so long nobody else takes one that was taken."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One that was taken."""

    member: bytes
    kind: str
    """`stopped` or `failed`: how the job ended."""
    token: str
    """Of the run that ended, empty if it is not known."""
    job_id: bytes
    queue: str
    packed: bytes
    """The job's hash: see `farm.packed`."""

    @property
    def fields(self) -> list[bytes]:
        """The hash, flat."""
        return list(unpack(self.packed))


class FollowUpStore:
    """Takes follow-ups for one host. Raises redis-py's errors."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._scripts = AsyncScripts(client)
        self._keys = keys
        self._rq_prefix = rq_keys.prefix

    async def take(self, queues: Sequence[str]) -> FollowUp | None:
        """The one that has been due for the longest, of jobs of these queues."""
        keys = self._keys
        arguments: list[Argument] = [self._rq_prefix, int(TAKEN_SECONDS), MOST_RUNS, iso_now(), *queues]
        found: Any = await self._scripts.run("take_follow_up", [keys.follow_ups, keys.events], arguments)
        if found is None:
            return None
        member, kind, token, job_id, queue, packed = found
        return FollowUp(member, kind.decode(), token.decode(), job_id, queue.decode(errors="replace"), packed)

    async def done(self, follow_up: FollowUp) -> None:
        """It need not be done again."""
        await self._client.zrem(self._keys.follow_ups, follow_up.member)

    async def release(self, follow_up: FollowUp) -> None:
        """Its process ended before it was done: it is due at once."""
        await self._client.zadd(self._keys.follow_ups, {follow_up.member: 0}, xx=True)
