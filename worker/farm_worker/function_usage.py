"""What a host saw its jobs use, by queue and function: on its way to Redis.

Short jobs that follow each other are measured together, see `farm.account`: each counts with its part by time, so their
means are right, and what differs among jobs of less than 5 ms is not seen. Nothing is written per job: the beat tells
now and then what is new.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from farm.account import RESOLUTION_SECONDS
from farm.histogram import bucket_of
from farm.store.function_usage import MOST_KEPT, Running, Seen
from farm.usage import DATE_LENGTH, unix_seconds
from farm_worker.beginnings import field
from farm_worker.job_fields import function
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.burst import Stretch
from farm_worker.pool.outcome import Finished, Outcome, Used

MOST_AT_ONCE = 100
"""Functions in one note: keeps the script under some milliseconds."""

LONG_SECONDS = 1.0
"""A job that has run for so long is told of before it ends, …"""
GROWTH = 1.5
"""… and again when it has run so many times as long."""

_MOST_NAMES = 2000

Name = tuple[str, str]
"""Of a function: its queue, and how jobs name it."""


class FunctionUsages:
    """What was seen and is not in Redis yet. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._seen: dict[Name, Seen] = {}
        self._names: dict[bytes, str] = {}
        """What jobs say that they call → how it is read."""
        self._told: dict[str, float] = {}
        """Tokens of jobs that run → how long they had run when they were told of."""
        self._note: Mapping[Name, Seen] = {}
        """What was sent, until Redis has it."""
        self._number = 0

    def ended(self, burst: Sequence[Stretch], assignment: Assignment, outcome: Outcome) -> None:
        """Jobs of one process ended, in this order, and the outcome of the last says what they used.

        That one is `assignment`, unless it did not count: then it is not among them.
        """
        used = outcome.used
        if used is None or not burst:
            return
        memory = max(used.memory, assignment.grown)
        if len(burst) == 1:
            self._add(burst[0], used if memory == used.memory else _part(used, 1.0, memory))
        else:
            self._share(burst, memory, used)
        self._add_wait(burst, assignment, outcome)

    def _share(self, burst: Sequence[Stretch], memory: int, used: Used) -> None:
        wall = sum(stretch.seconds for stretch in burst)
        if burst[-1].seconds >= RESOLUTION_SECONDS and burst[-1].jobs == 1:
            *burst, long = burst
            self._add(long, _part(used, long.seconds / wall, memory))
            used, wall, memory = _part(used, 1 - long.seconds / wall, 0), wall - long.seconds, 0
        jobs = sum(stretch.jobs for stretch in burst)
        for stretch in burst:
            share = stretch.seconds / wall if wall > 0 else stretch.jobs / jobs
            self._add(stretch, _part(used, share, memory))

    def broke_off(self, assignment: Assignment, now: float) -> None:
        """A job ended with its process. What it used is known as far as it was sampled while it ran."""
        seconds = now - (assignment.begun_at or now)
        if assignment.is_sampled:
            used = Used(assignment.cpu_seconds, 0.0, 0.0, assignment.grown)
            self._add(Stretch(assignment.queue, assignment.called, 1, seconds), used)

    def observe_running(self, jobs: Iterable[Assignment], now: float) -> None:
        """Of jobs that run: what the long ones have used so far."""
        told: dict[str, float] = {}
        for job in jobs:
            seconds = now - (job.begun_at or now)
            before = told[job.token] = self._told.get(job.token, 0.0)
            if not job.is_sampled or seconds < max(LONG_SECONDS, GROWTH * before):
                continue
            told[job.token] = seconds
            seen = self._seen_of(job.queue, job.called)
            if seen is not None and (seen.running is None or seen.running.wall < seconds):
                seen.running = Running(seconds, job.cpu_seconds, job.grown)
        self._told = told

    def next_note(self) -> tuple[int, Mapping[Name, Seen]] | None:
        """What to tell Redis, and its number: the same until `noted`. None if there is nothing."""
        if not self._note and self._seen:
            self._number += 1
            self._note = {name: self._seen.pop(name) for name in list(islice(self._seen, MOST_AT_ONCE))}
        return (self._number, self._note) if self._note else None

    @property
    def has_more(self) -> bool:
        """Whether there is more than one note takes."""
        return len(self._seen) > 0

    def noted(self) -> None:
        """Redis has it."""
        self._note = {}

    def _add(self, stretch: Stretch, used: Used) -> None:
        """These jobs used this together."""
        seen = self._seen_of(stretch.queue, stretch.called)
        if seen is None:
            return
        jobs, seconds = stretch.jobs, stretch.seconds
        cpu = used.user + used.system + used.children
        seen.weight += jobs
        seen.user += used.user
        seen.system += used.system
        seen.children += used.children
        seen.wall += seconds
        seen.memory += used.memory * jobs
        for buckets, value in (
            (seen.cpu_buckets, cpu / jobs),
            (seen.wall_buckets, seconds / jobs),
            (seen.memory_buckets, used.memory),
        ):
            bucket = bucket_of(value)
            buckets[bucket] = buckets.get(bucket, 0) + jobs

    def _add_wait(self, burst: Sequence[Stretch], assignment: Assignment, outcome: Outcome) -> None:
        """How long the last one had waited stands for those of its function that ended just before."""
        if assignment.attempt != 1 or burst[-1].called != assignment.called:  # it ran before: that was no waiting
            return
        if isinstance(outcome, Finished):
            enqueued, began = outcome.accepted[-DATE_LENGTH:], outcome.started_at
        else:
            enqueued, began = field(assignment.fields, b"enqueued_at"), time.time() - outcome.seconds
        at = unix_seconds(enqueued)
        seen = self._seen_of(assignment.queue, assignment.called)
        if at is None or seen is None:
            return
        jobs = sum(each.jobs for each in burst if (each.called, each.queue) == (assignment.called, assignment.queue))
        seen.waits += jobs
        seen.wait += jobs * max(0.0, began - at)

    def _seen_of(self, queue: str, called: bytes) -> Seen | None:
        """None where more functions are new than Redis would keep."""
        name = self._names.get(called)
        if name is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            name = self._names[called] = function(called)
        seen = self._seen.get((queue, name))
        if seen is None and len(self._seen) < MOST_KEPT:
            seen = self._seen[queue, name] = Seen()
        return seen


def _part(used: Used, share: float, memory: int) -> Used:
    return Used(used.user * share, used.system * share, used.children * share, memory)
