"""The farm of the demo at one moment."""

from dataclasses import dataclass
from typing import Any, cast

from farm.demo.stage import HOSTS, QUEUE, Stage
from farm.keys import Keys, RqKeys
from farm.store.event_log import EventLog
from farm.store.inspect import snapshot
from farm.store.snapshot import HostView, QueueView

_KEYS, _RQ_KEYS = Keys(), RqKeys()
_EVENTS_READ = 1000


@dataclass(frozen=True, slots=True)
class Moment:
    """Hosts, numbers of jobs, and the ids in the index of deferred jobs."""

    total: int
    """Files, and so jobs, in the end."""
    enqueued: int
    hosts: tuple[HostView, ...]
    queued: int
    running: int
    finished: int
    failed: int
    deferred: frozenset[str]
    is_deferred: bool
    has_leader: bool

    @property
    def placed(self) -> int:
        """In inboxes of hosts."""
        return sum(host.inbox for host in self.hosts)

    def host(self, name: str) -> HostView | None:
        """A host by its name; None if it never came or was given up."""
        return next((host for host in self.hosts if host.name == name), None)

    def all_are(self, state: str) -> bool:
        """Whether both hosts live and are in this state."""
        states = [host.state for host in self.hosts if host.standing == "live"]
        return states == [state] * len(HOSTS)


def look(stage: Stage, total: int) -> Moment:
    """Reads it. Raises redis-py's errors."""
    client, lease = stage.redis_client, stage.settings.lease
    farm = snapshot(client, _KEYS, _RQ_KEYS, lease.suspect_after, lease.host_timeout)
    queue = next((queue for queue in farm.queues if queue.name == QUEUE), None)
    ids = cast("list[bytes]", client.zrange(_KEYS.deferred(QUEUE), 0, -1))
    return Moment(
        total=total,
        enqueued=len(stage.enqueued()),
        hosts=farm.hosts,
        queued=(queue.queued or 0) if queue else 0,
        running=queue.running if queue else 0,
        finished=_count(queue, "finished"),
        failed=_count(queue, "failed"),
        deferred=frozenset(job_id.decode() for job_id in ids),
        is_deferred=queue is not None and queue.deferral is not None,
        has_leader=farm.leader is not None,
    )


def given_back(stage: Stage, host: str) -> int:
    """How many jobs of a lost host were given back; 0 until that is done."""
    events: Any = EventLog(stage.redis_client, _KEYS).last(_EVENTS_READ)
    return sum(
        int(event.fields["jobs"])
        for event in events
        if event.event == "jobs.recovered" and event.fields.get("host") == host
    )


def _count(queue: QueueView | None, what: str) -> int:
    return queue.counts.get(what, 0) if queue else 0
