"""A process with all that it started: told of signals together, watched for its exit."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from signal import Signals

from farm_worker.pool.memory import descendants_of
from farm_worker.pool.starter import Started

EXIT_CHECK_SECONDS = 0.05
"""Where the system can't tell of an exit through a descriptor."""


class ProcessGroup:
    """A child that leads a process group of its own."""

    def __init__(self, leader: Started, exited: Callable[[int], None]) -> None:
        """`exited` gets the return code of `subprocess`, once; then nothing of the group is left."""
        self._pid = leader.pid
        self._reap = leader.reap
        self._exited = exited
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = None
        try:
            self._descriptor = os.pidfd_open(self._pid)
        except (AttributeError, OSError):  # not Linux, or a kernel or sandbox without it
            self._loop.call_later(EXIT_CHECK_SECONDS, self._look)
        else:
            self._loop.add_reader(self._descriptor, self._notice)

    def signal(self, number: Signals) -> None:
        """To all of the group that is left. KILL also to what has a group or session of its own by now."""
        strayed = descendants_of(self._pid) if number is signal.SIGKILL else []  # before: later they are orphans
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when all of it are zombies
            os.killpg(self._pid, number)
        for pid in strayed:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def signal_leader(self, number: Signals) -> None:
        """To the process alone."""
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._pid, number)

    def _notice(self) -> None:
        # Before it is reaped: until then its number can't belong to anybody else.
        self.signal(signal.SIGKILL)
        code = self._reap()
        if code is not None and self._descriptor is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
            self._exited(code)

    def _look(self) -> None:
        code = self._reap()
        if code is None:
            self._loop.call_later(EXIT_CHECK_SECONDS, self._look)
        else:
            self.signal(signal.SIGKILL)
            self._exited(code)
