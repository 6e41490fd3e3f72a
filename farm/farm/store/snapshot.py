"""What the farm looks like at one moment. `inspect` fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from farm.aside import AsideGroup

Standing = Literal["live", "suspect", "lost"]


@dataclass(frozen=True, slots=True)
class HostView:
    """One host: what it published, and how long ago."""

    name: str
    standing: Standing
    """live: its beat is younger than SUSPECT_AFTER; lost: older than HOST_TIMEOUT."""
    beat_age: float
    """Seconds by Redis's clock."""
    fields: Mapping[str, str]
    """All of its hash, as published; empty when that is gone."""
    queues: tuple[str, ...]
    inbox: int
    running: int

    @property
    def state(self) -> str:
        """What the host said last, `unknown` if nothing."""
        return self.fields.get("state", "unknown")

    @property
    def reason(self) -> str:
        """Why it is in that state: what it published, or that it is silent."""
        if self.standing != "live":
            return f"no beat for {self.beat_age:.0f} s"
        return self.fields.get("reason", "")

    def number(self, name: str) -> float | None:
        """A published number; None if it is not there or none."""
        try:
            return float(self.fields[name])
        except (KeyError, ValueError):
            return None


def host_view(
    name: str,
    beat_age: float,
    published: Mapping[bytes, bytes],
    held: tuple[int, int],
    ages: tuple[float, float],
) -> HostView:
    """A host from its hash. `held`: lengths of inbox and running; `ages`: SUSPECT_AFTER and HOST_TIMEOUT."""
    fields = {_text(field): _text(value) for field, value in published.items()}
    suspect_after, host_timeout = ages
    return HostView(
        name=name,
        standing="live" if beat_age < suspect_after else "suspect" if beat_age <= host_timeout else "lost",
        beat_age=beat_age,
        fields=fields,
        queues=tuple(queue for queue in fields.get("queues", "").split(",") if queue),
        inbox=held[0],
        running=held[1],
    )


@dataclass(frozen=True, slots=True)
class Deferral:
    """That a queue is deferred: since when (unix seconds, None if unreadable), why, and the hosts' loads then."""

    since: float | None
    reason: str
    hosts: str


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue. A number is None where the key has another type than it should: `unreadable` names the key."""

    name: str
    queued: int | None
    deferred: int
    """How many of the queued ones are deferred."""
    deferral: Deferral | None
    dependent: int | None
    """Jobs that wait for other jobs; RQ calls them deferred."""
    scheduled: int | None
    running: int
    finished: int | None
    failed: int | None
    counts: Mapping[str, int]
    """How many jobs ended how, since the farm exists."""
    hosts: tuple[str, ...]
    """Live hosts that serve it."""
    other_workers: int
    """Registered workers of RQ that are no hosts."""
    aside: tuple[AsideGroup, ...] = ()
    """Jobs that fit no host now, and let those behind them pass."""
    unreadable: tuple[str, ...] = ()

    @property
    def waiting(self) -> int:
        """Jobs that could start if a host had room for them, wherever they wait for that."""
        return self.queued or 0


@dataclass(frozen=True, slots=True)
class Leader:
    """The coordinator that leads."""

    name: str
    epoch: int


@dataclass(frozen=True, slots=True)
class FarmSnapshot:
    """The farm at one moment."""

    at: float
    """Unix seconds by Redis's clock."""
    leader: Leader | None
    suspended: bool
    """`rq suspend` is in effect."""
    hosts: tuple[HostView, ...]
    queues: tuple[QueueView, ...]
    quarantined: int
    recovering: int
    """Lost hosts whose jobs were not all given back yet."""
    truncated: bool
    """There is more than was read: hosts, queues or running jobs."""

    @property
    def live_hosts(self) -> tuple[HostView, ...]:
        """Hosts whose beat is fresh."""
        return tuple(host for host in self.hosts if host.standing == "live")

    @property
    def unserved(self) -> tuple[QueueView, ...]:
        """Queues with waiting jobs that no live host serves."""
        return tuple(queue for queue in self.queues if queue.queued and not queue.hosts)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
