"""What was dealt to this host and not begun in time goes back, so that a long job never traps short ones."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from farm_worker.execution import Execution
from farm_worker.prefetch import RECALL_SECONDS, is_long


async def recall(execution: Execution, publish: Callable[[], Awaitable[None]]) -> None:
    """Looks every 0.1 s while the host holds jobs, until cancelled. `publish` tells Redis what this host can take."""
    while True:
        await execution.stirred.wait()
        execution.stirred.clear()
        while execution.inbox or execution.unsettled:
            await asyncio.sleep(RECALL_SECONDS / 2)
            await _recall_late(execution, publish)


async def _recall_late(execution: Execution, publish: Callable[[], Awaitable[None]]) -> None:
    now = time.monotonic()
    inbox_is_late = execution.inbox_is_late(now) if execution.accepting else bool(execution.inbox)
    if not inbox_is_late and not execution.is_any_late(now):
        return
    for job in execution.running():
        seconds = now - (job.begun_at or now)
        job.is_long = job.is_long or is_long(seconds)
        execution.durations.observe_running(job.queue, job.called, seconds, now)
    # The smaller capacity has to be known first, else the coordinator places the same jobs here again.
    await publish()
    if execution.accepting:
        late = execution.late(time.monotonic())
        inbox = execution.inbox if inbox_is_late else 0
        await execution.hand_back(late, inbox=inbox, counted_as="recalled")
    else:
        await execution.hand_back_all(counted_as="recalled")
