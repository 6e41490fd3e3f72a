"""The scale signal: what a farm has to do, what its hosts carry, and how many hosts that asks for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm.keys import Keys, RqKeys
from farm.scale import HostWork, QueueWork, ScaleFacts, ScaleWishes, desired_hosts, jobs_per_host, slots_needed
from farm.store.function_usage import FunctionUsage, read_usage
from farm.store.inspect import snapshot
from farm.store.queue_heads import QueueHead, read_heads
from farm.store.snapshot import FarmSnapshot, HostView, QueueView

if TYPE_CHECKING:
    import redis

STAYING = frozenset({"starting", "available", "full", "unhealthy"})
"""States of hosts that are there for the jobs to come. Others drain."""


@dataclass(frozen=True, slots=True)
class ScaleSignal:
    """The numbers of a farm, or of the part of it that serves some queues, at one moment."""

    at: float
    """Unix seconds by Redis's clock."""
    queues: tuple[str, ...]
    queued: int
    """Jobs that wait for a host: in their queues, set aside, or scheduled for a time that is past."""
    placed: int
    """Jobs that hosts were given and have not begun."""
    running: int
    deferred: int
    """How many of those that wait do so because no host takes them now."""
    deferred_reason: str
    """Empty: nothing is deferred."""
    oldest_wait: float
    """Seconds for which the oldest job waits; 0 if none does."""
    hosts: int
    """Those that serve the queues, are not lost, and do not drain."""
    draining: int
    capacity: int
    """Slots of the hosts that can run jobs."""
    free: int
    """How many more jobs they take now."""
    jobs_per_host: float | None
    slots_needed: float
    desired_hosts: int
    why: str
    unserved: tuple[str, ...]
    """Queues with jobs that are not counted, as none of the hosts serves them."""
    is_complete: bool
    """Everything there is was read."""


def read_signal(
    client: "redis.Redis",
    names: tuple[Keys, RqKeys],
    wishes: ScaleWishes,
    queues: Sequence[str] = (),
    ages: tuple[float, float] = (3.0, 10.0),
) -> ScaleSignal:
    """Reads the farm: in nine round trips, whatever waits. Without `queues`: those that its hosts serve.

    `ages`: SUSPECT_AFTER and HOST_TIMEOUT. Raises redis-py's errors of the connection.
    """
    keys, rq_keys = names
    farm = snapshot(client, keys, rq_keys, *ages)
    chosen = tuple(dict.fromkeys(queues)) or _served(farm)
    heads = read_heads(client, rq_keys, chosen, farm.at)
    return signal_of(farm, chosen, heads, read_usage(client, keys, chosen), wishes)


def signal_of(
    farm: FarmSnapshot,
    queues: tuple[str, ...],
    heads: Mapping[str, QueueHead],
    usage: Sequence[FunctionUsage],
    wishes: ScaleWishes,
) -> ScaleSignal:
    """What these readings say."""
    views = [queue for queue in farm.queues if queue.name in queues]
    serving = [host for host in farm.hosts if host.standing != "lost" and not set(host.queues).isdisjoint(queues)]
    staying = [host for host in serving if host.state in STAYING]
    facts = ScaleFacts(
        queues=_queue_works(views, queues, heads, usage),
        hosts=tuple(_host_work(host) for host in staying),
        placed=sum(host.inbox for host in serving),
        suspended=farm.suspended,
    )
    wanted, why = desired_hosts(facts, wishes)
    since = [head.waiting_since for head in heads.values() if head.waiting_since is not None]
    return ScaleSignal(
        at=farm.at,
        queues=queues,
        queued=sum(queue.waiting for queue in facts.queues),
        placed=facts.placed,
        running=sum(queue.running for queue in facts.queues),
        deferred=sum(queue.deferred for queue in views),
        deferred_reason="; ".join(sorted({queue.deferral.reason for queue in views if queue.deferral})),
        oldest_wait=max(0.0, farm.at - min(since)) if since else 0.0,
        hosts=len(staying),
        draining=len(serving) - len(staying),
        capacity=sum(_whole(host, "slots") for host in staying if _runs_jobs(host)),
        free=sum(max(0, _whole(host, "capacity") - host.inbox - host.running) for host in staying if _runs_jobs(host)),
        jobs_per_host=jobs_per_host(facts, wishes),
        slots_needed=slots_needed(facts, wishes),
        desired_hosts=wanted,
        why=why,
        unserved=tuple(queue.name for queue in farm.queues if queue.waiting and queue.name not in queues),
        is_complete=not farm.truncated,
    )


def _served(farm: FarmSnapshot) -> tuple[str, ...]:
    """The queues of all hosts that may take jobs; those that anybody knows while there is no such host."""
    served = {queue for host in farm.hosts if host.standing != "lost" for queue in host.queues}
    return tuple(sorted(served)) or tuple(queue.name for queue in farm.queues)


def _queue_works(
    views: Sequence[QueueView], queues: Sequence[str], heads: Mapping[str, QueueHead], usage: Sequence[FunctionUsage]
) -> tuple[QueueWork, ...]:
    durations: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in usage:
        if not each.counted:
            continue  # its only jobs still run: nobody knows how long they will have taken
        durations[each.queue].append((each.jobs, each.wall_seconds))
    known = {view.name: view for view in views}
    works = []
    for name in queues:
        view, due = known.get(name), heads[name].due if name in heads else 0
        waiting, running = (view.waiting, view.running) if view is not None else (0, 0)
        works.append(QueueWork(waiting=waiting + due, running=running, durations=tuple(durations[name])))
    return tuple(works)


def _host_work(host: HostView) -> HostWork:
    return HostWork(
        slots=_whole(host, "slots"),
        running=host.running,
        is_full=host.state == "full",
        holds=max(0, _whole(host, "capacity") - _whole(host, "prefetch")),
        is_unhealthy=host.state == "unhealthy",
    )


def _runs_jobs(host: HostView) -> bool:
    return host.standing == "live" and host.state in {"available", "full"}


def _whole(host: HostView, field: str) -> int:
    return int(host.number(field) or 0)
