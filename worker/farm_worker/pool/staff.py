"""How many processes there are: spawns what is missing, holds back what fails to warm up, closes what is not needed."""

import asyncio
import itertools
import os
import random
import time
from collections import deque
from collections.abc import Callable
from math import inf

from farm_settings import PoolSettings
from farm_worker.pool.listener import Listener
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason
from farm_worker.pool.recycling import WarmUps, lifespan
from farm_worker.pool.starter import Starter
from farm_worker.pool.state import State

SURPLUS_SECONDS = 30.0
"""A process not needed for so long is closed. Sooner would spawn anew for every burst."""
EARLY_DEATH_SECONDS = 10.0
"""Idle processes that end this soon after they were ready are replaced at once, as many as there are slots. More of
them within this time are no accident: they count as failed warm-ups."""
WARM_UPS_AT_ONCE = 4
"""At most, unless set: more only make each other late."""


def warm_ups_at_once(settings: PoolSettings) -> int:
    """How many processes may warm up at a time, unless warm-ups fail."""
    return settings.max_concurrent_initializations or min(_cpu_count(), WARM_UPS_AT_ONCE)


class Staff:
    """Keeps `min(slots, busy + max(idle_target, wanted))` processes. Calls that change the number only plan it."""

    def __init__(
        self,
        settings: PoolSettings,
        slots: int,
        idle_target: int,
        initialize: Callable[[int], Initialize],
        starter: Starter,
        listener: Listener,
        solitary_starter: Starter,
    ) -> None:
        """`solitary_starter`: of processes for jobs that have to be alone, where `starter` lets all share one."""
        self.slots = slots
        self.idle_target = idle_target
        self.processes: list[ProcessHandle] = []
        """All that have not ended, oldest first."""
        self.wanted = 0
        self.warm_ups = WarmUps()
        self._settings = settings
        self._initialize = initialize
        self._starter = starter
        self._solitary_starter = solitary_starter
        starter.on_change = self.plan_fill
        self._listener = listener
        self._numbers = itertools.count(1)
        self._warm_ups_at_once = warm_ups_at_once(settings)
        self._early_deaths: deque[float] = deque()
        self._surplus_since = inf
        self._fill_planned = False
        self._dismissed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def count(self, state: State) -> int:
        """Processes in this state."""
        return sum(1 for process in self.processes if process.state is state)

    @property
    def busy(self) -> int:
        """Processes with jobs, those that close after it too."""
        return sum(1 for process in self.processes if process.assignments)

    @property
    def idle(self) -> list[ProcessHandle]:
        """Ready processes without a job, for any job."""
        return [process for process in self.processes if _is_idle(process) and not process.solitary]

    def retarget(self, idle_target: int) -> None:
        """Another `idle_target`, at once: what it makes superfluous is closed now."""
        self.idle_target = idle_target
        self._surplus_since = -inf
        self.plan_fill()

    def want_solitary(self) -> None:
        """Warms up a process for a job that has to be alone, unless there is one already."""
        waiting = (State.STARTING, State.READY)
        if any(process.solitary and process.state in waiting for process in self.processes):
            return
        starting = self.count(State.STARTING)
        if not self._dismissed and self.warm_ups.allowed(starting, self._warm_ups_at_once, time.monotonic()):
            self._spawn(solitary=True)

    def want(self, count: int) -> None:
        """So many jobs wait for a process."""
        if count > self.wanted:
            self.wanted = count
            self.plan_fill()

    def plan_fill(self) -> None:
        """Fills up at the end of this turn of the loop."""
        if not self._fill_planned and not self._dismissed:
            self._fill_planned = True
            asyncio.get_running_loop().call_soon(self.fill)

    def fill(self) -> None:
        """Spawns what is missing, as far as warm-ups may start now, and closes what has been too much for long."""
        self._fill_planned = False
        if self._dismissed:
            return
        self._forgive()
        self._starter.tend()
        starting = self.count(State.STARTING)
        missing = self._target() - sum(1 for process in self.processes if _holds_slot(process))
        allowed = self.warm_ups.allowed(starting, self._warm_ups_at_once, time.monotonic())
        if not self._starter.ready:
            allowed = 0
        for _ in range(min(missing, allowed)):
            if not self._spawn():
                break
        if missing <= 0 and not starting:
            for process in self._outdated():
                process.close(Reason.RECYCLED)
        if not any(process.outdated for process in self.processes):
            self._starter.release()
        self._close_surplus(-missing)
        for process in self.processes:
            if process.solitary and _is_idle(process) and time.monotonic() - process.idle_since >= SURPLUS_SECONDS:
                process.close(Reason.SURPLUS)

    def welcome(self) -> None:
        """A process became ready: one outdated process has its successor."""
        self._forgive()
        outdated = self._outdated()
        if outdated:
            min(outdated, key=lambda process: len(process.assignments)).close(Reason.RECYCLED)
        self.plan_fill()

    def remove(self, process: ProcessHandle, end: ProcessEnd) -> None:
        """A process ended. One that did so while it warmed up, or idle time and again, holds back the next ones."""
        self.processes.remove(process)
        if not self.processes:
            self._empty.set()
        if end.abnormal and end.phase is Phase.INITIALIZE:
            self._note_failure(process.spawned_at, end.error or end.sentence())
        elif end.abnormal and end.phase is Phase.IDLE and not end.jobs_done:
            self._note_idle_death(process, end)
        self.plan_fill()

    def renew(self) -> None:
        """Replaces all: each serves until a successor is ready, busy ones close after their jobs then."""
        self._starter.renew(self._replace_all)

    def dismiss(self, reason: Reason) -> None:
        """Closes all, for good."""
        self._dismissed = True
        for process in tuple(self.processes):
            process.close(reason)

    async def wait_empty(self, timeout: float) -> bool:
        """False if processes are left after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _replace_all(self) -> None:
        for process in tuple(self.processes):
            process.outdated = True
            if process.state is State.STARTING:
                process.kill(Reason.RECYCLED)
        self.warm_ups = WarmUps()
        self.plan_fill()

    def _target(self) -> int:
        """Processes to keep, those with jobs among them.

        Where each job has a process of its own and one costs little, there is one more for each that is busy: the next
        job does not wait for it.
        """
        spare = self.busy if self._settings.process_mode == "fresh" and self._starter.cheap else 0
        return min(self.slots + spare, self.busy + max(self.idle_target, self.wanted, spare))

    def _outdated(self) -> list[ProcessHandle]:
        return [process for process in self.processes if process.outdated and process.state is State.READY]

    def _spawn(self, *, solitary: bool = False) -> bool:
        settings = self._settings
        number = next(self._numbers)
        now = time.monotonic()
        jobs = 1 if settings.process_mode == "fresh" else settings.max_jobs_per_process
        # The memory of a thread is that of its process: another thread would have it too.
        memory = None if settings.executor == "thread" else settings.recycle_memory_mb
        try:
            process = ProcessHandle(
                self._initialize(number),
                self._listener,
                lifespan=lifespan(jobs, settings.max_process_age, memory, stagger=_random()),
                initialize_timeout=settings.initialize_timeout,
                close_timeout=settings.close_timeout,
                starter=self._solitary_starter if solitary else self._starter,
            )
        except OSError as error:
            self._note_failure(now, f"process {number} can't be spawned: {error}")
            return False
        process.solitary = solitary
        self.processes.append(process)
        self._empty.clear()
        return True

    def _forgive(self) -> None:
        """Failed warm-ups are forgotten once a later process is ready, unless those end as soon as they are."""
        horizon = time.monotonic() - EARLY_DEATH_SECONDS
        while self._early_deaths and self._early_deaths[0] < horizon:
            self._early_deaths.popleft()
        if self.warm_ups.failures and len(self._early_deaths) <= self.slots:
            ready = (process for process in self.processes if process.state is State.READY)
            if any(process.ready_at >= self.warm_ups.failed_at for process in ready):
                self.warm_ups = WarmUps()

    def _note_idle_death(self, process: ProcessHandle, end: ProcessEnd) -> None:
        now = time.monotonic()
        if now - process.ready_at < EARLY_DEATH_SECONDS:
            self._early_deaths.append(now)
            if len(self._early_deaths) > self.slots:
                self._note_failure(process.spawned_at, end.sentence())

    def _note_failure(self, spawned_at: float, error: str) -> None:
        self.warm_ups = self.warm_ups.after_failure(spawned_at, time.monotonic(), error, _random())

    def _close_surplus(self, surplus: int) -> None:
        now = time.monotonic()
        self._surplus_since = min(self._surplus_since, now) if surplus > 0 else inf
        if now - self._surplus_since >= SURPLUS_SECONDS:
            starting = [process for process in self.processes if process.state is State.STARTING]
            for process in [*self.idle, *starting][-surplus:]:
                process.close(Reason.SURPLUS)


def _is_idle(process: ProcessHandle) -> bool:
    return process.state is State.READY and not process.assignments


def _holds_slot(process: ProcessHandle) -> bool:
    """It takes jobs, will take them, or has one. An outdated one is about to be replaced: its successor counts."""
    if process.solitary:
        return bool(process.assignments)
    if process.state is State.READY:
        return not process.outdated
    return process.state is State.STARTING or bool(process.assignments)


def _random() -> float:
    return random.random()  # noqa: S311  spreads load, guards nothing


def _cpu_count() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
