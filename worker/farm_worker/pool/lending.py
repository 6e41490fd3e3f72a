"""The host lends its watch of a queue to an idle process, which then begins the next job without it: its side of that.

While a process has a watch it counts as idle, and its token is the only one in the pipe: the host takes the watch back
before it sends a job there. What a watch brings and the process does not begin is the host's to deal.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Collection
from math import inf
from typing import TYPE_CHECKING

from farm_settings import PoolSettings
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.channel import Channel
from farm_worker.pool.state import State
from farm_worker.pool.watch_messages import Watch, Watched

if TYPE_CHECKING:
    from farm_worker.pool.process import ProcessHandle
    from farm_worker.pool.staff import Staff

REFUSED_SECONDS = 60.0
"""After a process could not ask Redis as its host can, which is the same for all: how long none is asked to."""


class LentWatch:
    """One watch, with the process that has it."""

    def __init__(self, sequence: int, slot: "WatchSlot", began: Callable[[Watched], Assignment | None]) -> None:
        """`began` makes the assignment of the job that began with it; None: that job is not this host's any more."""
        self.sequence = sequence
        self.over: asyncio.Future[Watched | None] = asyncio.get_running_loop().create_future()
        """What the process said of it. None: it was taken back, or the process ended without a word: no job began."""
        self._slot = slot
        self._began = began

    def take_back(self) -> bool:
        """Ends it, if it is not over. False: the process has its token and is about to say what came of it."""
        return self.over.done() or self._slot.take_back()

    def hear(self, said: Watched) -> Assignment | None:
        """The job that began, if one did."""
        if not self.over.done():
            self.over.set_result(said)
        return self._began(said) if said.begun else None

    def end(self) -> None:
        """Nothing began with it, and nothing will."""
        if not self.over.done():
            self.over.set_result(None)


class WatchSlot:
    """The watch that one process has, if it has one."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.lent: LentWatch | None = None

    def lend(self, lent: LentWatch, request: bytes, expires_at: float) -> None:
        """To a process that is idle."""
        self.lent = lent
        self._channel.send_watch(Watch(lent.sequence, request, expires_at))
        self._channel.flush()

    def take_back(self) -> bool:
        """False if the process has a watch whose token it has read."""
        if self.lent is not None:
            self.taken(self._channel.take_back())
        return self.lent is None

    def taken(self, sequences: Collection[int]) -> None:
        """These tokens were taken from the pipe."""
        if self.lent is not None and self.lent.sequence in sequences:
            self.end()

    def hear(self, said: Watched) -> Assignment | None:
        """The job that began, if one did."""
        lent, self.lent = self.lent, None
        if lent is None or lent.sequence != said.sequence:
            return None
        assignment = lent.hear(said)
        if assignment is not None:
            assignment.sequence = said.sequence
        return assignment

    def end(self) -> None:
        """The process is gone, or can't begin anything with its watch."""
        lent, self.lent = self.lent, None
        if lent is not None:
            lent.end()


class Lender:
    """Finds a process for each watch."""

    def __init__(self, settings: PoolSettings, staff: "Staff", sequences: "itertools.count[int]") -> None:
        self._staff = staff
        self._sequences = sequences
        # A thread shares its process with others, and one that is there for a single job is not worth a connection.
        self._refused_until = inf if settings.executor == "thread" or settings.process_mode == "fresh" else 0.0

    @property
    def can_lend(self) -> bool:
        """Whether a process could have a watch now."""
        return self._choose() is not None

    def lend(
        self, request: bytes, expires_at: float, began: Callable[[Watched], Assignment | None]
    ) -> LentWatch | None:
        """To the process that idles for the shortest time; None if there is none. `request`: what it says to Redis.

        `expires_at`: until when jobs may begin, seconds of `expiry.clock`, 0 for no such time. `began`: see LentWatch.
        """
        process = self._choose()
        if process is None:
            return None
        if expires_at:
            process.renew(expires_at)
        lent = LentWatch(next(self._sequences), process.watch, began)
        process.watch.lend(lent, request, expires_at)
        return lent

    def refuse(self) -> None:
        """It failed where it would not for the host."""
        self._refused_until = max(self._refused_until, time.monotonic() + REFUSED_SECONDS)

    def _choose(self) -> "ProcessHandle | None":
        if time.monotonic() < self._refused_until or self._staff.busy >= self._staff.slots:
            return None
        idle = (one for one in self._staff.idle if one.watch.lent is None and one.state is State.READY)
        return max(idle, key=lambda process: process.idle_since, default=None)
