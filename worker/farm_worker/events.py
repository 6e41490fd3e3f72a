"""Keeps what is rare and worth knowing on the events stream: abnormal ends of processes, a host that starves."""

import asyncio
import logging

from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore
from farm_worker.pool.reasons import ProcessEnd

Fields = dict[str, str | int | float]

MAX_DETAIL = 2000

_logger = logging.getLogger("farm.events")


async def keep_events(store: HostStore, host: str, events: asyncio.Queue[tuple[str, Fields]]) -> None:
    """Until cancelled. While Redis is away an event is only in the log."""
    while True:
        event, fields = await events.get()
        try:
            await store.publish_event(event, {"host": host, **fields})
        except REDIS_ERRORS as error:
            _logger.warning("event %s not kept, Redis is away (%s): %s", event, error, fields)


def process_fields(end: ProcessEnd) -> Fields:
    """The facts of a process's end, as plain fields."""
    return {
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
