"""When this host may take jobs of reserved queues, what it has asked for, and which processes ask in its place."""

import asyncio
from collections.abc import Callable

from farm_worker.pool.lending import LentWatch


class Taking:
    """Between those who watch reserved queues and the processes that idle."""

    def __init__(self, idle_room: Callable[[], int]) -> None:
        """`idle_room`: how many jobs would begin at once."""
        self._idle_room = idle_room
        self._changed = asyncio.Event()
        self.under_way: set[str] = set()
        """Names of the requests that are not answered: their leases may be there and not known here."""
        self.lent: set[LentWatch] = set()
        """Those of them that a process makes."""
        self.unsettled = 0
        """Those that came to nothing with their process: they may have brought jobs, for which Redis is asked."""

    async def until_idle(self) -> None:
        """Returns once a job that comes would begin at once."""
        while self._idle_room() <= 0:
            self._changed.clear()
            await self._changed.wait()

    def look(self) -> None:
        """A process may idle by now."""
        self._changed.set()

    def end_lent(self) -> None:
        """No job is to begin here any more by itself."""
        for lent in self.lent:
            lent.take_back()
