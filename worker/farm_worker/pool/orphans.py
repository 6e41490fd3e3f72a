"""What jobs left running: it is found, ended and waited for.

A job may start processes with a session of their own, which no signal to the process's group reaches. When the process
that runs the job ends, the kernel gives them to the host, as the host is a subreaper. So each child of the host that it
had not before, did not start itself, and that is no process of the pool, is such an orphan.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from farm_worker.pool.left_children import adopt_orphans
from farm_worker.pool.memory import children_of
from farm_worker.pool.spawn import own_children

INTERVAL_SECONDS = 5.0
"""Between two looks, while nothing ended."""
SOON_SECONDS = 0.3
"""After a process ended."""
CONFIRM_SECONDS = 1.0
"""A child is an orphan when two looks, so long apart, do not know it."""
END_SECONDS = 2.0
"""At the end of the host, for killed ones to be gone."""

_logger = logging.getLogger(__name__)


class Orphans:
    """Looks for orphans among the children of this program. On the loop's thread, as all that starts children."""

    def __init__(self, known: Callable[[], Collection[int]], unborn_since: Callable[[], float]) -> None:
        """`known`: pids of processes that are the pool's, beside those that `spawn` started.

        `unborn_since`: when the oldest process was asked for that was forked perhaps, and has not said its pid yet;
        monotonic seconds, `inf` when there is none. A child that was seen before cannot be one of these.
        """
        self._known = known
        self._unborn_since = unborn_since
        self._here_before = frozenset(children_of(os.getpid()))
        """Children that this program had already: a host may run inside of another program."""
        self._strangers: dict[int, float] = {}
        """Children that nobody knows: pid → when they were seen first."""
        self._ended: set[int] = set()
        """Those that were killed and are not gone yet."""
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        if not adopt_orphans():
            await asyncio.Event().wait()
        while True:
            self.look(time.monotonic())
            pause = CONFIRM_SECONDS if self._strangers else INTERVAL_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
                await asyncio.sleep(SOON_SECONDS)
            self._wake.clear()

    def hurry(self) -> None:
        """A process ended: what it left may be here now."""
        self._wake.set()

    def look(self, now: float) -> list[int]:
        """Ends and waits for what is an orphan for certain. Returns their pids."""
        self._strangers = {pid: self._strangers.get(pid, now) for pid in self._unknown()}
        self._ended.intersection_update(self._strangers)
        certain = min(now - CONFIRM_SECONDS, self._unborn_since())
        orphans = [pid for pid, since in self._strangers.items() if since <= certain]
        for pid in orphans:
            self._end(pid)
        return orphans

    async def end_all(self) -> None:
        """Ends all that nobody knows, at the end of the host: nothing is being started any more."""
        deadline = time.monotonic() + END_SECONDS
        while (left := self._unknown()) and time.monotonic() < deadline:
            for pid in left:
                self._end(pid)
            await asyncio.sleep(0.01)

    def _end(self, pid: int) -> None:
        """Ends it if it runs, and waits for it; one that is not gone at once is met again at the next look."""
        what = _describe(pid)
        with suppress(OSError):  # somebody else waited for it
            if os.waitpid(pid, os.WNOHANG)[0] == 0 and pid not in self._ended:
                os.kill(pid, signal.SIGKILL)
                self._ended.add(pid)
                _logger.warning("ended what a job left running: process %d (%s)", pid, what)

    def _unknown(self) -> list[int]:
        ours = own_children().union(self._known(), self._here_before)
        return [pid for pid in children_of(os.getpid()) if pid not in ours]


def _describe(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
    except OSError:
        return "gone"
    return command.decode("utf-8", "replace")[:200] or "no command line"
