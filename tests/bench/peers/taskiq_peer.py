"""Taskiq: processes with an event loop each."""

from collections.abc import Sequence
from typing import Any

from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from jobs import as_coroutines
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

SETTINGS = {
    "default": f"{PROCESSES} processes of 1 coroutine; a stream, acknowledged after the run; results stored",
    "fast": f"{PROCESSES} processes of 100 coroutines (its default); a list, no acknowledgement; no results",
    "many": f"{PROCESSES} processes of {MANY // PROCESSES} coroutines; a stream, acknowledged; results stored",
    "quick": f"{PROCESSES} processes of 1 coroutine; results looked for each millisecond",
}
COROUTINES = {"fast": 100, "many": MANY // PROCESSES}
PAYLOAD_IS_BYTES = False

if MODE == "fast":
    broker = ListQueueBroker(REDIS_URL)
else:
    results = RedisAsyncResultBackend(REDIS_URL, result_ex_time=500)
    broker = RedisStreamBroker(REDIS_URL, consumer_id="0").with_result_backend(results)
tasks = {name: broker.task(task_name=name)(function) for name, function in as_coroutines().items()}

_started: list[bool] = []


def commands(mode: str) -> list[list[str]]:
    """One program that starts its processes."""
    sizes = ["--workers", str(PROCESSES), "--max-async-tasks", str(COROUTINES.get(mode, 1))]
    return [[str(PROGRAMS / "taskiq"), "worker", "taskiq_peer:broker", *sizes, "--log-level", "ERROR"]]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    await _start()
    return await tasks[job].kiq(*arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Taskiq has nothing that sends many in one round trip."""
    await _start()
    for row in rows:
        await tasks[job].kiq(*row)


async def result(handle: Any) -> Any:
    """Its own wait: looks with pauses of 200 ms."""
    interval = 0.001 if MODE == "quick" else 0.2
    return (await handle.wait_result(check_interval=interval, timeout=60)).return_value


async def _start() -> None:
    if not _started:
        _started.append(True)
        await broker.startup()
