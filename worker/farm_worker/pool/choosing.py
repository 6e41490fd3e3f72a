"""Which process a job is given to, where none run side by side."""

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.state import State

MAX_DEPTH = 512
"""Jobs sent ahead to one process: their tokens fit the smallest pipe that the kernel makes (4 KB)."""


def choose(processes: Sequence[ProcessHandle], slots: int, depth: int, count: int) -> list[ProcessHandle]:
    """For each of `count` jobs that are not long, in turn; for less of them once no process has room.

    Each time it is an idle one, as long as less than `slots` are busy, else that with the fewest jobs, if it has less
    than `depth` and no long job runs there. Of those that idle it is one that does not wait at Redis, if there is one;
    of equals the first.
    """
    busy = 0
    idle: list[tuple[int, bool, int, int]] = []
    room: list[tuple[int, bool, int, int]] = []
    for place, process in enumerate(processes):
        held = len(process.assignments)
        if held:
            busy += 1
        if process.state is not State.READY or process.solitary or held >= depth:
            continue
        if not held:
            idle.append((0, process.watch.lent is not None, place, process.jobs_left))
        elif not process.assignments.is_long:
            room.append((held, False, place, process.jobs_left))
    idle.sort()
    room += idle[: max(0, slots - busy)]
    heapify(room)
    chosen: list[ProcessHandle] = []
    while room and len(chosen) < count:
        held, _, place, left = room[0]
        chosen.append(processes[place])
        if held + 1 < depth and left > 1:
            heapreplace(room, (held + 1, False, place, left - 1))
        else:
            heappop(room)
    return chosen


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
