"""How jobs that this host started get to processes, how many of them at a time, and how they are taken back."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from math import inf

from farm.store.started import StartedJob
from farm_worker import prefetch
from farm_worker.beginnings import assign
from farm_worker.durations import Durations
from farm_worker.held import Held
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.pool import Pool
from farm_worker.pool.process import ProcessHandle
from farm_worker.starts import Starts


class Dealing:
    """Between the inbox and the pool: short jobs are dealt in advance, long ones when a process idles."""

    def __init__(self, pool: Callable[[], Pool], starts: Starts) -> None:
        """`pool`: asked for whenever it is needed, as it comes later."""
        self._pool = pool
        self._starts = starts
        self.held = Held()
        self.durations = Durations()
        """Of jobs that ended here."""
        self.is_short = asyncio.Event()
        """Set while what is placed is news. If not, it is asked for when the next outcomes are told."""
        self.is_short.set()

    def assign(self, job: StartedJob) -> Assignment:
        """The job as the pool takes it."""
        return assign(job, self.durations.of(job.queue, job.called))

    @property
    def processes(self) -> Sequence[ProcessHandle]:
        """Of the pool."""
        return self._pool().processes

    def dealt(self) -> Iterator[Assignment]:
        """Those that processes have."""
        return (one for process in self.processes for one in process.assignments)

    def hold(self, started: Sequence[StartedJob]) -> list[Assignment]:
        """They are to be dealt, after those that are held."""
        assignments = [*map(self.assign, started)]
        self.held.add(assignments)
        return assignments

    def deal(self) -> None:
        """Gives processes what is held, as far as they have room."""
        pool, now = self._pool(), time.monotonic()
        self.held.deal(pool, self._depth(now))
        if pool.has_work_ahead:
            self.is_short.clear()
        else:
            self.is_short.set()

    def room(self, now: float, running_limit: int) -> int:
        """How many more jobs can be dealt. `running_limit`: so many may run at once."""
        if self.held.waits_apart:
            return 0
        pool, depth = self._pool(), self._depth(now)
        sent = sum(len(process.assignments) for process in pool.processes)
        return min(pool.room(depth), running_limit * depth - sent) - len(self.held)

    def oldest(self) -> float:
        """Monotonic seconds: when the first of those was started, or sent to a process, that have not begun."""
        unread = min((process.unread_since() for process in self.processes), default=inf)
        return min(unread, self.held.oldest())

    def take_late(self, now: float) -> list[Assignment]:
        """Takes back what was not begun in time, and what stands behind it."""
        back = self._pool().take_back(prefetch.RECALL_SECONDS)
        is_held_late = self.held.oldest() < now - prefetch.RECALL_SECONDS
        return [*back, *self.held.take_unoffered()] if back or is_held_late else []

    def take_all(self) -> list[Assignment]:
        """Takes back all that was not begun."""
        return [*self._pool().take_back(None), *self.held.take_all()]

    def _depth(self, now: float) -> int:
        return prefetch.depth(self.durations.expected(now), is_sole=self._starts.is_sole)
