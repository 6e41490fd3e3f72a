"""The jobs that one process was sent and has not ended, in order."""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from math import inf

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.progress import heard
from farm_worker.pool.protocol import JobLimit, Progress
from farm_worker.pool.reasons import Reason

HARD_KILL_GRACE_SECONDS = 10.0
"""A process ends an overdue job itself, by RQ's death penalty. Code that does not let it (a C extension that holds on,
a handler that swallows the exception) has this long to unwind and to report, but no longer than CLOSE_TIMEOUT."""


class Assignments(deque[Assignment]):
    """The first one is taken for begun; where jobs run side by side, the first `at_once`."""

    def __init__(self, grace: float, most_at_once: int) -> None:
        """`grace`: seconds that a job has beyond its limits before it is overdue. `most_at_once`: of coroutines."""
        super().__init__()
        self.at_once = 1
        self._most_at_once = most_at_once
        self._grace = grace

    @property
    def has_ahead(self) -> bool:
        """Whether any wait behind those that run."""
        return len(self) > self.at_once

    @property
    def least_seconds_ahead(self) -> float:
        """So long those that wait behind the ones that run keep the process busy, as far as known."""
        return sum(one.least_seconds for one in islice(self, self.at_once, None)) / self.at_once

    @property
    def is_long(self) -> bool:
        """Whether the job that runs takes so long that nothing may wait behind it."""
        return bool(self) and self[0].is_long

    def expect(self, *, coroutines: bool) -> None:
        """What runs here, or is about to where nothing does, as far as that is known."""
        self.at_once = self._most_at_once if coroutines else 1

    def add(self, assignments: Iterable[Assignment], now: float) -> None:
        """They were sent, behind the others."""
        for one in assignments:
            one.dispatched_at = now
            self.append(one)

    def begin(self, now: float) -> float:
        """Notes which of them run from now on. Returns when the first of those that run is overdue; `inf`: never."""
        overdue = inf
        for one in islice(self, self.at_once):
            if one.begun_at is None:
                one.begun_at = now
                limit = inf if one.timeout is None else one.timeout + one.seconds_beside
                one.overdue_at = now + limit + self._grace
            overdue = min(overdue, one.overdue_at)
        return overdue

    def end(self, sequence: int) -> Assignment | None:
        """Takes the one of this sequence out. None if it is not here."""
        if self and self[0].sequence == sequence:
            return self.popleft()
        for place, one in enumerate(self):
            if one.sequence == sequence:
                del self[place]
                return one
        return None

    def take(self, sequences: set[int]) -> list[Assignment]:
        """Takes out all of these, in order."""
        taken = [one for one in self if one.sequence in sequences]
        kept = [one for one in self if one.sequence not in sequences]
        self.clear()
        self.extend(kept)
        for one in taken:
            one.begun_at = None
        return taken

    def unread_since(self, unread: int) -> float:
        """When the oldest of the last `unread` jobs was sent; `inf` if there are none."""
        return self[-unread].dispatched_at if 0 < unread <= len(self) else inf

    def most_overdue(self) -> Assignment | None:
        """The one that is overdue first. None if there are none."""
        return min(self, key=lambda one: one.overdue_at, default=None)

    def ask_to_end(self, one: Assignment, reason: Reason, now: float) -> float:
        """It was asked to end, so that those beside it go on. Returns when that is overdue."""
        one.stopped_for = reason
        one.overdue_at = now + self._grace
        return one.overdue_at

    def limit(self, said: JobLimit) -> bool:
        """The job that runs has another limit than its record says, from now on. False: another one runs."""
        if not self or self[0].sequence != said.sequence:
            return False
        self[0].timeout = said.seconds or None
        self[0].begun_at = None
        return True

    def note_progress(self, said: Progress) -> None:
        """A job said how far it is."""
        for one in self:
            if one.sequence == said.sequence:
                one.progress = heard(said)

    def forgive(self, seconds: float) -> None:
        """The host stood still for so long: nobody else is overdue for it."""
        for one in self:
            one.overdue_at += seconds
