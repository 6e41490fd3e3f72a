"""This project: one host of two processes with the coordinator that it started."""

import os
from collections.abc import Sequence
from typing import Any

import redis
from adapter import MANY, PROCESSES, PROGRAMS, REDIS_URL
from rq import Queue

import farm

KIND = os.environ.get("BENCH_KIND", "client")
KINDS = {"client": "enqueued with `farm.Client`", "rq": "enqueued with plain rq"}
SETTINGS = {
    "default": f"one host of {PROCESSES} processes, {KINDS[KIND]}; leases, results stored as RQ stores them",
    "many": f"one host of {MANY} threads (FARM_EXECUTOR=thread), {KINDS[KIND]}; results stored",
}
PAYLOAD_IS_BYTES = True

os.environ.setdefault("FARM_REDIS_URL", REDIS_URL)
_client = farm.Client(REDIS_URL)
_queue = _client.queue("default")
_rq_queue = Queue(connection=redis.Redis.from_url(REDIS_URL))


def commands(mode: str) -> list[list[str]]:
    """One host. Redis and the client run on the same machine and are part of what is measured, hence the threshold."""
    settings = ["--name", "bench", "--threshold", "1", "--log-level", "warning"]
    settings += (
        ["--executor", "thread", "--processes", str(MANY)] if mode == "many" else ["--processes", str(PROCESSES)]
    )
    return [[str(PROGRAMS / "farm"), "worker", "default", *settings]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    if KIND == "rq":
        return _client.job(_rq_queue.enqueue(f"jobs.{job}", *arguments).id)
    return _queue.enqueue(f"jobs.{job}", *arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """In pages, as one call is one transaction."""
    for start in range(0, len(rows), 1000):
        page = rows[start : start + 1000]
        if KIND == "rq":
            _rq_queue.enqueue_many([Queue.prepare_data(f"jobs.{job}", row) for row in page])
        else:
            _queue.enqueue_many([farm.Call(f"jobs.{job}", row) for row in page])


async def result(handle: Any) -> Any:
    """The handle's own wait."""
    return handle.result(timeout=60)
