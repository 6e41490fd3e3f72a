"""What RQ's own workers do beside running jobs, for farms where there are none."""

from collections.abc import Sequence
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.leadership import SCHEDULER_TOKEN, LeaderScripts
from farm.store.line import Line
from farm.store.scripts import Argument

SCHEDULED_AT_ONCE = 1000
READY_AT_ONCE = 100
EXPIRED_AT_ONCE = 1000
DEPENDENTS_AT_ONCE = 100
QUEUES_AT_ONCE = 100
SCHEDULER_LOCK_SECONDS = 61
"""What RQ's schedulers take their locks for."""

LOCKED = -2
"""Count of a queue whose lock a stock scheduler holds."""


class UpkeepStore:
    """Scheduled and ready jobs to their queues, old entries out of registries, dependents of long pages."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys, line: Line | None = None) -> None:
        self._line = line or Line(client)
        self._keys = keys
        self._rq_keys = rq_keys

    async def release_scheduled(self, leader: LeaderScripts, queues: Sequence[str]) -> tuple[int, bool, dict[str, int]]:
        """Moves due jobs to their queues: how many, whether more are due, and how many of each queue looked at.

        A queue counts as -1 if its keys are of a wrong type, and as LOCKED while another scheduler serves it.
        """
        rq_keys = self._rq_keys
        names = [key for queue in queues for key in (rq_keys.scheduler_lock(queue), rq_keys.scheduled(queue))]
        arguments: list[Argument] = [
            SCHEDULER_TOKEN,
            SCHEDULER_LOCK_SECONDS,
            rq_keys.prefix,
            SCHEDULED_AT_ONCE,
            *queues,
        ]
        moved, more, each = await leader.run("release_scheduled", names, arguments)
        return moved, bool(more), dict(zip(queues, each, strict=False))

    async def release_ready(self, leader: LeaderScripts, queues: Sequence[str]) -> int:
        """Moves jobs that a stock worker left as ready to their queues. Returns how many."""
        names = [self._rq_keys.ready(queue) for queue in queues]
        return int(await leader.run("release_ready", names, [self._rq_keys.prefix, READY_AT_ONCE, *queues]))

    async def expire_registries(self, leader: LeaderScripts, queues: Sequence[str]) -> tuple[int, bool]:
        """Removes entries of finished and failed jobs whose time is over: how many, and whether there are more."""
        rq_keys = self._rq_keys
        names = [
            key
            for queue in queues
            for key in (rq_keys.cleaning_lock(queue), rq_keys.finished(queue), rq_keys.failed(queue))
        ]
        removed, more = await leader.run("expire_registries", names, [EXPIRED_AT_ONCE])
        return removed, bool(more)

    async def ended_with_dependents(self) -> list[str]:
        """Members `<outcome>:<id>` of jobs that have ended and have dependents left to release, oldest first."""
        members: Any = await self._line.ask_one("ZRANGE", self._keys.dependents, 0, 99)
        return [member.decode(errors="replace") for member in members]

    async def release_dependents(self, leader: LeaderScripts, member: str, cursor: str) -> tuple[str, int]:
        """One page of a job's dependents, from `cursor` ('0' at first): next cursor, and how many were released."""
        arguments: list[Argument] = [self._rq_keys.prefix, member, cursor, DEPENDENTS_AT_ONCE]
        next_cursor, released = await leader.run("release_page", [self._keys.dependents], arguments)
        return next_cursor.decode(), released
