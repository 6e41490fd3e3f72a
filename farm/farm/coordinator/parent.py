"""A coordinator started by a host ends with that host, even when the host is killed."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Callable

CHECK_INTERVAL_SECONDS = 1.0

PARENT_VARIABLE = "FARM_PARENT_PID"
"""Set by the host to its own pid: it may be gone before this process looks."""

_PR_SET_PDEATHSIG = 1


def end_with_parent(stop: Callable[[], None]) -> asyncio.Task[None]:
    """Calls `stop` once the parent is gone. Call it in the main thread; the task goes on until cancelled."""
    parent = int(os.environ.get(PARENT_VARIABLE) or os.getppid())
    if sys.platform == "linux":
        # The kernel tells at once, but only of the end of the thread that forked; the check below tells for certain.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return asyncio.create_task(_watch(parent, stop))


async def _watch(parent: int, stop: Callable[[], None]) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(CHECK_INTERVAL_SECONDS)
    stop()
