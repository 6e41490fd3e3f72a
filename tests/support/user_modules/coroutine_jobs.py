"""Coroutine jobs for tests of a host that runs many of them side by side. They count their runs in a folder."""

import asyncio
import os
import time
from contextlib import suppress

from rq import get_current_job


async def pause(seconds, folder):
    """Waits side by side with others."""
    _begin(folder)
    await asyncio.sleep(seconds)
    return seconds


async def pause_once(folder, cleaning=0.0):
    """Its first run waits for its end, and then cleans up for so many seconds; another run is over at once."""
    if _begin(folder) > 1:
        return
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(cleaning)


async def refuse_once(folder):
    """Its first run goes on, whatever it is told; another run is over at once."""
    if _begin(folder) > 1:
        return
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)


async def block_until(path, folder):
    """Holds up the loop, and all that runs there, once the file is there. It does not end when it is told to."""
    _begin(folder)
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    while True:
        with suppress(BaseException):
            time.sleep(600)


def _begin(folder):
    """Notes the job and its process, in order, then counts its run. Returns how often this job has begun."""
    job = get_current_job()
    path = os.path.join(folder, job.id)
    job.connection.hset("test:pids", job.id, os.getpid())
    job.connection.rpush("test:notes", job.id)
    with open(path, "a") as file:
        file.write("x")
    return os.path.getsize(path)
