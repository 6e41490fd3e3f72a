"""What a coordinator meets in Redis, planted as hosts and services leave it, and calls of its asynchronous stores."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis
import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.leadership import LeaderScripts

KEYS = Keys()
RQ_KEYS = RqKeys()
LEADER = "1:token:planted"

T = TypeVar("T")


def call(url: str, work: Callable[[redis.asyncio.Redis], Awaitable[T]]) -> T:
    """Runs `work` with an asynchronous client."""

    async def run() -> T:
        client = connect_async(url)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


def lead(client: redis.Redis, value: str = LEADER) -> None:
    """Makes the coordinator with this value the leader for a minute."""
    client.set(KEYS.coordinator, value, ex=60)


def leader(client: redis.asyncio.Redis, value: str = LEADER) -> LeaderScripts:
    """The scripts of the planted leader."""
    return LeaderScripts(client, KEYS, value)


def now(client: redis.Redis) -> float:
    """Redis's clock."""
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6


def plant_host(client: redis.Redis, name: str, queues: str = "default", age: float = 0.0, **fields: Any) -> str:
    """A registered host whose last beat is `age` seconds old. Returns its identity."""
    identity = f"1-{name}"
    record = {
        "state": "available",
        "load": 0.0,
        "threshold": 0.75,
        "slots": 4,
        "busy": 0,
        "assigned": 0,
        "capacity": 4,
        "prefetch": 0,
        "queues": queues,
        "boot_id": name,
        "identity": identity,
    }
    client.hset(KEYS.identities, name, identity)
    client.zadd(KEYS.hosts, {name: now(client) - age})
    client.zadd(KEYS.load, {name: fields.get("load", 0.0)})
    client.hset(KEYS.host(name), mapping=record | fields)
    client.expire(KEYS.host(name), 60)
    worker = RQ_KEYS.worker(name)
    client.hset(worker, "queues", queues)
    client.expire(worker, 90)
    client.sadd(RQ_KEYS.workers, worker)
    for queue in queues.split(","):
        client.sadd(RQ_KEYS.queue_workers(queue), worker)
    return identity


def plant_jobs(client: redis.Redis, queue: str, *ids: str, **fields: Any) -> None:
    """Queued jobs, in this order."""
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue(queue))
    for job_id in ids:
        plant_record(client, queue, job_id, **fields)
        client.rpush(RQ_KEYS.queue(queue), job_id)


def plant_record(client: redis.Redis, queue: str, job_id: str, **fields: Any) -> None:
    """A job's hash alone."""
    record = {"status": "queued", "origin": queue, "data": b"x", "enqueued_at": "2026-01-02T03:04:05.000000Z"}
    client.hset(RQ_KEYS.job(job_id), mapping=record | fields)


def plant_lease(
    client: redis.Redis, host: str, identity: str, job_id: str, sequence: int, on_lost: str = "rerun"
) -> str:
    """A running job of the queue `default` with its execution record. Returns the token."""
    token = f"{sequence:032x}"
    started = {"status": "started", "worker_name": host, "started_at": "2026-01-02T03:04:06.000000Z"}
    client.hset(RQ_KEYS.job(job_id), mapping=started)
    client.hset(KEYS.running(host, identity), job_id, f"{token}|default|1|1700000000|{on_lost}|{sequence}")
    client.zadd(RQ_KEYS.started("default"), {f"{job_id}:{token}": now(client) + 90})
    client.zadd(f"rq:executions:{job_id}", {token: now(client) + 150})
    client.hset(f"rq:execution:{job_id}:{token}", "id", token)
    return token


def queue_ids(client: redis.Redis, queue: str = "default") -> list[str]:
    """The ids of a queue, head first."""
    return [job_id.decode() for job_id in client.lrange(RQ_KEYS.queue(queue), 0, -1)]


def inbox_ids(client: redis.Redis, host: str) -> list[str]:
    """The ids in a planted host's inbox, head first."""
    return [job_id.decode() for job_id in client.lrange(KEYS.inbox(host, f"1-{host}"), 0, -1)]


def event_names(client: redis.Redis) -> list[str]:
    """Names of all events so far."""
    return [entry[b"event"].decode() for _, entry in client.xrange(KEYS.events)]


def status(client: redis.Redis, job_id: str) -> str:
    """The job's status, empty if it has none."""
    return (client.hget(RQ_KEYS.job(job_id), "status") or b"").decode()
