"""Ending tasks for certain."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

CANCEL_AGAIN_SECONDS = 0.1


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancels the tasks and waits until all have ended. What they raise is left in them.

    One cancellation is not enough: while redis-py opens a connection it may turn one into an error of its own, which a
    task takes for an outage and outlives.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_SECONDS)


def raise_error_of(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Of a part that ended by itself: only an error does that."""
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()
