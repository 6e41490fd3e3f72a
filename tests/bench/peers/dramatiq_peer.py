"""Dramatiq: processes of threads."""

from collections.abc import Sequence
from typing import Any

import dramatiq
from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend
from jobs import JOBS

SETTINGS = {
    "default": f"{PROCESSES} processes of 1 thread; acknowledged after the run; results stored",
    "fast": f"{PROCESSES} processes of 8 threads (its default); acknowledged after the run; no results",
    "many": f"{PROCESSES} processes of {MANY // PROCESSES} threads; acknowledged after the run; results stored",
}
THREADS = {"default": 1, "fast": 8, "many": MANY // PROCESSES}
PAYLOAD_IS_BYTES = False

broker = RedisBroker(url=REDIS_URL)
if MODE != "fast":
    broker.add_middleware(Results(backend=RedisBackend(url=REDIS_URL), store_results=True))
dramatiq.set_broker(broker)
tasks = {name: dramatiq.actor(actor_name=name)(function) for name, function in JOBS.items()}


def commands(mode: str) -> list[list[str]]:
    """One program that forks its processes."""
    sizes = ["--processes", str(PROCESSES), "--threads", str(THREADS[mode])]
    return [[str(PROGRAMS / "dramatiq"), "dramatiq_peer", *sizes, "--skip-logging"]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    return tasks[job].send(*arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A group: Dramatiq has nothing that sends many in one round trip."""
    dramatiq.group(tasks[job].message(*row) for row in rows).run()


async def result(handle: Any) -> Any:
    """Its own wait: a blocking read."""
    return handle.get_result(block=True, timeout=60_000)
