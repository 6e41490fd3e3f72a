"""arq: workers with an event loop each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from adapter import MANY, MODE, PROCESSES, PROGRAMS, REDIS_URL
from arq import create_pool, func
from arq.connections import ArqRedis, RedisSettings
from jobs import as_coroutines

SETTINGS = {
    "default": f"{PROCESSES} processes of 1 coroutine; polls each 0.5 s; acknowledged after the run; results stored",
    "many": f"{PROCESSES} processes of {MANY // PROCESSES} coroutines; polls each 0.5 s; results stored",
    "quick": f"{PROCESSES} processes of 1 coroutine; polls each millisecond, the caller, too",
}
PAYLOAD_IS_BYTES = True
QUICK_SECONDS = 0.001
IN_FLIGHT = 100

_pool: list[ArqRedis] = []


def _taking_a_context(name: str, function: Callable[..., Awaitable[int]]) -> Any:
    async def job(context: Any, *arguments: Any) -> int:
        return await function(*arguments)

    return func(job, name=name)


class WorkerSettings:
    """What arq's command reads."""

    redis_settings = RedisSettings.from_dsn(REDIS_URL)
    functions = [_taking_a_context(name, function) for name, function in as_coroutines().items()]  # noqa: RUF012
    max_jobs = MANY // PROCESSES if MODE == "many" else 1
    poll_delay = QUICK_SECONDS if MODE == "quick" else 0.5


def commands(mode: str) -> list[list[str]]:
    """A program for each process."""
    return [[str(PROGRAMS / "arq"), "arq_peer.WorkerSettings"]] * PROCESSES


async def enqueue(job: str, *arguments: Any) -> Any:
    """One job."""
    return await (await _connection()).enqueue_job(job, *arguments)


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """arq has nothing that sends many in one round trip: many calls at a time."""
    await _connection()
    for start in range(0, len(rows), IN_FLIGHT):
        await asyncio.gather(*(enqueue(job, *row) for row in rows[start : start + IN_FLIGHT]))


async def result(handle: Any) -> Any:
    """Its own wait: looks with pauses of 0.5 s."""
    return await handle.result(timeout=60, poll_delay=QUICK_SECONDS if MODE == "quick" else 0.5)


async def _connection() -> ArqRedis:
    if not _pool:
        _pool.append(await create_pool(RedisSettings.from_dsn(REDIS_URL)))
    return _pool[0]
