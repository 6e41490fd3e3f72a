"""What happened to each job, and whether there was a cause for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from farm.store.survey import HostView
from tests.simulation.machine import Job

NOTICE_SECONDS = 1.1
"""The deferrer looks once a second: a mark may stay so long after its cause has gone."""


@dataclass(slots=True)
class Entry:
    """One job."""

    job: Job
    placed_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    host: str = ""
    times_placed: int = 0
    was_deferred: bool = False

    @property
    def wait(self) -> float:
        """Seconds until it began."""
        assert self.started_at is not None
        return self.started_at - self.job.arrives_at

    @property
    def lost(self) -> float:
        """Seconds that it ended later than it would have on a machine of its own."""
        assert self.ended_at is not None
        return max(0.0, self.ended_at - self.job.arrives_at - self.job.seconds)


class Ledger:
    """Told of each placement and of each mark."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.entries = {job.number: Entry(job) for job in jobs}
        self.without_cause: list[str] = []
        """Sentences: what happened to which job, though it should not."""
        self.deferrals: list[tuple[float, float | None, str]] = []
        """From when to when, and the reason."""
        self._deferred_since: dict[str, float] = {}
        self._available_since: dict[str, float | None] = {}
        """Queue → since when a host that is available with room serves it."""

    def look(self, hosts: Sequence[HostView], queues: Iterable[str], now: float) -> None:
        """At each round, before anything is placed."""
        for queue in queues:
            is_open = any(host.state == "available" and host.room > 0 and queue in host.queues for host in hosts)
            since = self._available_since.get(queue)
            self._available_since[queue] = (now if since is None else since) if is_open else None

    def placed(self, number: int, host: HostView, now: float) -> None:
        """A job goes to a host."""
        entry = self.entries[number]
        entry.times_placed += 1
        entry.placed_at, entry.host = now, host.name
        if host.held >= host.capacity:
            self.without_cause.append(f"{now:.2f} job {number} was placed on {host.name}, which had no room")
        if entry.job.queue not in self._deferred_since or host.state == "full":
            return  # a full host that holds what it holds replaces single jobs while all others are deferred
        since = self._available_since.get(entry.job.queue)
        if since is None or now - since > NOTICE_SECONDS:
            self.without_cause.append(f"{now:.2f} job {number}, marked as deferred, was placed on {host.name}")

    def given_back(self, number: int) -> None:
        """Its host is lost."""
        entry = self.entries[number]
        entry.placed_at = entry.started_at = None

    def deferred(self, queue: str, numbers: Iterable[int], reason: str, now: float) -> None:
        """The queue is marked: all that waits in it is deferred."""
        if queue not in self._deferred_since:
            self._deferred_since[queue] = now
            self.deferrals.append((now, None, reason))
        if self._available_since.get(queue) is not None:
            self.without_cause.append(f"{now:.2f} {queue} is deferred though a host with room is available")
        for number in numbers:
            self.entries[number].was_deferred = True

    def allowed(self, queue: str, now: float) -> None:
        """The mark goes."""
        if self._deferred_since.pop(queue, None) is not None:
            began, _, reason = self.deferrals[-1]
            self.deferrals[-1] = (began, now, reason)
