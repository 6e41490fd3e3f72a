"""A farm in Redis without any process behind it: keys as hosts, coordinator and RQ would leave them."""

import redis

from farm.keys import Keys, RqKeys

KEYS, RQ_KEYS = Keys(), RqKeys()
IDENTITY = "1-abcdef01"
PUBLISHED: dict[str, str | int | float] = {
    "state": "available",
    "reason": "",
    "load": 0.31,
    "threshold": 0.75,
    "cpu": 0.3,
    "cpu_count": 4,
    "memory": 5 << 30,
    "memory_total": 16 << 30,
    "slots": 8,
    "busy": 2,
    "idle": 6,
    "prefetch": 0,
    "capacity": 8,
    "assigned": 2,
    "queues": "default,high",
    "labels": "",
    "identity": IDENTITY,
    "pid": 12,
}


def now(client: redis.Redis) -> float:
    """Redis's clock."""
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def plant_host(client: redis.Redis, name: str, age: float = 0.0, **published: str | int | float) -> None:
    """A host that beat `age` seconds ago."""
    client.hset(KEYS.identities, name, IDENTITY)
    client.zadd(KEYS.hosts, {name: now(client) - age})
    client.hset(KEYS.host(name), mapping=PUBLISHED | published)
    client.expire(KEYS.host(name), 60)


def plant_leader(client: redis.Redis, name: str = "worker-1", epoch: int = 7) -> None:
    """A coordinator that leads for a minute."""
    client.set(KEYS.coordinator, f"{epoch}:{'a' * 32}:{name}", px=60_000)


def plant_lease(client: redis.Redis, host: str, job: str, queue: str = "default") -> str:
    """A job that the host runs. Returns the token."""
    token = f"{abs(hash(job)):032x}"[-32:]
    client.hset(KEYS.running(host, IDENTITY), job, f"{token}|{queue}|1|{int(now(client))}|rerun|1")
    return token


def plant_queue(client: redis.Redis, name: str, jobs: int = 0) -> None:
    """A queue that RQ knows, with waiting ids."""
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue(name))
    if jobs:
        client.rpush(RQ_KEYS.queue(name), *(f"{name}-{number}" for number in range(jobs)))


def plant_deferral(client: redis.Redis, queue: str, seconds: float, count: int) -> None:
    """The queue has been deferred for `seconds`."""
    mark = {
        "since": f"{now(client) - seconds:.3f}",
        "reason": "every host is full",
        "hosts": "worker-1=0.91",
        "count": count,
    }
    client.hset(KEYS.deferral(queue), mapping=mark)
