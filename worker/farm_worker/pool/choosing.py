"""Which process a job is given to, where none run side by side."""

from collections.abc import Iterable
from math import inf

from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.state import State

MAX_DEPTH = 512
"""Jobs sent ahead to one process: their tokens fit the smallest pipe that the kernel makes (4 KB)."""


def choose(processes: Iterable[ProcessHandle], slots: int, depth: int) -> ProcessHandle | None:
    """An idle one, else that with the fewest jobs, if it has less than `depth` and no long job runs there."""
    idle = best = None
    best_held: float = depth if depth > 0 else -inf
    busy = 0
    for process in processes:
        held = len(process.assignments)
        if held:
            busy += 1
        if process.state is State.READY and not process.solitary:
            if not held:
                idle = prefer(process, idle)
            elif held < best_held and not process.assignments.is_long:
                best, best_held = process, held
    return idle if idle is not None and busy < slots and depth > 0 else best


def choose_empty(processes: Iterable[ProcessHandle], slots: int, *, solitary: bool) -> ProcessHandle | None:
    """For a job that has to be alone. Threads share their process with others: there it is one apart."""
    empty, busy = None, 0
    for process in processes:
        if process.assignments:
            busy += 1
        elif process.state is State.READY and process.solitary == solitary:
            empty = prefer(process, empty)
    return empty if busy < slots else None


def prefer(process: ProcessHandle, before: ProcessHandle | None) -> ProcessHandle:
    """Of two that idle, the one for a job: the first one that does not wait at Redis, if there is one."""
    return process if before is None or (before.watch.lent is not None and process.watch.lent is None) else before
