"""Who waits for jobs of reserved queues, and for a process that idles."""

import asyncio
from collections.abc import Callable, Sequence

Takers = Sequence[asyncio.Future[int]]


class Taking:
    """Taking from reserved queues, between those who watch them and the next exchange with Redis."""

    def __init__(self, idle_room: Callable[[], int], wake: asyncio.Event) -> None:
        """`idle_room`: how many jobs would begin at once; `wake` is set when the next exchange is to come soon."""
        self._idle_room = idle_room
        self._wake = wake
        self._changed = asyncio.Event()
        self._takers: list[asyncio.Future[int]] = []

    async def until_idle(self) -> None:
        """Returns once a job that comes would begin at once."""
        while self._idle_room() <= 0:
            self._changed.clear()
            await self._changed.wait()

    async def take(self) -> int:
        """Takes what has come into reserved queues, as far as processes idle, and starts it. Returns how many jobs."""
        taker: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._takers.append(taker)
        self._wake.set()
        return await taker

    def look(self) -> None:
        """A process may idle by now."""
        self._changed.set()

    def takers(self) -> Takers:
        """Those who wait, once each."""
        takers, self._takers = self._takers, []
        return takers


def answer(takers: Takers, taken: int) -> None:
    """Tells them how many jobs were taken for all of them."""
    for taker in takers:
        if not taker.done():
            taker.set_result(taken)
