"""What wakes the placer: a job in a queue that was empty, or the bell.

One task waits on the bell. One task waits on each queue that was seen empty, for as long as some host has room for its
jobs; a queue with jobs is never waited on, since that wait would end at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from farm.coordinator.trouble import Trouble
from farm.store.leadership import REDIS_TROUBLE
from farm.store.waking import BLOCK_SECONDS, WakeUps
from farm.tasks import end


class Waking:
    """Lets the placer sleep until there may be something to do. Use as an asynchronous context."""

    def __init__(self, wake_ups: WakeUps, trouble: Trouble) -> None:
        self._wake_ups = wake_ups
        self._trouble = trouble
        self._woken = asyncio.Event()
        self._asleep = asyncio.Event()
        self._wanted: frozenset[str] = frozenset()
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._lacks_room = asyncio.Event()
        self._listeners: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Waking":
        bell, room = self._wake_ups.bell, self._wake_ups.room
        self._listeners = [
            asyncio.create_task(self._listen(self._asleep, lambda: bell(BLOCK_SECONDS))),
            asyncio.create_task(self._listen(self._lacks_room, lambda: room(BLOCK_SECONDS))),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [*self._watchers.values(), *self._listeners]
        self._wanted = frozenset()
        await end(tasks)
        self._wake_ups.close()

    def wake(self) -> None:
        """Ends the sleep, this one or the next."""
        self._woken.set()

    async def sleep(self, empty_queues: Iterable[str], seconds: float, *, for_room: bool) -> bool:
        """Sleeps until something happened since the last sleep ended, at most `seconds`. Returns whether it did.

        `for_room`: a host that has room is something, as jobs wait for it.
        """
        self._wanted = frozenset(empty_queues)
        self._asleep.set()
        if for_room:
            self._lacks_room.set()
        for queue in self._wanted - self._watchers.keys():
            self._watchers[queue] = asyncio.create_task(self._watch(queue))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._asleep.clear()
        self._lacks_room.clear()
        is_woken = self._woken.is_set()
        self._woken.clear()
        return is_woken

    async def _listen(self, wanted: asyncio.Event, bell: Callable[[], Awaitable[bool]]) -> None:
        """Under load a bell rings all the time, and nobody sleeps: then it is left to ring."""
        while True:
            await wanted.wait()
            if await self._wait(bell):
                wanted.clear()
                self.wake()

    async def _watch(self, queue: str) -> None:
        """Ends with the first job, or when nobody has room for jobs of this queue any more."""
        try:
            while queue in self._wanted:
                if await self._wait(lambda: self._wake_ups.job(queue, BLOCK_SECONDS)):
                    self.wake()
                    return
        finally:
            del self._watchers[queue]

    async def _wait(self, wait: Callable[[], Awaitable[bool]]) -> bool:
        activity = "waiting for jobs"
        try:
            came = await wait()
        except REDIS_TROUBLE as error:
            await self._trouble.back_off(activity, error)
            return False
        self._trouble.end(activity)
        return came
