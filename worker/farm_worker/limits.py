"""Ends a host that was asked to end by itself: `--burst`, `--max-jobs`, `--max-idle-time`."""

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
        execution.max_jobs = settings.max_jobs

    async def run(self) -> None:
        """Until cancelled; does nothing where no limit is set."""
        settings = self._settings
        if not settings.burst and settings.max_jobs is None and settings.max_idle_time is None:
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
        if settings.max_idle_time is not None and idle >= settings.max_idle_time:
            return f"idle for {settings.max_idle_time:g} s"
        if settings.burst and idle >= self._pace.burst_idle_seconds and not execution.unsettled:
            return await self._done()
        return ""

    async def _done(self) -> str:
        """Why a burst is over; empty: it is not."""
        who = self._who()
        try:
            if who is not None and not await self._store.unfinished(who, self._settings.queues):
                return "all queues are empty"
            return "suspended, and a burst does not wait for that to end" if await self._store.suspended() else ""
        except REDIS_ERRORS:
            return ""
