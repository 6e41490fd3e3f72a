"""Reads the farm for people and dashboards. Changes nothing, never unpickles, reads a bounded number of entries.

Four round trips, and one more for each further thousand running jobs of a host. The answers of one snapshot are not
taken in one step, so a job on its way may be counted twice or not at all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from farm.aside import AsideGroup, from_field
from farm.keys import Keys, RqKeys
from farm.records import Lease
from farm.store.snapshot import Deferral, FarmSnapshot, HostView, Leader, QueueView, host_view

MAX_HOSTS = 1000
MAX_QUEUES = 1000
MAX_LEASES = 10_000
MAX_EXECUTIONS = 1000
"""Of RQ's own records of running jobs, per queue."""


@dataclass(frozen=True, slots=True)
class _Overview:
    at: float
    beats: Sequence[tuple[bytes, float]]
    queue_keys: Iterable[bytes]
    leader: Leader | None
    suspended: bool
    quarantined: int
    recovering: int
    aside: Mapping[bytes, bytes]
    truncated: bool


def snapshot(
    client: redis.Redis, keys: Keys, rq_keys: RqKeys, suspect_after: float = 3.0, host_timeout: float = 10.0
) -> FarmSnapshot:
    """Reads the farm. Keys of a wrong type are shown as unreadable; raises redis-py's errors of the connection."""
    overview = _read_overview(client, keys, rq_keys)
    hosts, leases, more = _read_hosts(client, keys, overview, (suspect_after, host_timeout))
    names = _queue_names(overview.queue_keys, rq_keys, hosts)
    return FarmSnapshot(
        at=overview.at,
        leader=overview.leader,
        suspended=overview.suspended,
        hosts=hosts,
        queues=_read_queues(client, keys, rq_keys, names[:MAX_QUEUES], (hosts, leases, overview.aside)),
        quarantined=overview.quarantined,
        recovering=overview.recovering,
        truncated=overview.truncated or more or len(names) > MAX_QUEUES,
    )


def _read_overview(client: redis.Redis, keys: Keys, rq_keys: RqKeys) -> _Overview:
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.zrange(keys.hosts, 0, MAX_HOSTS - 1, withscores=True)
        pipeline.zcard(keys.hosts)
        pipeline.sscan(rq_keys.queues, count=MAX_QUEUES)
        pipeline.get(keys.coordinator)
        pipeline.exists(rq_keys.suspended)
        pipeline.zcard(keys.quarantine)
        pipeline.zcard(keys.lost)
        pipeline.hgetall(keys.aside)
        time, beats, host_count, queues, leader, suspended, quarantined, recovering, aside = _execute(pipeline)
    cursor, queue_keys = queues if queues is not None else (0, [])
    return _Overview(
        at=time[0] + time[1] / 1e6,
        beats=beats or [],
        queue_keys=queue_keys,
        leader=_leader(leader),
        suspended=bool(suspended),
        quarantined=quarantined or 0,
        recovering=recovering or 0,
        aside=aside or {},
        truncated=(host_count or 0) > MAX_HOSTS or int(cursor) != 0,
    )


def _leader(value: bytes | None) -> Leader | None:
    epoch, _, rest = _text(value or b"").partition(":")
    return Leader(rest.partition(":")[2], int(epoch)) if epoch.isdigit() else None


def _read_hosts(
    client: redis.Redis, keys: Keys, overview: _Overview, ages: tuple[float, float]
) -> tuple[tuple[HostView, ...], dict[bytes, Lease], bool]:
    """The hosts, the leases of all of them by `<job>:<token>`, and whether some were left out."""
    names = [_text(name) for name, _ in overview.beats]
    if not names:
        return (), {}, False
    with client.pipeline(transaction=False) as pipeline:
        pipeline.hmget(keys.identities, names)
        for name in names:
            pipeline.hgetall(keys.host(name))
        identities, *hashes = _execute(pipeline)
    held = [(name, _text(identity)) for name, identity in zip(names, identities or [], strict=False) if identity]
    inboxes, leases, more = _read_held(client, keys, held)
    hosts = []
    for (name, (_, beat)), published in zip(zip(names, overview.beats, strict=True), hashes, strict=True):
        age = max(overview.at - beat, 0.0)
        hosts.append(host_view(name, age, published or {}, inboxes.get(name, (0, 0)), ages))
    return tuple(sorted(hosts, key=lambda host: host.name)), leases, more


def _read_held(
    client: redis.Redis, keys: Keys, held: Sequence[tuple[str, str]]
) -> tuple[dict[str, tuple[int, int]], dict[bytes, Lease], bool]:
    """Inbox and running lengths by host, and the leases."""
    with client.pipeline(transaction=False) as pipeline:
        for name, identity in held:
            pipeline.llen(keys.inbox(name, identity))
            pipeline.hlen(keys.running(name, identity))
            pipeline.hscan(keys.running(name, identity), count=1000)
        answers = _execute(pipeline)
    sizes: dict[str, tuple[int, int]] = {}
    leases: dict[bytes, Lease] = {}
    more = False
    for (name, identity), (inbox, running, page) in zip(held, _triples(answers), strict=True):
        sizes[name] = (inbox or 0, running or 0)
        cursor, entries = page if page is not None else (0, {})
        _add_leases(leases, entries)
        while cursor and len(leases) < MAX_LEASES:
            answer = client.hscan(keys.running(name, identity), cursor, count=1000)
            cursor, entries = cast("tuple[int, dict[bytes, bytes]]", answer)
            _add_leases(leases, entries)
        more = more or bool(cursor)
    return sizes, leases, more


def _add_leases(leases: dict[bytes, Lease], entries: Mapping[bytes, bytes]) -> None:
    for job_id, text in entries.items():
        try:
            lease = Lease.parse(_text(text))
        except ValueError:
            continue
        leases[job_id + b":" + lease.token.encode()] = lease


def _queue_names(queue_keys: Iterable[bytes], rq_keys: RqKeys, hosts: Sequence[HostView]) -> list[str]:
    prefix = rq_keys.queue("")
    known = {_text(key).removeprefix(prefix) for key in queue_keys if _text(key).startswith(prefix)}
    return sorted(known.union(*(host.queues for host in hosts)))


def _read_queues(
    client: redis.Redis,
    keys: Keys,
    rq_keys: RqKeys,
    names: Sequence[str],
    known: tuple[Sequence[HostView], Mapping[bytes, Lease], Mapping[bytes, bytes]],
) -> tuple[QueueView, ...]:
    hosts, leases, aside = known
    reads: tuple[Callable[[Any, str], object], ...] = (
        lambda pipeline, name: pipeline.llen(rq_keys.queue(name)),
        lambda pipeline, name: pipeline.zcard(rq_keys.dependent(name)),
        lambda pipeline, name: pipeline.zcard(rq_keys.scheduled(name)),
        lambda pipeline, name: pipeline.zcard(rq_keys.finished(name)),
        lambda pipeline, name: pipeline.zcard(rq_keys.failed(name)),
        lambda pipeline, name: pipeline.zrange(rq_keys.started(name), 0, MAX_EXECUTIONS - 1),
        lambda pipeline, name: pipeline.hgetall(keys.deferral(name)),
        lambda pipeline, name: pipeline.hgetall(keys.counts(name)),
        lambda pipeline, name: pipeline.srandmember(rq_keys.queue_workers(name), MAX_HOSTS),
    )
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            for read in reads:
                read(pipeline, name)
        answers = _execute(pipeline)
    running = Counter(lease.queue for lease in leases.values())
    own_workers = {rq_keys.worker(host.name).encode() for host in hosts}
    views = []
    for number, name in enumerate(names):
        answer = answers[number * len(reads) : (number + 1) * len(reads)]
        elsewhere = sum(execution not in leases for execution in answer[5] or ())
        serving = tuple(host.name for host in hosts if host.standing == "live" and name in host.queues)
        others = len(set(answer[8] or ()) - own_workers)
        groups = from_field(aside.get(name.encode()))
        views.append(_queue_view(name, answer, running[name] + elsewhere, (serving, others), groups, rq_keys))
    return tuple(views)


def _queue_view(
    name: str,
    answer: Sequence[Any],
    running: int,
    served: tuple[tuple[str, ...], int],
    aside: tuple[AsideGroup, ...],
    rq_keys: RqKeys,
) -> QueueView:
    queued, dependent, scheduled, finished, failed, executions, deferral, counts, _ = answer
    read = {
        rq_keys.queue(name): queued,
        rq_keys.dependent(name): dependent,
        rq_keys.scheduled(name): scheduled,
        rq_keys.finished(name): finished,
        rq_keys.failed(name): failed,
        rq_keys.started(name): executions,
    }
    mark = {_text(field): _text(value) for field, value in (deferral or {}).items()}
    return QueueView(
        name=name,
        queued=queued,
        deferred=min(max(_integer(mark.get("count", "")), sum(group.count for group in aside)), queued or 0),
        deferral=Deferral(_seconds(mark.get("since", "")), mark.get("reason", ""), mark.get("hosts", ""))
        if mark
        else None,
        dependent=dependent,
        scheduled=scheduled,
        running=running,
        finished=finished,
        failed=failed,
        counts={_text(field): _integer(_text(value)) for field, value in (counts or {}).items()},
        hosts=served[0],
        other_workers=served[1],
        aside=aside,
        unreadable=tuple(key for key, value in read.items() if value is None),
    )


def _execute(pipeline: Any) -> list[Any]:
    """The answers; None for a key of another type."""
    answers = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


def _triples(answers: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    return list(zip(answers[::3], answers[1::3], answers[2::3], strict=True))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _integer(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
