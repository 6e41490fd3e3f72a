"""Which jobs run side by side in one process, and how many: learned from what processes say of jobs that began.

Room beyond one job for each process opens as jobs prove to be coroutines: twice as many as did at once, each time. It
closes when one comes back that is none: what stands behind it may be like it.
"""

from collections.abc import Iterable, Sequence
from math import inf

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.choosing import MAX_DEPTH, prefer
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.state import State

MEMORY_SECONDS = 10.0
"""What was proved so long ago counts no more."""
CLOSED_SECONDS = 2.0
"""After a job came back."""
MOST_KEPT = 1000
"""Functions that are remembered."""


class Sharing:
    """What one host knows. Times are on the monotonic clock."""

    def __init__(self, most: int) -> None:
        """`most`: ASYNC_CONCURRENCY. 1: nothing is ever shared."""
        self.most = most
        self._proved = 0
        self._proved_at = -inf
        self._closed_until = -inf
        self._functions: dict[bytes, bool] = {}

    def proved(self, assignment: Assignment | None, running: int, now: float) -> None:
        """So many coroutines run in one process; `assignment` is one of them."""
        self._proved = max(running, self._proved if now - self._proved_at < MEMORY_SECONDS else 0)
        self._proved_at = now
        if assignment is not None:
            self._learn(assignment, is_coroutine=True)

    def came_back(self, assignment: Assignment, now: float) -> None:
        """It can't run beside others."""
        assignment.apart = True
        self._closed_until = now + CLOSED_SECONDS
        self._learn(assignment, is_coroutine=False)

    def is_coroutine(self, assignment: Assignment) -> bool | None:
        """None: not known."""
        if assignment.apart or assignment.alone or assignment.must_not_run_twice:
            return False
        return self._functions.get(_function(assignment))

    def limit(self, processes: Iterable[ProcessHandle], now: float) -> int:
        """How many jobs one process may run at once, if they are coroutines."""
        if any(each.shares for each in processes):  # what was proved holds as long as such jobs run
            self._proved_at = now
        if now < self._closed_until or now - self._proved_at >= MEMORY_SECONDS:
            return 1
        return max(1, min(self.most, 2 * self._proved))

    def _learn(self, assignment: Assignment, *, is_coroutine: bool) -> None:
        if len(self._functions) >= MOST_KEPT:
            self._functions.clear()
        self._functions[_function(assignment)] = is_coroutine


def running(processes: Iterable[ProcessHandle], most: int) -> int:
    """Jobs that run at once."""
    return sum(min(len(each.assignments), most if each.shares else 1) for each in processes)


def capable(processes: Sequence[ProcessHandle], slots: int, most: int, limit: int) -> int:
    """Jobs that can run at once as things are: in busy processes, and in idle ones as far as there are slots."""
    busy = idle = jobs = 0
    for process in processes:
        held = len(process.assignments)
        if held:
            busy += 1
            jobs += max(min(held, most), limit) if process.shares else 1
        elif process.state is State.READY and not process.solitary:
            idle += 1
    return jobs + limit * min(idle, max(0, slots - busy))


def room(processes: Sequence[ProcessHandle], slots: int, depth: int, limit: int) -> int:
    """How many more jobs can be dealt, if they are like those that proved themselves."""
    busy = free = 0
    idle: list[int] = []
    for process in processes:
        held = len(process.assignments)
        busy += bool(held)
        if process.state is State.READY and not process.solitary:
            more = max(0, min(_most(process, depth, limit) - held, process.jobs_left))
            if held:
                free += more
            else:
                idle.append(more)
    return free + sum(sorted(idle)[: max(0, slots - busy)])


def holds(depth: int, limit: int) -> int:
    """How many jobs a process that shares may be sent: those that run at once, and so much ahead for each of them."""
    return limit + min(limit * (depth - 1), MAX_DEPTH) if depth > 0 else 0


def _most(process: ProcessHandle, depth: int, limit: int) -> int:
    if process.shares or not process.assignments:
        return holds(depth, limit)
    return 0 if process.assignments.is_long else depth


def choose(
    processes: Sequence[ProcessHandle], slots: int, depth: int, limit: int, *, is_coroutine: bool | None
) -> ProcessHandle | None:
    """The process for a job: an idle one, else that with the fewest jobs which this one can join."""
    idle = best = None
    busy = 0
    for process in processes:
        held = len(process.assignments)
        busy += bool(held)
        if process.state is not State.READY or process.solitary:
            continue
        if not held:
            idle = prefer(process, idle)
        elif process.shares and is_coroutine is False:
            continue
        elif held < _most(process, depth, limit) and (best is None or held < len(best.assignments)):
            best = process
    return idle if idle is not None and busy < slots and depth > 0 else best


def _function(assignment: Assignment) -> bytes:
    """What it says that it calls, without arguments; its queue if it says nothing."""
    return assignment.called.partition(b"(")[0][:200] or assignment.queue.encode()
