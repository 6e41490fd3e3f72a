"""Deferral in place: a queue that nobody can serve now is marked, its first ids are indexed, and no job moves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.records import failure_text
from farm.store.events import announce
from farm.store.leadership import LeaderScripts
from farm.store.scripts import Argument

INDEX_SIZE = 10_000
"""Ids in the index of one queue. The queue itself holds all of them."""

PAGE_SIZE = 250
"""Ids looked at in one call: about two milliseconds of Redis's time when all of them are new."""
FAIL_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Progress:
    """How the index of a deferred queue stands after one pass."""

    length: int
    """Of the queue. 0: nothing was marked."""
    indexed: int
    began: bool


class DeferralStore:
    """Marks queues as deferred, keeps their index true, ends it."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys

    async def deferred_queues(self, queues: Sequence[str]) -> set[str]:
        """Which of `queues` are marked as deferred."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for queue in queues:
                pipeline.exists(self._keys.deferral(queue))
            marks = await pipeline.execute()
        return {queue for queue, marked in zip(queues, marks, strict=True) if marked}

    async def served_elsewhere(self, queue: str, hosts: Collection[str]) -> bool:
        """Whether a worker that is none of `hosts`, a stock one, listens to the queue. Looks at twenty at most."""
        rq_keys = self._rq_keys
        ours = {rq_keys.worker(host).encode() for host in hosts}
        members: Any = await self._client.srandmember(rq_keys.queue_workers(queue), 20)
        others = [member for member in members if member not in ours]
        return bool(others) and bool(await self._client.exists(*others))

    async def announce_exceeded(self, queue: str, longest: float, max_deferral: float) -> None:
        """One event that jobs of the queue are deferred for longer than MAX_DEFERRAL."""
        fields: dict[str, str | int | float] = {"queue": queue, "seconds": round(longest, 1), "limit": max_deferral}
        await announce(self._client, self._keys, "deferral.exceeded", fields)

    async def defer(self, leader: LeaderScripts, queue: str, reason: str, hosts: str) -> Progress:
        """Marks the queue, or renews the mark, and brings its index up to date. `hosts` is `host=load,…`."""
        rank, began = 0, False
        while True:
            length, indexed, _, begins = await self._defer_page(leader, queue, reason, hosts, rank)
            began = began or bool(begins)
            rank += PAGE_SIZE
            wanted = min(length, INDEX_SIZE)
            if rank >= wanted or (indexed == wanted and await self._is_indexed(queue, wanted - 1)):
                break
        if indexed > wanted or (rank >= wanted and indexed != wanted):
            indexed -= await self._prune(leader, queue)
        return Progress(length, indexed, began)

    async def undefer(self, leader: LeaderScripts, queue: str, reason: str) -> bool:
        """Ends the deferral and deletes its keys. True if the queue was deferred."""
        keys = self._keys
        names = [self._rq_keys.queue(queue), keys.deferral(queue), keys.deferred(queue), keys.events]
        return bool(await leader.run("undefer", names, [queue, reason]))

    async def longest_wait(self, queue: str, now: float) -> float:
        """Seconds that the longest deferred job of the queue has been deferred, 0 if none is."""
        first = await self._client.zrange(self._keys.deferred(queue), 0, 0, withscores=True)
        return max(0.0, now - float(first[0][1])) if first else 0.0

    async def fail(self, leader: LeaderScripts, queue: str, max_deferral: float) -> int:
        """Fails jobs deferred for longer than `max_deferral` seconds, a bounded number. Returns how many."""
        keys = self._keys
        names = [self._rq_keys.queue(queue), keys.deferred(queue), keys.counts(queue), keys.dependents]
        text = failure_text(
            f"The job was deferred for more than {max_deferral:g} s: every host was at or over its threshold "
            "(MAX_DEFERRAL, MAX_DEFERRAL_ACTION=fail)."
        )
        arguments: list[Argument] = [queue, self._rq_keys.prefix, max_deferral, FAIL_AT_ONCE, text]
        return int(await leader.run("fail_deferred", names, arguments))

    async def _defer_page(
        self, leader: LeaderScripts, queue: str, reason: str, hosts: str, rank: int
    ) -> tuple[int, int, int, int]:
        keys = self._keys
        names = [
            self._rq_keys.queue(queue),
            keys.deferral(queue),
            keys.deferred(queue),
            keys.counts(queue),
            keys.events,
        ]
        arguments: list[Argument] = [queue, reason, hosts, self._rq_keys.prefix, rank, PAGE_SIZE, INDEX_SIZE]
        length, indexed, added, begins = await leader.run("defer", names, arguments)
        return length, indexed, added, begins

    async def _is_indexed(self, queue: str, rank: int) -> bool:
        """Whether the id at this rank is in the index: then a full index has nothing to learn."""
        last = await self._client.lindex(self._rq_keys.queue(queue), rank)
        return last is not None and await self._client.zscore(self._keys.deferred(queue), last) is not None

    async def _prune(self, leader: LeaderScripts, queue: str) -> int:
        names = [self._rq_keys.queue(queue), self._keys.deferred(queue)]
        return int(await leader.run("prune_deferred", names, [INDEX_SIZE]))
