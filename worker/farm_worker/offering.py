"""Joins the jobs that a host starts with the app's accept function, where the app has one."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from farm_worker.execution import Execution
from farm_worker.heartbeat import Heartbeat
from farm_worker.hooks import Hooks
from farm_worker.offers import Offers


def offer_jobs(
    hooks: Hooks | None, execution: Execution, heartbeat: Heartbeat, interval: float
) -> Coroutine[Any, Any, None]:
    """From the call on no process gets a job that the app does not accept. What is returned has to run: it asks.

    `interval`: seconds that the app has for an answer, and between two tries while it can't give any.
    """
    if hooks is None or not hooks.app.has_accept:
        return _nothing()
    offers = execution.offer()
    offers.pause = interval
    offers.ask = lambda jobs: hooks.accept(jobs, heartbeat.told(), timeout=interval)
    offers.can_ask = lambda: hooks.pid is not None
    offers.on_change = lambda: _tell(offers, execution, heartbeat)
    return offers.run()


def _tell(offers: Offers, execution: Execution, heartbeat: Heartbeat) -> None:
    if offers.error:
        execution.accepting = False  # the next beat says why
    heartbeat.hurry()


async def _nothing() -> None:
    await asyncio.Event().wait()
