"""What Redis holds of the jobs when a run is over, read raw."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import redis

from farm.keys import Keys, RqKeys
from tests.chaos.stage import QUEUES

KEYS, RQ_KEYS = Keys(), RqKeys()
TYPE_SUCCESSFUL, TYPE_FAILED = b"1", b"2"
REGISTRY_OF = {"deferred": "dependent"}


@dataclass(frozen=True, slots=True)
class Record:
    """One job: its status, the results in its stream, and where its id stands."""

    status: str
    successes: int
    failures: int
    places: tuple[str, ...]

    @property
    def outcomes(self) -> int:
        """Ends that were recorded. Runs that are followed by a retry are not."""
        return self.successes + self.failures

    @property
    def places_expected(self) -> tuple[str, ...]:
        return (REGISTRY_OF.get(self.status, self.status),)


@dataclass(frozen=True, slots=True)
class Records:
    """Everything. `hosts_lost`: host and time by the monotonic clock."""

    jobs: dict[str, Record]
    counted: Counter[str]
    hosts_lost: list[tuple[str, float]]
    left_over: list[str]
    """What should be empty and is not, as sentences."""


def statuses(client: redis.Redis, ids: Iterable[str]) -> Counter[str]:
    """How many jobs have which status; `` stands for no record."""
    with client.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(RQ_KEYS.job(job_id), "status")
        return Counter((status or b"").decode() for status in pipeline.execute())


def read(client: redis.Redis, ids: Iterable[str]) -> Records:
    """While hosts still run, and nothing happens any more."""
    places = _places(client)
    counted: Counter[str] = Counter()
    for queue in QUEUES:
        counted.update({key.decode(): int(value) for key, value in client.hgetall(KEYS.counts(queue)).items()})
    jobs = {job_id: record for job_id in ids if (record := _record(client, job_id, places.get(job_id, [])))}
    return Records(jobs, counted, list(_hosts_lost(client)), list(_left_over(client)))


def _record(client: redis.Redis, job_id: str, places: list[str]) -> Record | None:
    status = client.hget(RQ_KEYS.job(job_id), "status")
    if status is None:
        return None
    types = Counter(entry[b"type"] for _, entry in client.xrange(RQ_KEYS.results(job_id)))
    return Record(status.decode(), types[TYPE_SUCCESSFUL], types[TYPE_FAILED], tuple(sorted(places)))


def _places(client: redis.Redis) -> dict[str, list[str]]:
    """Where each id stands, once for each time it stands there."""
    found: dict[str, list[str]] = {}
    for queue in QUEUES:
        registries = {
            "queued": client.lrange(RQ_KEYS.queue(queue), 0, -1),
            "finished": client.zrange(RQ_KEYS.finished(queue), 0, -1),
            "failed": client.zrange(RQ_KEYS.failed(queue), 0, -1),
            "canceled": client.zrange(RQ_KEYS.canceled(queue), 0, -1),
            "dependent": client.zrange(RQ_KEYS.dependent(queue), 0, -1),
            "scheduled": client.zrange(RQ_KEYS.scheduled(queue), 0, -1),
            "executing": [entry.partition(b":")[0] for entry in client.zrange(RQ_KEYS.started(queue), 0, -1)],
            "intermediate": client.lrange(RQ_KEYS.intermediate(queue), 0, -1),
        }
        for name, ids in registries.items():
            for job_id in ids:
                found.setdefault(job_id.decode(), []).append(name)
    for pattern, name in ((KEYS.inbox("*", "*"), "inbox"), (KEYS.running("*", "*"), "running")):
        for key in client.scan_iter(pattern, count=1000):
            for job_id in client.lrange(key, 0, -1) if name == "inbox" else client.hkeys(key):
                found.setdefault(job_id.decode(), []).append(name)
    return found


def _hosts_lost(client: redis.Redis) -> Iterator[tuple[str, float]]:
    offset = time.monotonic() - time.time()
    for _, entry in client.xrange(KEYS.events):
        if entry[b"event"] == b"host.lost":
            at = datetime.fromisoformat(entry[b"at"].decode()).timestamp()
            yield entry[b"host"].decode(), at + offset


def _left_over(client: redis.Redis) -> Iterator[str]:
    for key in (KEYS.lost, KEYS.quarantine, KEYS.dependents):
        if members := client.zrange(key, 0, 9):
            yield f"{key} is not empty: {members}"
    for pattern in ("rq:executions:*", "rq:execution:*"):
        if keys := [*client.scan_iter(pattern, count=1000)]:
            yield f"records of executions without an execution: {keys[:10]}"
