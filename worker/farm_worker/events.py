"""Keeps what is rare and worth knowing on the events stream: abnormal ends of processes, a host that starves."""

import asyncio
import logging

from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore
from farm_worker.contact import Contact
from farm_worker.pool.reasons import ProcessEnd

Fields = dict[str, str | int | float]

MAX_DETAIL = 2000
"""Characters of each text of an event: the stream keeps thousands of them."""

_logger = logging.getLogger("farm.events")


async def keep_events(store: HostStore, contact: Contact, host: str, events: asyncio.Queue[tuple[str, Fields]]) -> None:
    """Until cancelled. While Redis is away events wait."""
    while True:
        event, fields = await events.get()
        await contact.wait()
        try:
            await store.publish_event(event, {"host": host, **fields})
        except REDIS_ERRORS as error:
            _logger.warning("event %s is not kept in Redis (%s): %s", event, error, fields)


def process_fields(end: ProcessEnd) -> Fields:
    """The facts of a process's end, as plain fields."""
    return {
        "reason": end.reason.value,
        "pid": end.pid,
        "process": end.number,
        "runner": end.runner,
        "phase": end.phase.value,
        "exit_code": "" if end.exit_code is None else end.exit_code,
        "signal": end.signal or "",
        "job": end.job_id or "",
        "function": end.function or "",
        "queue": end.queue or "",
        "attempt": end.attempt or "",
        "job_seconds": "" if end.job_seconds is None else round(end.job_seconds, 3),
        "age": round(end.age, 3),
        "jobs_done": end.jobs_done,
        "memory": end.last_memory or "",
        "peak_memory": end.peak_memory or "",
        "killed": int(end.killed),
        "stuck": int(end.stuck),
        "detail": end.sentence()[:MAX_DETAIL],
        "last_lines": "\n".join(end.last_lines)[-MAX_DETAIL:],
        "stack": end.stack[:MAX_DETAIL],
    }
