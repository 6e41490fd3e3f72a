"""CPUs, and what runs on them. All get their share: what wants more CPUs than there are is slowed down alike."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

GIGABYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Job:
    """What a job needs."""

    number: int
    arrives_at: float
    """Seconds from the start."""
    cpu_seconds: float
    cpus: float = 1.0
    """That it keeps busy while nothing slows it down; less than 1 for one that waits for others in between."""
    memory: int = 0
    function: str = "work"
    queue: str = "default"
    requires: frozenset[str] = frozenset()
    memory_mb: int = 0

    @property
    def seconds(self) -> float:
        """How long it runs if nothing slows it down."""
        return self.cpu_seconds / self.cpus


@dataclass(slots=True)
class Machine:
    """Work done is counted in seconds of an unhindered job, so that none has to be looked at before it ends."""

    cpus: float
    others: Callable[[float], float] = lambda at: 0.0
    """CPUs that other programs want, as a share of all, at a time."""
    memory: int = 16 * GIGABYTE
    memory_of_others: int = 0
    busy_seconds: float = 0.0
    """CPU seconds used by all so far."""
    memory_of_jobs: int = 0
    wanted: float = 0.0
    """CPUs that jobs want now."""
    _work: float = 0.0
    _running: list[tuple[float, int, "Running"]] = field(default_factory=list)

    def demand(self, at: float) -> float:
        """CPUs wanted by all, as a share of those that are there: more than 1 if they are too few."""
        return self.wanted / self.cpus + self.others(at)

    def start(self, job: Job, on_end: Callable[[Job, float], None], own: "Usage", at: float) -> None:
        """The job runs from now on; what it uses is counted as its own host's."""
        self.wanted += job.cpus
        own.wanted += job.cpus
        self.memory_of_jobs += job.memory
        heapq.heappush(self._running, (self._work + job.seconds, job.number, Running(job, on_end, own, at)))

    def run(self, at: float, seconds: float, users: "list[Usage]") -> None:
        """Lets time pass from `at` on. `users`: those whose use of the CPUs is counted apart."""
        demand = self.demand(at)
        pace = 1.0 if demand <= 1 else 1 / demand
        self.busy_seconds += min(demand, 1.0) * self.cpus * seconds
        for user in users:
            user.cpu_seconds += user.wanted * pace * seconds
        self._work += pace * seconds
        while self._running and self._running[0][0] <= self._work + 1e-9:
            done, _, running = heapq.heappop(self._running)
            idle_seconds = (self._work - done) * running.job.cpus  # it ended before the step did
            self.busy_seconds -= idle_seconds
            running.own.cpu_seconds -= idle_seconds
            self.wanted = max(0.0, self.wanted - running.job.cpus)
            running.own.wanted = max(0.0, running.own.wanted - running.job.cpus)
            self.memory_of_jobs -= running.job.memory
            running.on_end(running.job, running.began_at)

    @property
    def memory_used(self) -> int:
        """Bytes."""
        return self.memory_of_others + self.memory_of_jobs


@dataclass(slots=True)
class Usage:
    """What the jobs of one host use."""

    wanted: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs."""

    job: Job
    on_end: Callable[[Job, float], None]
    own: Usage
    began_at: float
