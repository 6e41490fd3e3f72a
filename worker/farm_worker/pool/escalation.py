"""How a process is made to end: a first word, a pause, KILL."""

import asyncio
import signal
from math import inf

from farm_worker.pool.stacks import DUMP_SECONDS, DUMP_SIGNAL
from farm_worker.pool.starter import Group

TERMINATE_SECONDS = 0.5
"""Between TERM and KILL for a process that is told to leave and has no job: time for what it started to leave too."""


class Escalation:
    """Of one process. A second call of any kind means KILL at once; one before it is born, KILL at its birth."""

    def __init__(self) -> None:
        self.killed_at = inf
        """Monotonic seconds. `inf`: no KILL was sent."""
        self._begun = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._group: Group | None = None

    def born(self, group: Group) -> None:
        """The process exists from now on."""
        self._group = group
        if self._begun:
            self.kill()

    def terminate(self) -> None:
        """TERM to the group, KILL after 0.5 s."""
        if self._first(TERMINATE_SECONDS) and self._group is not None:
            self._group.signal(signal.SIGTERM)

    def dump(self) -> None:
        """Has it write its stacks, KILL after 0.2 s."""
        if self._first(DUMP_SECONDS) and self._group is not None:
            self._group.signal_leader(DUMP_SIGNAL)

    def kill(self) -> None:
        """KILL to the group."""
        self._begun = True
        if self._group is not None and self.killed_at == inf:
            self.killed_at = self._loop.time()
            self._group.signal(signal.SIGKILL)

    def close(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _first(self, pause: float) -> bool:
        if self._begun:
            self.kill()
            return False
        self._begun = True
        if self._group is not None:
            self._timer = self._loop.call_later(pause, self.kill)
        return True
