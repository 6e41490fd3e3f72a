"""RQ with its own workers: one that forks for each job, one that does not (SimpleWorker), and a pool of the first."""

import os
import time
from collections.abc import Sequence
from typing import Any

import redis
from adapter import MANY, PROCESSES, PROGRAMS, REDIS_URL
from rq import Queue
from rq.job import Job

KIND = os.environ.get("BENCH_KIND", "fork")
KINDS = {
    "fork": "`rq worker`, a fork for each job",
    "simple": "`rq worker -w rq.SimpleWorker`, in the worker itself",
    "pool": "`rq worker-pool`, a fork for each job",
}
SETTINGS = {
    "default": f"{KINDS[KIND]}; {PROCESSES} of them; registers each run; results stored",
    "many": f"{KINDS[KIND]}; {MANY} of them; results stored",
}
PAYLOAD_IS_BYTES = True

_queue = Queue(connection=redis.Redis.from_url(REDIS_URL))


def commands(mode: str) -> list[list[str]]:
    """RQ has no worker for several jobs at a time: more at a time are more workers."""
    count = MANY if mode == "many" else PROCESSES
    rq = str(PROGRAMS / "rq")
    if KIND == "pool":
        return [[rq, "worker-pool", "-n", str(count), "--quiet", "--url", REDIS_URL, "default"]]
    kind = ["--worker-class", "rq.SimpleWorker"] if KIND == "simple" else []
    return [[rq, "worker", "--quiet", *kind, "--url", REDIS_URL, "default"]] * count


async def enqueue(job: str, *arguments: Any) -> Job:
    """One job."""
    return _queue.enqueue(f"jobs.{job}", *arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """In pages, as one call is one transaction."""
    for start in range(0, len(rows), 1000):
        _queue.enqueue_many([Queue.prepare_data(f"jobs.{job}", row) for row in rows[start : start + 1000]])


async def result(handle: Job) -> Any:
    """RQ's way: a blocking read of the stream of results."""
    found = handle.latest_result(timeout=30)
    while found is None:
        time.sleep(0.001)
        found = handle.latest_result(timeout=30)
    return found.return_value
