"""The duty that does what RQ's own workers and scheduler do beside running jobs."""

import asyncio
import time
from collections.abc import Iterator

from farm.coordinator.placer import Placer
from farm.store.leadership import LeaderScripts
from farm.store.upkeep import QUEUES_AT_ONCE, UpkeepStore

PAGES_AT_ONCE = 20
REGISTRIES_INTERVAL_SECONDS = 5.0
REST_SECONDS = 1.0
BUSY_REST_SECONDS = 0.5
"""While dependents are left to release."""


class Upkeep:
    """Scheduled jobs on time, dependents of long pages, leftovers and old entries of registries."""

    interval = REST_SECONDS

    def __init__(self, store: UpkeepStore, placer: Placer) -> None:
        self._store = store
        self._placer = placer
        self._registries_at = 0.0
        self._cursors: dict[str, str] = {}

    async def run_once(self, leader: LeaderScripts) -> None:
        """Everything that is due once. Raises NotLeader and redis-py's errors."""
        await asyncio.gather(self._release_dependents(leader), self._release_scheduled(leader))
        if time.monotonic() - self._registries_at >= REGISTRIES_INTERVAL_SECONDS:
            for queues in self._pages():
                await asyncio.gather(self._store.release_ready(leader, queues), self._expire_registries(leader, queues))
            self._registries_at = time.monotonic()
        self.interval = BUSY_REST_SECONDS if any(cursor != "0" for cursor in self._cursors.values()) else REST_SECONDS

    def _pages(self) -> Iterator[tuple[str, ...]]:
        queues = self._placer.queues
        for start in range(0, len(queues), QUEUES_AT_ONCE):
            yield queues[start : start + QUEUES_AT_ONCE]

    async def _release_scheduled(self, leader: LeaderScripts) -> None:
        for queues in self._pages():
            for _ in range(PAGES_AT_ONCE):
                _, more, _ = await self._store.release_scheduled(leader, queues)
                if not more:
                    break

    async def _expire_registries(self, leader: LeaderScripts, queues: tuple[str, ...]) -> None:
        for _ in range(PAGES_AT_ONCE):
            _, more = await self._store.expire_registries(leader, queues)
            if not more:
                return

    async def _release_dependents(self, leader: LeaderScripts) -> None:
        """Pages of each job in turn. Cursors are kept between calls; a new leader begins anew, which is safe."""
        members = await self._store.ended_with_dependents()
        self._cursors = {member: self._cursors.get(member, "0") for member in members}
        for member in members:
            for _ in range(PAGES_AT_ONCE):
                self._cursors[member], _ = await self._store.release_dependents(leader, member, self._cursors[member])
                if self._cursors[member] == "0":
                    break
