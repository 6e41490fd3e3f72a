"""Huey: a consumer with processes; what it takes from its list is gone, nothing is acknowledged."""

from collections.abc import Sequence
from typing import Any

from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from huey import RedisHuey
from jobs import JOBS

SETTINGS = {
    "default": f"{PROCESSES} processes; no acknowledgement; results stored",
    "fast": f"{PROCESSES} processes; no acknowledgement; no results, no health check",
    "many": f"{MANY} threads; no acknowledgement; results stored",
    "quick": f"{PROCESSES} processes; results looked for each millisecond",
}
PAYLOAD_IS_BYTES = True

huey = RedisHuey("bench", url=REDIS_URL, results=MODE != "fast")
tasks = {name: huey.task(name=name)(function) for name, function in JOBS.items()}


def commands(mode: str) -> list[list[str]]:
    """One consumer."""
    kind = ["-w", str(MANY), "-k", "thread"] if mode == "many" else ["-w", str(PROCESSES), "-k", "process"]
    fewer = ["-C"] if mode == "fast" else []
    return [[str(PROGRAMS / "huey_consumer"), "huey_peer.huey", "-q", "-n", *kind, *fewer]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    return tasks[job](*arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Huey's Redis storage has nothing that sends many in one round trip."""
    for row in rows:
        tasks[job](*row)


async def result(handle: Any) -> Any:
    """Its own wait: looks with pauses, 100 ms at first."""
    if MODE == "quick":
        return handle.get(blocking=True, timeout=60, backoff=1, max_delay=0.001)
    return handle.get(blocking=True, timeout=60)
