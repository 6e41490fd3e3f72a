"""Keeps abnormal ends of processes on the events stream, with their reasons and facts."""

import asyncio
import logging

from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore
from farm_worker.pool.reasons import ProcessEnd

MAX_DETAIL = 2000

_logger = logging.getLogger("farm.process_events")


async def keep_process_events(store: HostStore, host: str, ends: asyncio.Queue[ProcessEnd]) -> None:
    """Until cancelled. While Redis is away an event is only in the log."""
    while True:
        end = await ends.get()
        try:
            await store.publish_event("process.ended", _fields(host, end))
        except REDIS_ERRORS as error:
            _logger.warning("event not kept, Redis is away (%s): %s", error, end.sentence())


def _fields(host: str, end: ProcessEnd) -> dict[str, str | int | float]:
    return {
        "host": host,
        "reason": end.reason.value,
        "pid": end.pid,
        "process": end.number,
        "phase": end.phase.value,
        "exit_code": "" if end.exit_code is None else end.exit_code,
        "signal": end.signal or "",
        "job": end.job_id or "",
        "age": round(end.age, 3),
        "jobs_done": end.jobs_done,
        "memory": end.last_memory or "",
        "detail": end.sentence()[:MAX_DETAIL],
    }
