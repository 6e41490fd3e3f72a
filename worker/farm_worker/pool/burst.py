"""Jobs of a process that ended and of which it has not said what they used: it does so once for several short ones."""

from collections.abc import Callable, Sequence

import msgspec

from farm.account import RESOLUTION_SECONDS
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome

DID_NOT_END = frozenset({"unbegun", "returned", "interrupted"})
"""Kinds of outcomes of jobs that will run elsewhere."""


class Stretch(msgspec.Struct, gc=False):
    """Jobs of one function of one queue that followed each other. One of 5 ms or more begins a new one."""

    queue: str
    called: bytes
    """What their descriptions say that they call."""
    jobs: int
    seconds: float
    """That they took in sum."""


class Burst:
    """Of one process."""

    def __init__(self, tell: Callable[[Sequence[Stretch], Assignment, Outcome], None]) -> None:
        """`tell` gets those jobs, in order, and the one that ended last, which may not be among them."""
        self._tell = tell
        self._stretches: list[Stretch] = []

    def add(self, ended: Sequence[tuple[Assignment, Outcome]]) -> None:
        """Jobs ended, in this order."""
        last = self._stretches[-1] if self._stretches else None
        for assignment, outcome in ended:
            seconds = outcome.seconds
            if outcome.kind == "finished" or outcome.kind not in DID_NOT_END:
                is_short = seconds < RESOLUTION_SECONDS
                if last and is_short and assignment.called == last.called and assignment.queue == last.queue:
                    last.jobs += 1
                    last.seconds += seconds
                else:
                    last = Stretch(assignment.queue, assignment.called, 1, seconds)
                    self._stretches.append(last)
            if outcome.used is not None:
                stretches, self._stretches, last = self._stretches, [], None
                self._tell(stretches, assignment, outcome)
