"""Ends a host that was asked to end by itself: `--burst`, `--max-jobs`, `--exit-when-idle`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore, Registration
from farm_settings import HostSettings
from farm_worker.execution import Execution
from farm_worker.stopping import Stopping


@dataclass(frozen=True, slots=True)
class LimitPace:
    """How soon a limit is noticed."""

    check_seconds: float = 0.1
    burst_idle_seconds: float = 0.3
    """Who enqueues one job after the other is not done after each."""
    look_seconds: float = 1.0
    """How often a host that may end for want of jobs looks whether any waits."""


class Limits:
    """Watches what a host did, and requests its stop when a limit is reached."""

    def __init__(
        self,
        settings: HostSettings,
        store: HostStore,
        who: Callable[[], Registration | None],
        execution: Execution,
        stopping: Stopping,
        pace: LimitPace,
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._who = who
        self._store = store
        self._execution = execution
        self._stopping = stopping
        self._idle_since = time.monotonic()
        self._looked_at = self._idle_since
        """For jobs that wait, while it has none."""
        execution.max_jobs = settings.max_jobs

    async def run(self) -> None:
        """Until cancelled; does nothing where no limit is set."""
        settings = self._settings
        if not settings.burst and settings.max_jobs is None and settings.exit_when_idle is None:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._pace.check_seconds)
            if reason := await self._reached():
                self._stopping.request(reason)

    async def _reached(self) -> str:
        settings, execution = self._settings, self._execution
        warms_up = execution.pool.idle_target and not execution.pool.ready
        if execution.unsettled or execution.inbox or warms_up:
            self._idle_since = time.monotonic()
        idle = time.monotonic() - self._idle_since
        if settings.max_jobs is not None and execution.finished_jobs >= settings.max_jobs:
            return f"{settings.max_jobs} jobs done"
        if settings.exit_when_idle is not None and await self._is_idle(settings.exit_when_idle):
            return f"idle for {settings.exit_when_idle:g} s"
        if settings.burst and idle >= self._pace.burst_idle_seconds and not execution.unsettled:
            return await self._done()
        return ""

    async def _is_idle(self, limit: float) -> bool:
        """Whether it ran nothing, and nothing waited for it, for so long.

        A job that waits while this host cannot take it, as it is full or RQ is suspended, may need it all the same.
        """
        now = time.monotonic()
        is_over = now - self._idle_since >= limit
        if is_over or now - self._looked_at >= min(self._pace.look_seconds, limit / 2):
            self._looked_at = now
            if await self._may_be_needed():
                self._idle_since = now
                return False
        return is_over

    async def _may_be_needed(self) -> bool:
        """Whether jobs wait; without an answer they might."""
        who = self._who()
        try:
            return who is None or await self._store.unfinished(who, self._settings.queues, self._settings.labels) > 0
        except REDIS_ERRORS:
            return True

    async def _done(self) -> str:
        """Why a burst is over; empty: it is not."""
        who = self._who()
        try:
            if who is not None and not await self._store.unfinished(who, self._settings.queues, self._settings.labels):
                return "all queues are empty"
            return "suspended, and a burst does not wait for that to end" if await self._store.suspended() else ""
        except REDIS_ERRORS:
            return ""
