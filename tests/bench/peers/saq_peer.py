"""SAQ: workers with an event loop each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from jobs import as_coroutines
from saq import Queue

SETTINGS = {
    "default": f"{PROCESSES} processes of 1 coroutine; an active list, acknowledged after the run; results stored",
    "many": f"{PROCESSES} processes of {MANY // PROCESSES} coroutines; acknowledged after the run; results stored",
    "quick": f"{PROCESSES} processes of 1 coroutine; results looked for each 2 ms",
}
PAYLOAD_IS_BYTES = False
IN_FLIGHT = 100
LOOK_SECONDS = 0.5
QUICK_SECONDS = 0.002

queue = Queue.from_url(REDIS_URL)


def _taking_a_context(name: str, function: Callable[..., Awaitable[int]]) -> tuple[str, Callable[..., Awaitable[int]]]:
    async def job(context: Any, *, arguments: Sequence[Any]) -> int:
        return await function(*arguments)

    return name, job


settings = {
    "queue": queue,
    "functions": [_taking_a_context(name, function) for name, function in as_coroutines().items()],
    "concurrency": MANY // PROCESSES if MODE == "many" else 1,
}


def commands(mode: str) -> list[list[str]]:
    """One program that starts its processes."""
    return [[str(PROGRAMS / "saq"), "saq_peer.settings", "--workers", str(PROCESSES), "--quiet"]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    return await queue.enqueue(job, arguments=arguments, timeout=180, ttl=500)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """SAQ has nothing that sends many in one round trip: many calls at a time."""
    for start in range(0, len(rows), IN_FLIGHT):
        await asyncio.gather(*(enqueue(job, *row) for row in rows[start : start + IN_FLIGHT]))


async def result(handle: Any) -> Any:
    """Its own wait: a subscription, and a look each 0.5 s, as its `apply` does."""
    while not handle.completed:
        with suppress(TimeoutError):  # time to look
            await handle.refresh(until_complete=QUICK_SECONDS if MODE == "quick" else LOOK_SECONDS)
    return handle.result
