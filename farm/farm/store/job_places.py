"""Where the ids of jobs are found: leases, inboxes, queues, registries, quarantine. Reads them in pages, lazily."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import redis

from farm.keys import Keys, RqKeys
from farm.records import Lease
from farm.store.raw_fields import id_from, id_to, text
from farm.store.snapshot import FarmSnapshot

PAGE_SIZE = 100
MOST_IN_ONE_PLACE = 10_000
"""So deep is one place looked into."""

Place = Literal[
    "running",
    "line",
    "ready",
    "rate_limited",
    "scheduled",
    "dependent",
    "quarantined",
    "failed",
    "canceled",
    "finished",
]
"""`line`: a queue or an inbox; `failed`: RQ's registry of failed jobs, which has the stopped ones, too."""

_PLACE_OF = {"queued": "line", "deferred": "line", "stopped": "failed"}
"""Where jobs of a status are found, if not under its name."""


@dataclass(frozen=True, slots=True)
class Found:
    """An id where it was found, and what is known from there."""

    id: str
    place: Place
    queue: str = ""
    """Empty when only the job's record tells."""
    host: str | None = None
    """Who holds it."""
    attempt: int | None = None
    since: float | None = None
    """Unix seconds."""
    score: float | None = None
    reason: str | None = None


class Places:
    """All places of one farm. Keys of a wrong type are passed over; raises redis-py's errors of the connection."""

    def __init__(self, client: redis.Redis, keys: Keys, rq_keys: RqKeys, farm: FarmSnapshot) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys
        self._farm = farm

    def find(self, statuses: Collection[str], queues: Collection[str], host: str | None) -> Iterator[Found]:
        """Ids of jobs that may have these statuses, be of these queues, be with this host: the record tells."""
        names = sorted(queues) if queues else [queue.name for queue in self._farm.queues]
        found_in: dict[str, Callable[[], Iterable[Found]]] = {
            "running": lambda: self._running(names, host),
            "line": lambda: self._line(names, host),
            "ready": lambda: self._registry("ready", names, self._rq_keys.ready),
            "rate_limited": self._rate_limited,
            "scheduled": lambda: self._registry("scheduled", names, self._rq_keys.scheduled),
            "dependent": lambda: self._registry("dependent", names, self._rq_keys.dependent),
            "quarantined": self._quarantined,
            "failed": lambda: self._registry("failed", names, self._rq_keys.failed, latest_first=True),
            "canceled": lambda: self._registry("canceled", names, self._rq_keys.canceled, latest_first=True),
            "finished": lambda: self._registry("finished", names, self._rq_keys.finished, latest_first=True),
        }
        wanted = {_PLACE_OF.get(status, status) for status in statuses}
        if host is not None:
            wanted &= {"running", "line", "failed", "finished"}  # only there somebody has them, or had
        for place, find in found_in.items():
            if place in wanted:
                yield from find()

    def _running(self, names: Collection[str], host: str | None) -> Iterator[Found]:
        for name, identity, lost in self._holders(host):
            found = [self._leased(name, lost, *entry) for entry in self._hash(self._keys.running(name, identity))]
            yield from sorted(found, key=lambda job: job.since or 0.0)
        for queue in names:  # of workers that are no hosts; those of hosts were told of above
            for member, _ in self._zset(self._rq_keys.started(queue)):
                yield Found(member.rpartition(":")[0] or member, "running", queue)

    def _leased(self, host: str, lost: bool, job_id: bytes, lease: bytes) -> Found:
        reason = "its host was lost: it is about to be given back" if lost else None
        try:
            held = Lease.parse(text(lease))
        except ValueError:
            return Found(id_from(job_id), "running", host=host, reason=reason)
        return Found(id_from(job_id), "running", held.queue, host, held.attempt, held.since, reason=reason)

    def _line(self, names: Collection[str], host: str | None) -> Iterator[Found]:
        for name, identity, lost in self._holders(host):
            reason = f"host {name} was lost: it is about to be given back" if lost else None
            for job_id in self._list(self._keys.inbox(name, identity)):
                yield Found(job_id, "line", host=name, reason=reason)
        if host is None:
            for queue in names:
                for job_id in self._list(self._rq_keys.queue(queue)):
                    yield Found(job_id, "line", queue)

    def _rate_limited(self) -> Iterator[Found]:
        members = self._answer("SSCAN", self._rq_keys.rate_limit_keys, 0, "COUNT", PAGE_SIZE)
        for key in sorted(map(text, members[1])) if members else ():
            for job_id, score in self._zset(self._rq_keys.rate_limited(key)):
                yield Found(job_id, "rate_limited", since=score)

    def _registry(
        self, place: Place, names: Collection[str], key: Callable[[str], str], *, latest_first: bool = False
    ) -> Iterator[Found]:
        for queue in names:
            for job_id, score in self._zset(key(queue), latest_first=latest_first):
                yield Found(job_id, place, queue, score=score)

    def _quarantined(self) -> Iterator[Found]:
        entries = list(self._zset(self._keys.quarantine, latest_first=True))
        for start in range(0, len(entries), PAGE_SIZE):
            page = entries[start : start + PAGE_SIZE]
            reasons = self._answer("HMGET", self._keys.quarantine_reasons, *(id_to(job_id) for job_id, _ in page))
            for (job_id, at), reason in zip(page, reasons or [None] * len(page), strict=True):
                yield Found(job_id, "quarantined", since=at, reason=text(reason) or None)

    def _holders(self, host: str | None) -> list[tuple[str, str, bool]]:
        """Hosts with their identities, and those that were lost and not emptied yet."""
        names = [view.name for view in self._farm.hosts if host in (None, view.name)]
        identities = self._answer("HMGET", self._keys.identities, *names) if names else []
        held = [(name, text(one), False) for name, one in zip(names, identities or [], strict=False) if one]
        for member in self._answer("ZRANGE", self._keys.lost, 0, PAGE_SIZE - 1) or ():
            name, _, identity = text(member).rpartition(":")
            if host in (None, name):
                held.append((name, identity, True))
        return held

    def _list(self, key: str) -> Iterator[str]:
        for start in range(0, MOST_IN_ONE_PLACE, PAGE_SIZE):
            page = self._answer("LRANGE", key, start, start + PAGE_SIZE - 1) or ()
            yield from map(id_from, page)
            if len(page) < PAGE_SIZE:
                return

    def _zset(self, key: str, *, latest_first: bool = False) -> Iterator[tuple[str, float]]:
        command = "ZREVRANGE" if latest_first else "ZRANGE"
        for start in range(0, MOST_IN_ONE_PLACE, PAGE_SIZE):
            page = self._answer(command, key, start, start + PAGE_SIZE - 1, "WITHSCORES", withscores=True) or ()
            yield from ((id_from(member), float(score)) for member, score in page)
            if len(page) < PAGE_SIZE:
                return

    def _hash(self, key: str) -> Iterator[tuple[bytes, bytes]]:
        cursor, read = 0, 0
        while read < MOST_IN_ONE_PLACE:
            answer = self._answer("HSCAN", key, cursor, "COUNT", PAGE_SIZE)
            if not answer:
                return
            cursor, entries = int(answer[0]), answer[1]
            read += len(entries)
            yield from entries.items()
            if cursor == 0:
                return

    def _answer(self, *command: Any, **options: Any) -> Any:
        """What Redis answers; None for a key of a wrong type. `options` say how redis-py is to read the answer."""
        try:
            return self._client.execute_command(*command, **options)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return None
            raise
