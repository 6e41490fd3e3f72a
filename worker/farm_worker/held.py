"""Jobs that this host started and that no process has: what comes is dealt at once, so mostly there are none."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile
from math import inf

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.pool import Pool


class Held:
    """In the order in which they are to be dealt."""

    def __init__(self) -> None:
        self._jobs: deque[Assignment] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Assignment]:
        return iter(self._jobs)

    @property
    def waits_apart(self) -> bool:
        """Whether the first can't run beside others, and so has to wait: what comes behind must not go before it."""
        return bool(self._jobs) and self._jobs[0].apart

    def add(self, assignments: Iterable[Assignment]) -> None:
        """Behind the others."""
        self._jobs.extend(assignments)

    def put_first(self, assignments: Iterable[Assignment]) -> None:
        """Before the others, in this order."""
        self._jobs.extendleft(reversed([*assignments]))

    def put_unbegun(self, assignments: Sequence[Assignment]) -> None:
        """Their process ended: among those that were dealt before, as they were dealt, and before all others."""
        if assignments:
            self._jobs = deque(sorted((*assignments, *self._jobs), key=lambda one: one.sequence or inf))

    def put_back(self, assignment: Assignment) -> None:
        """A process gave it back unbegun, as others ran side by side: before all but those that came back before it."""
        self._jobs.insert(sum(one.apart for one in self._jobs), assignment)

    def deal(self, pool: Pool, depth: int) -> None:
        """To processes with less than `depth` jobs, as far as there are any; long jobs to those without any."""
        passed: list[Assignment] = []
        while self._jobs:
            short = [*takewhile(_is_short, self._jobs)]
            given = pool.dispatch_many(short, depth) if short else 0
            for _ in range(given):
                self._jobs.popleft()
            if given < len(short) or not self._jobs or self._jobs[0].offered:
                break
            if not pool.dispatch(self._jobs[0], 1 if self._jobs[0].is_long else depth):
                if not (self._jobs[0].alone and pool.separates):
                    break
                passed.append(self._jobs[0])
            self._jobs.popleft()
        self.put_first(passed)

    def take(self, job_id: bytes) -> list[Assignment]:
        """Takes out what is held of this job."""
        taken = [one for one in self._jobs if one.job_id == job_id]
        self._jobs = deque(one for one in self._jobs if one.job_id != job_id)
        return taken

    def drop(self, *tokens: str) -> None:
        """Forgets those under these leases."""
        if tokens:
            dropped = set(tokens)
            self._jobs = deque(one for one in self._jobs if one.token not in dropped)

    def take_all(self) -> list[Assignment]:
        """Takes out all."""
        taken = [*self._jobs]
        self._jobs.clear()
        return taken

    def oldest(self) -> float:
        """When the first was started, in monotonic seconds; `inf` if there is none, or the app is asked about it."""
        return self._jobs[0].dispatched_at if self._jobs and not self._jobs[0].offered else inf

    def offered(self, most: int) -> list[Assignment]:
        """The first of those that the app is asked about. They stay here."""
        return [*islice((one for one in self._jobs if one.offered), most)]

    def settle(self, asked: Iterable[Assignment]) -> list[Assignment]:
        """The app said what becomes of these, or can't be asked. Returns those that are still here, marked so."""
        tokens = {one.token for one in asked}
        settled = [one for one in self._jobs if one.offered and one.token in tokens]
        for one in settled:
            one.offered = False
        return settled

    def take_unoffered(self) -> list[Assignment]:
        """Takes out all before the first that the app is asked about."""
        taken = [*takewhile(lambda one: not one.offered, self._jobs)]
        for _ in taken:
            self._jobs.popleft()
        return taken


def _is_short(assignment: Assignment) -> bool:
    """Whether it may wait behind others, wherever there is room."""
    return not (assignment.alone or assignment.is_long or assignment.offered)
