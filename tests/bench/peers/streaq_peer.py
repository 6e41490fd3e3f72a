"""streaQ: workers with an event loop each."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from jobs import as_coroutines
from streaq import Worker

SETTINGS = {
    "default": f"{PROCESSES} processes of 1 coroutine; a stream, acknowledged after the run; results stored",
    "many": f"{PROCESSES} processes of {MANY // PROCESSES} coroutines; acknowledged after the run; results stored",
}
PAYLOAD_IS_BYTES = True

worker = Worker(redis_url=REDIS_URL, concurrency=MANY // PROCESSES if MODE == "many" else 1)
tasks = {name: worker.task(name=name)(function) for name, function in as_coroutines().items()}

_opened = AsyncExitStack()
_started: list[bool] = []


def commands(mode: str) -> list[list[str]]:
    """One program that starts its processes."""
    return [[str(PROGRAMS / "streaq"), "run", "streaq_peer:worker", "--workers", str(PROCESSES)]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    await _start()
    return await tasks[job].enqueue(*arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """In pages, each one round trip."""
    await _start()
    for start in range(0, len(rows), 1000):
        await worker.enqueue_many([tasks[job].enqueue(*row) for row in rows[start : start + 1000]])


async def result(handle: Any) -> Any:
    """Its own wait."""
    return (await handle.result(timeout=60)).result


async def _start() -> None:
    if not _started:
        _started.append(True)
        await _opened.enter_async_context(worker)
