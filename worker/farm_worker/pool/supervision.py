"""Watches over processes: what is overdue, silent, too old, too large, or not to be killed."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from math import inf

from farm_settings import PoolSettings
from farm_worker.load.oom_kills import OomKills
from farm_worker.pool.expiry import clock
from farm_worker.pool.growth import Growth, TreeSample
from farm_worker.pool.memory import MemorySampler
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.pool.staff import Staff
from farm_worker.pool.state import State
from farm_worker.pool.tree_cpu import TreeCpu
from farm_worker.pool.vigil import Vigil

CHECK_INTERVAL_SECONDS = 0.2
STALL_SECONDS = 1.0
"""A check that comes this much late means that this process itself stood still. Then nobody else is to blame for it."""
STUCK_SECONDS = 10.0
"""A process that lives on for so long after KILL is held by the kernel; the host goes on without it."""
MEMORY_INTERVAL_SECONDS = 1.0
"""Memory can grow by gigabytes in a second."""
WARN_AGAIN_GROWTH = 1.25
_BYTES_PER_MB = 1_000_000

logger = logging.getLogger(__name__)


class Supervision:
    """Kills and recycles by the settings. `start` and `stop` on the loop's thread."""

    def __init__(self, settings: PoolSettings, staff: Staff) -> None:
        self._staff = staff
        self._limit = (settings.memory_limit_mb or inf) * _BYTES_PER_MB
        self._warn_line = (settings.memory_warn_mb or inf) * _BYTES_PER_MB
        recycle_line = (settings.recycle_memory_mb or inf) * _BYTES_PER_MB
        self._memory = MemorySampler(line for line in (self._limit, self._warn_line, recycle_line) if line < inf)
        self._cpu = TreeCpu()
        self._growth = Growth()
        self._oom_kills = OomKills()
        self._vigil = Vigil(settings)
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
        processes = tuple(self._staff.processes)
        self._vigil.forget({process.number for process in processes})
        for process in processes:
            if late > STALL_SECONDS:
                process.deadline += late
                process.assignments.forgive(late)
                self._vigil.forgive(process, now)
            self._vigil.watch(process, late, now)
            self._check_process(process, now)
        self._staff.fill()

    def judge_memory(self, samples: Mapping[int, int]) -> None:
        """Takes note of the bytes used, by pid."""
        for process in tuple(self._staff.processes):
            used = samples.get(process.pid)
            if used is not None:
                process.note_memory(used)
                self._judge_process(process, used)

    def note_ready(self, process: ProcessHandle) -> None:
        """It is warm."""
        self._growth.note_ready(process)

    def explain(self, end: ProcessEnd) -> ProcessEnd:
        """With a hint where the kernel may have killed the process for want of memory."""
        if end.reason is not Reason.CRASHED or end.signal != "SIGKILL" or not self._oom_kills.news():
            return end
        return dataclasses.replace(end, hint="just then the kernel killed for want of memory")

    def _check_process(self, process: ProcessHandle, now: float) -> None:
        if now >= process.deadline:
            process.kill(process.overdue_reason)
        elif now - process.killed_at >= STUCK_SECONDS:
            process.give_up()
        elif clock() >= process.expires_at and (begun := process.begun) is not None and begun.must_not_run_twice:
            process.kill(Reason.CONTACT_LOST)
        elif process.state is State.READY:
            over = process.lifespan.is_over(now - process.spawned_at, process.last_memory)
            if over:
                process.close(Reason.RECYCLED, over)

    async def _check_forever(self) -> None:
        while True:
            planned = time.monotonic() + CHECK_INTERVAL_SECONDS
            await asyncio.sleep(CHECK_INTERVAL_SECONDS)
            now = time.monotonic()
            self.check(now - planned, now)

    async def _sample_forever(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_INTERVAL_SECONDS)
            processes = tuple(self._staff.processes)
            numbers = {process.number for process in processes}
            self._warned = {number: used for number, used in self._warned.items() if number in numbers}
            pids = {process.pid for process in processes if process.pid}
            busy = Growth.busy(processes, time.monotonic())
            samples, trees = await asyncio.to_thread(self._sample, pids, busy)
            self._growth.judge(tuple(self._staff.processes), trees, time.monotonic())
            self.judge_memory(samples)

    def _sample(self, pids: set[int], busy: set[int]) -> tuple[dict[int, int], dict[int, TreeSample]]:
        self._oom_kills.note()
        samples = self._memory.sample(pids)
        cpu = self._cpu.sample({pid: self._memory.descendants(pid) for pid in busy & samples.keys()})
        return samples, {pid: TreeSample(self._memory.resident(pid), cpu.get(pid)) for pid in samples}

    def _judge_process(self, process: ProcessHandle, used: int) -> None:
        if used > self._limit:
            process.kill(Reason.MEMORY_LIMIT)
        elif used > max(self._warn_line, self._warned.get(process.number, 0.0) * WARN_AGAIN_GROWTH):
            self._warned[process.number] = used
            text = "process %d (pid %d) uses %.0f MB of memory, more than MEMORY_WARN_MB"
            logger.warning(text, process.number, process.pid, used / _BYTES_PER_MB)


def _report(task: asyncio.Task[None]) -> None:
    """Processes without supervision are worth more than a line at the very end."""
    if not task.cancelled() and task.exception() is not None:
        logger.critical("the supervision of processes broke off, restart this host", exc_info=task.exception())
