"""One run: jobs come, the coordinator deals them in rounds, hosts beat, machines work. A step is 20 ms."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from farm.coordinator.costs import Costs
from farm.coordinator.deferral import is_deferred, why_nothing_can_be_placed
from farm.coordinator.placement import takes_jobs
from farm.coordinator.waiting import WaitingJob, WaitingQueue
from farm.store.placement import MAX_PLAN
from farm.store.survey import HostView
from tests.simulation.host import BEAT_SECONDS, HostSettings, SimulatedHost
from tests.simulation.ledger import Ledger
from tests.simulation.machine import Job, Machine
from tests.simulation.policies import SUSPECT_AFTER, Policy

STEP_SECONDS = 0.02
DECAY = 0.98
"""What counts of the jobs before, with each job that ends."""
LEARN_SECONDS = 2.0
"""The coordinator reads what functions used this often."""
LOOKED_AT = 200
"""Jobs of a queue whose labels and memory the coordinator reads."""
HOST_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """A machine with one host, or several."""

    cpus: float
    others: Callable[[float], float] = lambda at: 0.0
    hosts: tuple[HostSettings, ...] = ()


@dataclass(slots=True)
class Learned:
    """Usage of a function, as the farm keeps it."""

    queue: str
    function: str
    jobs: float = 0.0
    cpus: float = 0.0
    memory: int = 0
    wall_seconds: float = 0.0

    def add(self, job: Job, seconds: float) -> None:
        """A job of it ended."""
        weight = self.jobs * DECAY
        self.jobs = weight + 1
        self.wall_seconds = (self.wall_seconds * weight + seconds) / self.jobs
        self.cpus = (self.cpus * weight + job.cpu_seconds / max(seconds, STEP_SECONDS)) / self.jobs
        self.memory = round((self.memory * weight + job.memory) / self.jobs)


@dataclass(slots=True)
class Trace:
    """What was seen at the end of each second."""

    at: list[float] = field(default_factory=list)
    demand: dict[str, list[float]] = field(default_factory=dict)
    """Machine → CPUs wanted, as a share of those it has."""
    busy: dict[str, list[float]] = field(default_factory=dict)
    """Machine → CPU seconds used so far."""
    held: dict[str, list[int]] = field(default_factory=dict)
    """Host → jobs."""
    waiting: list[int] = field(default_factory=list)


class Farm:
    """Machines, hosts, queues and a policy."""

    def __init__(self, machines: Sequence[MachineSettings], policy: Policy, jobs: Iterable[Job]) -> None:
        self.now = 0.0
        self.policy = policy
        self.jobs = sorted(jobs, key=lambda job: (job.arrives_at, job.number))
        self.ledger = Ledger(self.jobs)
        self.trace = Trace()
        self.machines: dict[str, Machine] = {}
        self.hosts: dict[str, SimulatedHost] = {}
        for number, each in enumerate(machines):
            name = f"machine-{number:02d}"
            machine = self.machines[name] = Machine(each.cpus, each.others)
            for place, settings in enumerate(each.hosts):
                host = f"host-{number:02d}-{place}"
                phase = (0.37 * (len(self.hosts) + 1)) % BEAT_SECONDS
                self.hosts[host] = SimulatedHost(host, machine, name, settings, phase)
                self.hosts[host].connect(self._started, self._ended)
        self._jobs = {job.number: job for job in self.jobs}
        self._queues: defaultdict[str, deque[Job]] = defaultdict(deque)
        self._next = 0
        self._learned: dict[tuple[str, str], Learned] = {}
        self._costs = Costs()
        self._learned_at = 0.0
        self._deferred: set[str] = set()
        self._blocked_since: dict[str, float] = {}
        self._placed_at: dict[str, float] = {}
        self._seconds = 0
        self._lost_at: dict[str, float] = {}
        self.ended = 0

    def learn(self, jobs: Iterable[Job]) -> None:
        """As if these jobs had run before, alone."""
        for job in jobs:
            self._note_usage(job, job.seconds)
        self._costs = Costs(self._learned.values())

    def run(self, until: float) -> None:
        """Lets time pass up to a moment."""
        while self.now < until - STEP_SECONDS / 2:
            self.step()

    def run_until_done(self, at_most: float) -> None:
        """Until every job ended. Raises TimeoutError."""
        while self.ended < len(self.jobs):
            if self.now > at_most:
                raise TimeoutError(f"{len(self.jobs) - self.ended} jobs have not ended after {at_most} s")
            self.step()

    def lose(self, name: str) -> None:
        """The host is gone from now on, and what ran there; its jobs are given back after HOST_TIMEOUT."""
        host = self.hosts[name]
        host.is_lost = True
        self._lost_at[name] = self.now

    def step(self) -> None:
        """A fiftieth of a second."""
        while self._next < len(self.jobs) and self.jobs[self._next].arrives_at <= self.now:
            job = self.jobs[self._next]
            self._queues[job.queue].append(job)
            self._next += 1
        for host in self.hosts.values():
            host.step(self.now)
        self._recover()
        self._place()
        if self.now >= self._seconds:
            self._each_second()
            self._seconds += 1
        for name, machine in self.machines.items():
            users = [host.usage for host in self.hosts.values() if self.machines[name] is host.machine]
            machine.run(self.now, STEP_SECONDS, users)
        self.now = round(self.now + STEP_SECONDS, 6)

    def _views(self) -> list[HostView]:
        return [host.view() for name, host in self.hosts.items() if name not in self._lost_at or host.is_lost]

    def _place(self) -> None:
        if not any(self._queues.values()):
            return
        views = self._views()
        self.policy.look(views, self.now)
        self.ledger.look([view for view in views if takes_jobs(view, self.now, SUSPECT_AFTER)], self._queues, self.now)
        hosts = [view for view in views if takes_jobs(view, self.now, SUSPECT_AFTER)]
        if not hosts:
            return
        choice = self.policy.choose(hosts, self._waiting(), self._costs)
        by_id = {str(job.number).encode(): job for queue in choice.one_by_one for job in self._queues[queue]}
        for job_id, index in choice.assigned:
            self._queues[by_id[job_id].queue].remove(by_id[job_id])
            self._give(by_id[job_id], hosts[index])
        for index in choice.order[:MAX_PLAN]:
            lists = [queue for queue in hosts[index].queues if queue not in choice.one_by_one]
            queue = next((queue for queue in lists if self._queues[queue]), None)
            if queue is not None:
                self._give(self._queues[queue].popleft(), hosts[index])
        for name in {host.name for host in hosts}:
            self.hosts[name].start_jobs(self.now)

    def _waiting(self) -> Mapping[str, WaitingQueue]:
        waiting = {}
        for queue, jobs in self._queues.items():
            seen = [jobs[place] for place in range(min(len(jobs), LOOKED_AT))] if _is_particular(jobs) else []
            waiting[queue] = WaitingQueue(len(jobs), tuple(_waiting_job(job) for job in seen))
        return waiting

    def _give(self, job: Job, seen: HostView) -> None:
        host = self.hosts[seen.name]
        self.ledger.placed(job.number, host.view(), self.now)
        self._placed_at[job.queue] = self.now
        host.inbox.append(job)

    def _started(self, job: Job, at: float) -> None:
        entry = self.ledger.entries[job.number]
        entry.started_at = at

    def _ended(self, job: Job, began_at: float, at: float) -> None:
        entry = self.ledger.entries[job.number]
        if entry.started_at != began_at:
            return  # its host was given up meanwhile
        entry.ended_at = at + STEP_SECONDS
        self.ended += 1
        self._note_usage(job, at + STEP_SECONDS - began_at)

    def _note_usage(self, job: Job, seconds: float) -> None:
        key = job.queue, job.function
        self._learned.setdefault(key, Learned(*key)).add(job, seconds)

    def _recover(self) -> None:
        for name, lost_at in self._lost_at.items():
            host = self.hosts[name]
            if not host.is_lost or self.now - lost_at < HOST_TIMEOUT_SECONDS:
                continue
            host.is_lost = False
            theirs = [entry for entry in self.ledger.entries.values() if entry.host == name and entry.ended_at is None]
            for entry in sorted(theirs, key=lambda entry: -entry.job.number):
                self._queues[entry.job.queue].appendleft(entry.job)
                self.ledger.given_back(entry.job.number)
                entry.host = ""
            host.inbox.clear()

    def _each_second(self) -> None:
        self._defer()
        if self.now - self._learned_at >= LEARN_SECONDS:
            self._costs, self._learned_at = Costs(self._learned.values()), self.now
        trace = self.trace
        trace.at.append(self.now)
        trace.waiting.append(sum(len(jobs) for jobs in self._queues.values()))
        for name, machine in self.machines.items():
            trace.demand.setdefault(name, []).append(machine.demand(self.now))
            trace.busy.setdefault(name, []).append(machine.busy_seconds)
        for name, host in self.hosts.items():
            trace.held.setdefault(name, []).append(host.held)

    def _defer(self) -> None:
        """As the deferrer does, by its rules."""
        live = [view for view in self._views() if self.now - view.beat_at < SUSPECT_AFTER]
        for queue, jobs in self._queues.items():
            theirs = [view for view in live if queue in view.queues]
            reason = why_nothing_can_be_placed(len(jobs), theirs, served_elsewhere=False)
            if reason is None:
                self._blocked_since.pop(queue, None)
                self._deferred.discard(queue)
                self.ledger.allowed(queue, self.now)
                continue
            blocked_for = self.now - self._blocked_since.setdefault(queue, self.now)
            placed_ago = self.now - self._placed_at.get(queue, float("-inf"))
            if is_deferred(queue in self._deferred, blocked_for, placed_ago):
                self._deferred.add(queue)
                self.ledger.deferred(queue, [job.number for job in jobs], reason, self.now)


def _is_particular(jobs: Iterable[Job]) -> bool:
    return any(job.requires or job.memory_mb for job in jobs)


def _waiting_job(job: Job) -> WaitingJob:
    return WaitingJob(str(job.number).encode(), job.queue, job.function, job.requires, job.memory_mb)
