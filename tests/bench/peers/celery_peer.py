"""Celery: processes that its worker forks beforehand."""

from collections.abc import Sequence
from typing import Any

from adapter import MANY, PROCESSES, PROGRAMS, REDIS_URL
from celery import Celery, group
from jobs import JOBS

SETTINGS = {
    "default": f"prefork, {PROCESSES} processes; acknowledged before the run (its default); results stored",
    "many": f"threads, {MANY}; acknowledged before the run; results stored",
}
PAYLOAD_IS_BYTES = True

app = Celery("bench", broker=REDIS_URL, backend=REDIS_URL)
tasks = {name: app.task(name=name)(function) for name, function in JOBS.items()}


def commands(mode: str) -> list[list[str]]:
    """One worker."""
    pool = ["--pool", "threads", "-c", str(MANY)] if mode == "many" else ["--pool", "prefork", "-c", str(PROCESSES)]
    return [[str(PROGRAMS / "celery"), "-A", "celery_peer", "worker", "--loglevel", "ERROR", *pool]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    return tasks[job].delay(*arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A group: Celery has nothing that sends many in one round trip."""
    group(tasks[job].s(*row) for row in rows).apply_async()


async def result(handle: Any) -> Any:
    """Its own wait: a subscription to the result."""
    return handle.get(timeout=60)
