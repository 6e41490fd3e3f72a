"""How a host's work ends: nothing new, what was not begun goes back, running jobs end, or go back at the deadline.

Whatever hangs, a stop ends: DRAIN_TIMEOUT for the jobs, CLOSE_TIMEOUT for what they clean up, ENDING_SECONDS for all
that the host itself does. A second request leaves the jobs AT_ONCE_SECONDS.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

from farm_settings import Settings
from farm_worker.execution import Execution
from farm_worker.pool.reasons import Reason
from farm_worker.runners import Runners
from farm_worker.stopping import Stopping

ENDING_SECONDS = 30.0
"""After the jobs' time is over: to close processes, write outcomes, hand back and leave, together."""
AT_ONCE_SECONDS = 1.0
"""After a second request: what running jobs have to clean up, before their processes are killed."""
SETTLE_SECONDS = 5.0
"""How long outcomes may take to be written, and jobs to be handed back, before the coordinator has to recover them."""
BEFORE_KILL_SECONDS = 0.2
"""Processes are told that they have this much less time than they have: what they say at the end is heard then."""
CANCEL_SECONDS = 1.0
"""For a step that is given up."""
LOOK_SECONDS = 0.05

_logger = logging.getLogger("farm.host")


class StopLimit:
    """By when a stop has to be over, whatever hangs."""

    def __init__(self, seconds: float) -> None:
        self._over_at = time.monotonic() + seconds

    def shorten(self, seconds: float) -> None:
        """It is over in so many seconds, unless it is sooner."""
        self._over_at = min(self._over_at, time.monotonic() + seconds)

    def left(self, most: float = inf) -> float:
        """Seconds, `most` at most."""
        return max(0.0, min(self._over_at - time.monotonic(), most))

    async def spend(self, what: str, step: Coroutine[Any, Any, None], most: float = inf) -> bool:
        """Runs a step; gives it up, with a warning, when its time is over. Raises what it raises."""
        task = asyncio.create_task(step)
        try:
            await asyncio.wait([task], timeout=self.left(most))
        finally:
            in_time = task.done()
            if not in_time:
                task.cancel()
                await asyncio.wait([task], timeout=CANCEL_SECONDS)
        if not in_time:
            _logger.warning("%s took too long, the host ends without it", what)
            return False
        task.result()
        return True


class Drain:
    """The drain of one host. `run` once, after a stop was requested."""

    def __init__(
        self,
        settings: Settings,
        execution: Execution,
        runners: Runners,
        stopping: Stopping,
        publish: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """`publish` tells Redis that the host drains."""
        self._drain_timeout = settings.host.drain_timeout
        self._close_timeout = settings.pool.close_timeout
        self._execution = execution
        self._runners = runners
        self._stopping = stopping
        self._publish = publish

    async def run(self) -> StopLimit:
        """Returns what is left of the time, for the host to leave."""
        limit = StopLimit(self._drain_timeout + self._close_timeout + ENDING_SECONDS)
        deadline = time.monotonic() + self._drain_timeout
        self._execution.accepting = False
        giving_back = asyncio.create_task(self._give_back(limit))  # Redis may be away: the deadline holds all the same
        await self._wait_for_jobs(deadline)
        await self._close_processes(limit)
        await giving_back
        await self._hand_back(limit)
        await self._settle(limit)
        await self._close_runners(limit)
        return limit

    async def _give_back(self, limit: StopLimit) -> None:
        """Redis has to know first, else the coordinator places the same jobs here again."""
        await limit.spend("telling Redis of the drain", self._publish(), SETTLE_SECONDS)
        await self._hand_back(limit)

    async def _hand_back(self, limit: StopLimit) -> None:
        """All that was not begun. Where Redis is away it is kept, and given back should it answer in time."""
        try:
            async with asyncio.timeout(limit.left(SETTLE_SECONDS)):
                await self._execution.hand_back_all()
        except TimeoutError:
            _logger.warning("Redis is away: what was not begun is given back as soon as it answers")

    async def _wait_for_jobs(self, deadline: float) -> None:
        """Each job ends, or its own timeout ends it, or the time of the drain is over, or nobody wants to wait."""
        while self._execution.pool.busy and not self._stopping.at_once and (left := deadline - time.monotonic()) > 0:
            await self._stopping.wait_at_once(min(left, LOOK_SECONDS))

    async def _close_processes(self, limit: StopLimit) -> None:
        """Jobs that still run are interrupted; the processes close in good order, or are killed when they do not."""
        pool = self._execution.pool
        if pool.busy:
            why = "asked again" if self._stopping.at_once else f"DRAIN_TIMEOUT of {self._drain_timeout:g} s is over"
            _logger.warning("%s: running jobs are interrupted and go back to their queues: %d", why, pool.running)
        patience = self._interrupt(limit)
        closing = asyncio.create_task(limit.spend("closing processes", pool.close(patience, Reason.DRAINED)))
        while not closing.done():
            if self._stopping.at_once and patience > AT_ONCE_SECONDS:
                patience = self._interrupt(limit)
                asyncio.get_running_loop().call_later(patience, self._kill)
            await asyncio.wait([closing], timeout=LOOK_SECONDS)
        await closing

    def _interrupt(self, limit: StopLimit) -> float:
        """Tells processes with jobs that these end now. Returns how long processes have to close from now on."""
        patience = min(AT_ONCE_SECONDS, self._close_timeout) if self._stopping.at_once else self._close_timeout
        limit.shorten(patience + ENDING_SECONDS)
        for process in self._execution.pool.processes:
            if process.assignments:
                process.line.interrupt(max(patience - BEFORE_KILL_SECONDS, patience / 2))
        return patience

    def _kill(self) -> None:
        for process in self._execution.pool.processes:
            process.kill(Reason.DRAINED)

    async def _settle(self, limit: StopLimit) -> None:
        """Waits until Redis knows how jobs ended, and has those that go back."""
        self._execution.wake()
        settled_by = time.monotonic() + limit.left(SETTLE_SECONDS)
        while self._execution.unsettled and time.monotonic() < settled_by:
            await asyncio.sleep(0.01)

    async def _close_runners(self, limit: StopLimit) -> None:
        patience = 0.0 if self._stopping.at_once else limit.left(self._close_timeout)
        closing = asyncio.create_task(limit.spend("closing runners", self._runners.close(patience)))
        while not closing.done() and not (self._stopping.at_once and patience):
            await asyncio.wait([closing], timeout=LOOK_SECONDS)
        if not closing.done():  # asked again meanwhile: the host kills what is left at its end
            closing.cancel()
        await asyncio.wait([closing])
