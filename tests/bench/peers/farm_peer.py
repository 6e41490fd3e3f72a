"""This project: one host of two processes with the coordinator that it started."""

import os
from collections.abc import Sequence
from typing import Any

import redis
from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from rq import Queue

import farm

KIND = os.environ.get("BENCH_KIND", "client")
KINDS = {"client": "enqueued with `farm.Client`", "rq": "enqueued with plain rq"}
SETTINGS = {
    "default": f"one host of {PROCESSES} processes, {KINDS[KIND]}; leases, results stored as RQ stores them",
    "many": f"one host of {PROCESSES} processes, {MANY // PROCESSES} coroutine jobs in each (FARM_ASYNC_CONCURRENCY), "
    f"{KINDS[KIND]}; results stored",
}
PAYLOAD_IS_BYTES = True

os.environ.setdefault("FARM_REDIS_URL", REDIS_URL)
_client = farm.Client(REDIS_URL)
_queue = _client.queue("default")
_rq_queue = Queue(connection=redis.Redis.from_url(REDIS_URL))


def commands(mode: str) -> list[list[str]]:
    """One host. Redis and the client run on the same machine and are part of what is measured, hence the threshold."""
    settings = ["--name", "bench", "--threshold", "1", "--log-level", "warning"]
    settings += ["--processes", str(PROCESSES)]
    if mode == "many":
        settings += ["--async-concurrency", str(MANY // PROCESSES)]
    return [[str(PROGRAMS / "farm"), "worker", "default", *settings]]


def _path(job: str) -> str:
    """Coroutine jobs are what waits beside others here."""
    return "jobs.nap_on_the_loop" if (job, MODE) == ("nap", "many") else f"jobs.{job}"


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    if KIND == "rq":
        return _client.job(_rq_queue.enqueue(_path(job), *arguments).id)
    return _queue.enqueue(_path(job), *arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """In pages, as one call is one transaction."""
    for start in range(0, len(rows), 1000):
        page = rows[start : start + 1000]
        if KIND == "rq":
            _rq_queue.enqueue_many([Queue.prepare_data(_path(job), row) for row in page])
        else:
            _queue.enqueue_many([farm.Call(_path(job), row) for row in page])


async def result(handle: Any) -> Any:
    """The handle's own wait."""
    return handle.result(timeout=60)
