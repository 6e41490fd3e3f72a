"""How many jobs fit on a machine: what a machine has, what a job uses, and what follows. Pure: numbers in, numbers out.

Two resources bind. CPU by its mean: over seconds the demands of many jobs add up to their means, and a moment above the
threshold only makes the host take nothing more for a while. Jobs that want a CPU when all are busy wait for one, so a
machine takes more of them than its idle CPUs say. Memory by its 95th percentile: what does not fit does not wait, it
ends a process.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from farm.contention import Contention

Resource = Literal["cpu", "memory", "slots", "nothing"]

HOST_CPUS = 0.02
"""CPUs that a host with its coordinator uses while it runs jobs, beside what it does for each."""
FARM_CPU_SECONDS_PER_JOB = 0.00015
"""Host, coordinator and Redis together, for one job of any kind: docs/performance.md has the measurements."""

_NO_SHARE = 1e-12
"""A job that keeps less than this of a CPU busy uses none: no machine has room for so many."""
_ROUNDING = 1e-9
"""Sums of fractions miss whole numbers by less than this."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What jobs can have there."""

    cores: float
    """CPUs allowed; a quota may make it a fraction."""
    memory: int
    """Bytes: the limit of the container, or all that the machine has."""
    memory_others: int = 0
    """Bytes that other programs use there."""

    def __post_init__(self) -> None:
        if not (0 < self.cores < math.inf and self.memory > 0 and self.memory_others >= 0):
            raise ValueError(f"a machine has CPUs and memory, not {self}")


@dataclass(frozen=True, slots=True)
class HostCost:
    """What a host takes without any job. Bytes, and CPUs."""

    memory: int = 0
    """Of its parent, template, reserve and coordinator."""
    process_memory: int = 0
    """Of each warm process that idles: what it does not share."""
    cpus: float = HOST_CPUS
    job_cpu_seconds: float = FARM_CPU_SECONDS_PER_JOB

    def __post_init__(self) -> None:
        if min(self.memory, self.process_memory, self.cpus, self.job_cpu_seconds) < 0:
            raise ValueError(f"a host takes nothing below 0: {self}")


@dataclass(frozen=True, slots=True)
class JobCost:
    """What one job uses."""

    cpu_seconds: float
    """On average, user and system, with its children."""
    wall_seconds: float
    """From start to end by the clock, on average."""
    memory: int
    """Bytes that it adds to an idle process: the 95th percentile."""
    cpu_wait_counted: bool = False
    """Whether `wall_seconds` has what it waited for a CPU beside other jobs. If not, that is added to it."""

    def __post_init__(self) -> None:
        if not (0 <= self.cpu_seconds < math.inf and 0 < self.wall_seconds < math.inf and self.memory >= 0):
            raise ValueError(f"a job takes time, and no CPU time or memory below 0: {self}")


@dataclass(frozen=True, slots=True)
class Lines:
    """The settings that count."""

    threshold: float = 0.75
    memory_threshold: float = 0.9
    slots: int | None = None
    """PROCESSES, where that is given."""

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= 1 and 0 < self.memory_threshold <= 1 and (self.slots is None or self.slots > 0)):
            raise ValueError(f"thresholds are above 0 and at most 1, slots are 1 or more: {self}")


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one host on the machine takes. Numbers of jobs are `inf` where nothing binds."""

    by_cpu: float
    """Jobs at once until the load is at the threshold."""
    by_memory: float
    """Jobs at once until the memory in use is at its threshold."""
    by_slots: float
    cpus_per_job: float
    """Cores busy while one runs, at most all that there are."""
    wall_seconds: float
    """What one alone takes, with the farm's part."""
    memory_per_job: int
    """With its process."""
    memory_needed: int
    """By the first job, the host and others."""
    memory_allowed: float
    """Up to the threshold."""
    most_busy: float
    """Jobs at once that keep all CPUs busy, or as many as fit and may."""
    most_per_second: float
    cpu_wait_seconds: float = 0.0
    """What one waits for a CPU beside as many as run at once."""

    @property
    def fits(self) -> float:
        """Jobs at once below the threshold, before it is made a whole number."""
        return min(self.by_cpu, self.by_memory, self.by_slots)

    @property
    def binding(self) -> Resource:
        """What would have to grow for more."""
        if math.isinf(self.fits):
            return "nothing"
        bounds: tuple[tuple[Resource, float], ...] = (
            ("cpu", self.by_cpu),
            ("memory", self.by_memory),
            ("slots", self.by_slots),
        )
        return min(bounds, key=lambda bound: bound[1])[0]

    @property
    def over_threshold(self) -> bool:
        """One job alone takes the load over the threshold. It runs all the same: an empty host takes one."""
        return self.by_cpu + _ROUNDING < 1 and self.fits_memory

    @property
    def fits_memory(self) -> bool:
        """Whether the memory is enough for one job."""
        return self.by_memory + _ROUNDING >= 1

    @property
    def at_once(self) -> float:
        """Jobs that run at once below the threshold: a whole number, or `inf`."""
        if self.over_threshold:
            return 1
        return self.fits if math.isinf(self.fits) else math.floor(self.fits + _ROUNDING)

    @property
    def per_second(self) -> float:
        """Jobs that end each second with so many at once."""
        return self.at_once / (self.wall_seconds + self.cpu_wait_seconds)

    def hosts_for(self, rate: float) -> int | None:
        """Machines like this, with one host each, that `rate` jobs a second need. None: not one fits."""
        if rate <= 0:
            return 0
        if self.per_second <= 0:
            return None
        return max(1, math.ceil(rate / self.per_second - _ROUNDING))


def capacity(machine: Machine, host: HostCost, job: JobCost, lines: Lines) -> Capacity:
    """What one host on this machine takes of such jobs."""
    cpu_seconds = job.cpu_seconds + host.job_cpu_seconds
    # a job that would use more CPUs than there are takes longer
    wall = max(job.wall_seconds + host.job_cpu_seconds, cpu_seconds / machine.cores)
    cpus = cpu_seconds / wall
    memory_allowed = lines.memory_threshold * machine.memory
    memory_per_job = host.process_memory + job.memory
    by_memory = _divided(memory_allowed - machine.memory_others - host.memory, memory_per_job)
    by_slots = math.inf if lines.slots is None else float(lines.slots)
    queue = _contention(machine, cpu_seconds, wall, job.cpu_wait_counted) if cpus > _NO_SHARE else None
    all_cpus = _jobs_at(machine.cores - host.cpus, queue)
    most_busy = _whole(min(max(math.ceil(all_cpus - _ROUNDING) if math.isfinite(all_cpus) else all_cpus, 1), by_slots))
    most_busy = min(most_busy, _whole(by_memory))
    found = Capacity(
        by_cpu=_jobs_at(lines.threshold * machine.cores - host.cpus, queue),
        by_memory=by_memory,
        by_slots=by_slots,
        cpus_per_job=cpus,
        wall_seconds=wall,
        memory_per_job=memory_per_job,
        memory_needed=machine.memory_others + host.memory + memory_per_job,
        memory_allowed=memory_allowed,
        most_busy=most_busy,
        most_per_second=most_busy / (wall + _wait(most_busy, wall, queue)),
    )
    return replace(found, cpu_wait_seconds=_wait(found.at_once, wall, queue))


def _contention(machine: Machine, cpu_seconds: float, wall: float, wait_counted: bool) -> Contention:
    cpus = cpu_seconds / wall
    if wait_counted:  # a job has so much of a CPU all the time, and waits for nothing more
        return Contention(cpu_seconds, 0.0, machine.cores, cpus)
    parallel = max(1.0, cpus)
    return Contention(cpu_seconds, max(wall - cpu_seconds / min(parallel, machine.cores), 0.0), machine.cores, parallel)


def _jobs_at(cpus: float, queue: Contention | None) -> float:
    """Jobs at once that keep so many CPUs busy: 0 where there are none, `inf` where a job uses none."""
    if cpus <= 0:
        return 0.0
    return math.inf if queue is None else queue.jobs_at(cpus)


def _wait(jobs: float, wall: float, queue: Contention | None) -> float:
    """Seconds that one of so many waits for a CPU."""
    return 0.0 if queue is None or not 1 < jobs < math.inf else max(queue.seconds(jobs) - wall, 0.0)


def _divided(room: float, each: float) -> float:
    """How often `each` fits into the room: 0 where there is none, `inf` where it takes nothing."""
    if room <= 0:
        return 0.0
    return room / each if each > 0 else math.inf


def _whole(number: float) -> float:
    return number if math.isinf(number) else math.floor(number + _ROUNDING)
