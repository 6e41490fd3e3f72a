"""What was dealt to this host and not begun in time goes back, so that a long job never traps short ones."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf

from farm_worker.execution import Execution
from farm_worker.prefetch import RECALL_SECONDS, is_long

LEAST_SECONDS = 0.05
"""Between two looks, also while what is late can't go back."""


async def recall(execution: Execution, publish: Callable[[], Awaitable[None]]) -> None:
    """Looks when the first job that waits at the host would be late, until cancelled.

    `publish` tells Redis what this host can take.
    """
    while True:
        await execution.stirred.wait()
        execution.stirred.clear()
        while execution.inbox or execution.unsettled:
            seconds = execution.waits_since + RECALL_SECONDS - time.monotonic() if execution.accepting else 0.0
            await asyncio.sleep(min(max(seconds, LEAST_SECONDS), RECALL_SECONDS))
            await _recall_late(execution, publish)


async def _recall_late(execution: Execution, publish: Callable[[], Awaitable[None]]) -> None:
    if not execution.accepting:
        if execution.waits_since < inf:
            await publish()
            await execution.hand_back_all(counted_as="recalled")
        return
    now = time.monotonic()
    is_any_late = execution.is_any_late(now)
    _note_long_jobs(execution, now, behind_them=is_any_late)
    # All that is in the inbox by now: more may have come since this host heard of it.
    with_inbox = _is_inbox_late(execution, now, at_once=is_any_late)
    if is_any_late or with_inbox:
        # The smaller capacity has to be known first, else the coordinator places the same jobs here again.
        await publish()
        await execution.hand_back_late(with_inbox=with_inbox)


def _note_long_jobs(execution: Execution, now: float, *, behind_them: bool) -> None:
    """Nothing is sent behind those that run for long. `behind_them`: a job waits behind one of them, and is late."""
    for job in execution.running():
        seconds = max(now - (job.begun_at or now), RECALL_SECONDS if behind_them else 0.0)
        if is_long(seconds):
            job.is_long = True
            execution.durations.observe_running(job.queue, job.called, seconds, now)


def _is_inbox_late(execution: Execution, now: float, *, at_once: bool) -> bool:
    """Whether it goes back, as nobody here has room for it. `at_once`: however short it has been waiting."""
    is_late = at_once or execution.waits_since < now - RECALL_SECONDS
    return is_late and execution.inbox > 0 and not execution.has_room(now)
