"""When processes with several jobs are heard: to be woken for each of many small messages costs as much as jobs do."""

import asyncio
from collections.abc import Iterable
from math import inf

from farm_worker.pool.process import ProcessHandle

LEAST_SECONDS = 0.004
"""So long the end of a job may go unheard while others follow it in its process, however short they are."""

RESERVE_SECONDS = 0.015
"""Work that a process with more than that shall have when it is heard: its next jobs come after an exchange."""


class Hearing:
    """Hears processes together, before the first of them runs out of work."""

    def __init__(self, processes: Iterable[ProcessHandle]) -> None:
        """`processes`: those of now, whenever it is iterated."""
        self._processes = processes
        self._heard_at = -inf
        self._is_planned = False
        self._timer: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """A process got more jobs. What is given in one turn of the loop counts together."""
        if not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._plan)

    def hear(self) -> None:
        """Now, as somebody tells Redis how jobs ended; unless that was a moment ago."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._heard_at > self._seconds() / 2:
            self._hear()

    def _plan(self) -> None:
        self._is_planned = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        seconds = self._seconds()
        if seconds < inf:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._hear_and_plan)

    def _hear_and_plan(self) -> None:
        self._timer = None
        self._hear()
        self._plan()

    def _hear(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        for process in [*self._processes]:
            if process.is_quiet:
                process.look()

    def _seconds(self) -> float:
        work = (process.assignments.least_seconds_ahead for process in self._processes if process.is_quiet)
        return seconds_unheard(min(work, default=inf))


def seconds_unheard(work: float) -> float:
    """Until a process is heard that has so many seconds of work ahead at least: heard late, it has nothing to do."""
    return max(LEAST_SECONDS, min(work, RESERVE_SECONDS), work - RESERVE_SECONDS)
