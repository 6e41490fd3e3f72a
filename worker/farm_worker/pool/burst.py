"""Jobs of a process that ended and of which it has not said what they used: it does so once for several short ones."""

from collections.abc import Callable, Sequence

import msgspec

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome

DID_NOT_END = frozenset({"unbegun", "returned", "interrupted"})
"""Kinds of outcomes of jobs that will run elsewhere."""


class Brief(msgspec.Struct, gc=False):
    """What is kept of such a job."""

    queue: str
    called: bytes
    """What its description says that it calls."""
    seconds: float


class Burst:
    """Of one process."""

    def __init__(self, tell: Callable[[Sequence[Brief], Assignment, Outcome], None]) -> None:
        """`tell` gets those jobs, in order, and the one that ended last, which may not be among them."""
        self._tell = tell
        self._jobs: list[Brief] = []

    def add(self, assignment: Assignment, outcome: Outcome) -> None:
        """A job ended."""
        if outcome.kind == "finished" or outcome.kind not in DID_NOT_END:
            self._jobs.append(Brief(assignment.queue, assignment.called, outcome.seconds))
        if outcome.used is not None:
            jobs, self._jobs = self._jobs, []
            self._tell(jobs, assignment, outcome)
