"""Watches over processes: what is overdue, too old or too large."""

import asyncio
import logging
import time
from collections.abc import Mapping
from math import inf

from farm_settings import PoolSettings
from farm_worker.pool.memory import MemorySampler
from farm_worker.pool.process import ProcessHandle, State
from farm_worker.pool.reasons import Reason
from farm_worker.pool.staff import Staff

CHECK_INTERVAL_SECONDS = 0.2
STALL_SECONDS = 1.0
"""A check that comes this much late means that this process itself stood still. Then nobody else is to blame for it."""
MEMORY_INTERVAL_SECONDS = 5.0
MEMORY_LIMIT_INTERVAL_SECONDS = 1.0
"""With a limit to hold: memory can grow by gigabytes in a second."""
WARN_AGAIN_GROWTH = 1.25
_BYTES_PER_MB = 1_000_000

logger = logging.getLogger(__name__)


class Supervision:
    """Kills and recycles by the settings. `start` and `stop` on the loop's thread."""

    def __init__(self, settings: PoolSettings, staff: Staff) -> None:
        self._settings = settings
        self._staff = staff
        self._memory = MemorySampler()
        self._warned: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to check, until `stop`."""
        self._tasks = [asyncio.create_task(self._check_forever()), asyncio.create_task(self._sample_forever())]
        for task in self._tasks:
            task.add_done_callback(_report)

    async def stop(self) -> None:
        """Ends the checks. Raises what ended them before, if anything did."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def check(self, late: float, now: float) -> None:
        """One round; it comes `late` seconds after it was planned."""
        for process in tuple(self._staff.processes):
            if late > STALL_SECONDS:
                process.deadline += late
            if now >= process.deadline:
                process.kill(process.overdue_reason)
            elif process.state is State.READY and process.lifespan.is_over(
                now - process.spawned_at, process.last_memory
            ):
                process.close(Reason.RECYCLED)
        self._staff.fill()

    def judge_memory(self, samples: Mapping[int, int]) -> None:
        """Takes note of the bytes used, by pid."""
        for process in tuple(self._staff.processes):
            used = samples.get(process.pid)
            if used is not None:
                process.last_memory = used
                self._judge_process(process, used)

    async def _check_forever(self) -> None:
        while True:
            planned = time.monotonic() + CHECK_INTERVAL_SECONDS
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            now = time.monotonic()
            self.check(now - planned, now)

    async def _sample_forever(self) -> None:
        watched = self._settings.memory_limit_mb or self._settings.recycle_memory_mb
        interval = MEMORY_LIMIT_INTERVAL_SECONDS if watched else MEMORY_INTERVAL_SECONDS
        while True:
            await asyncio.sleep(interval)
            processes = tuple(self._staff.processes)
            numbers = {process.number for process in processes}
            self._warned = {number: used for number, used in self._warned.items() if number in numbers}
            self.judge_memory(await asyncio.to_thread(self._memory.sample, [process.pid for process in processes]))

    def _judge_process(self, process: ProcessHandle, used: int) -> None:
        limit = (self._settings.memory_limit_mb or inf) * _BYTES_PER_MB
        warn = (self._settings.memory_warn_mb or inf) * _BYTES_PER_MB
        if used > limit:
            process.kill(Reason.MEMORY_LIMIT)
        elif used > max(warn, self._warned.get(process.number, 0.0) * WARN_AGAIN_GROWTH):
            self._warned[process.number] = used
            text = "process %d (pid %d) uses %.0f MB of memory, more than MEMORY_WARN_MB"
            logger.warning(text, process.number, process.pid, used / _BYTES_PER_MB)


def _report(task: asyncio.Task[None]) -> None:
    """Processes without supervision are worth more than a line at the very end."""
    if not task.cancelled() and task.exception() is not None:
        logger.critical("the supervision of processes broke off, restart this host", exc_info=task.exception())
