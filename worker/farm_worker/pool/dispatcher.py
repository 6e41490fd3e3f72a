"""Gives jobs to the processes of a pool: chooses one for each, and sends each process what it gets in one go."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile

from farm_settings import PoolSettings
from farm_worker.pool import choosing, sharing
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.hearing import Hearing
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.sharing import Sharing
from farm_worker.pool.staff import Staff
from farm_worker.pool.state import State


class Dispatcher:
    """Part of the pool, on the loop's thread like it."""

    def __init__(
        self,
        settings: PoolSettings,
        staff: Staff,
        sharing: Sharing,
        hearing: Hearing,
        sequences: Iterator[int],
        launched: Callable[[ProcessHandle, Sequence[Assignment]], None],
    ) -> None:
        """`launched` is told what a process was sent."""
        self.expires_at = 0.0
        """When the leases of the host may be taken away, see `expiry`. 0: no such time."""
        self._settings = settings
        self._staff = staff
        self._sharing = sharing
        self._hearing = hearing
        self._sequences = sequences
        self._launched = launched

    def dispatch(self, assignment: Assignment, depth: int) -> bool:
        """Gives the job to the ready process with the fewest jobs, idle ones first, if that has less than `depth`.

        A job that has to be alone gets a process without any, and no other follows it there.
        False: no process has room. Never more than `slots` processes are busy.
        """
        if not assignment.alone:
            return self.dispatch_many([assignment], depth) == 1
        separates = self._settings.executor == "thread"
        process = choosing.choose_empty(self._staff.processes, self._staff.slots, solitary=separates)
        if process is not None and process.watch.take_back():
            assignment.sequence = next(self._sequences)
            self._give(process, [assignment])
            return True
        if separates:
            self._staff.want_solitary()
        else:
            self._staff.want(1)
        return False

    def dispatch_many(self, assignments: Sequence[Assignment], depth: int) -> int:
        """Gives jobs as `dispatch` would one after another, but those for one process together.

        None of them has to be alone, and none of several is long. Returns how many were given, the first ones: for the
        rest no process has room.
        """
        if self._sharing.most > 1:
            given = len([*takewhile(lambda one: self._dispatch_beside(one, depth), assignments)])
        else:
            given = self._dispatch_apart(assignments, depth)
        if given < len(assignments):
            self._staff.want(1)
        return given

    def room(self, depth: int) -> int:
        """How many more jobs `dispatch` would take now."""
        depth = self._limit(depth)
        if self._sharing.most > 1:
            limit = self._sharing.limit(self._staff.processes, time.monotonic())
            return sharing.room(self._staff.processes, self._staff.slots, depth, limit)
        busy = room = 0
        idle: list[int] = []
        for process in self._staff.processes:
            held = len(process.assignments)
            if held:
                busy += 1
            if (
                process.state is State.READY
                and not process.solitary
                and held < depth
                and not process.assignments.is_long
            ):
                free = min(depth - held, process.jobs_left)
                if held:
                    room += free
                else:
                    idle.append(free)
        # Which of the idle ones get jobs is not known here; those that may be sent the least are certain.
        return room + sum(sorted(idle)[: max(0, self._staff.slots - busy)])

    def _dispatch_apart(self, assignments: Sequence[Assignment], depth: int) -> int:
        processes, slots = self._staff.processes, self._staff.slots
        portions: dict[ProcessHandle, list[Assignment]] = {}
        given = 0
        chosen = choosing.choose(processes, slots, self._limit(depth), len(assignments))
        for assignment, process in zip(assignments, chosen, strict=False):
            if process not in portions:
                if not process.watch.take_back():
                    break
                portions[process] = []
            portions[process].append(assignment)
            assignment.sequence = next(self._sequences)  # in the order of all, whichever process gets it
            given += 1
        for process, portion in portions.items():
            self._give(process, portion)
        return given

    def _dispatch_beside(self, assignment: Assignment, depth: int) -> bool:
        processes, slots = self._staff.processes, self._staff.slots
        known = self._sharing.is_coroutine(assignment)
        limit = self._sharing.limit(processes, time.monotonic())
        process = sharing.choose(processes, slots, self._limit(depth), limit, is_coroutine=known)
        if process is not None and not process.assignments:
            process.assignments.expect(coroutines=bool(known))
        if process is None or not process.watch.take_back():
            return False
        assignment.sequence = next(self._sequences)
        self._give(process, [assignment])
        return True

    def _give(self, process: ProcessHandle, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            assignment.begun_at = None
            assignment.expires_at = self.expires_at
            if assignment.expires_at and assignment.must_not_run_twice:
                process.renew(assignment.expires_at)
        process.dispatch(*assignments)
        self._launched(process, assignments)
        if process.is_quiet:
            self._hearing.plan()

    def _limit(self, depth: int) -> int:
        return min(depth, 1 if self._settings.process_mode == "fresh" else choosing.MAX_DEPTH)
