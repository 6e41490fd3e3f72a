"""Waits for jobs of the queues that are reserved for this host: then no coordinator is on their way.

A queue is watched while a process idles here. A wait takes nothing: what came is taken and started in one exchange.
"""

import asyncio
from collections.abc import Awaitable, Callable

from farm.keys import RqKeys
from farm.store.connection import REDIS_ERRORS, connect_async
from farm.store.line import Line
from farm.store.waking import BLOCK_SECONDS, wait_for_job
from farm.tasks import end
from farm_worker.execution import Execution

FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0
"""After nothing was taken of what came. Mostly somebody else has it, and the next job is ours again; if it is still
there (suspended, full), asking at once would go on for as long."""


class Reservations:
    """The queues that this host may take jobs from by itself."""

    def __init__(self, redis_url: str, rq_keys: RqKeys, execution: Execution) -> None:
        self._redis_url = redis_url
        self._rq_keys = rq_keys
        self._execution = execution
        self._queues: frozenset[str] = frozenset()
        self._told = asyncio.Event()

    def tell(self, queues: frozenset[str]) -> None:
        """Redis names these, with a beat or when it was asked."""
        self._queues = queues
        self._told.set()

    async def run(self, ask: Callable[[], Awaitable[frozenset[str]]]) -> None:
        """Until cancelled. `ask` says what Redis names now: it is called when the bell says that there is news."""
        self._ask = ask
        watchers: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await self._told.wait()
                self._told.clear()
                for queue in self._queues - watchers.keys():
                    watchers[queue] = asyncio.create_task(self._watch(queue))
                for queue in [queue for queue, task in watchers.items() if task.done()]:
                    watchers.pop(queue).result()
        finally:
            await end(watchers.values())

    async def look(self) -> None:
        """The bell rang: there may be news."""
        self.tell(await self._ask())

    async def _watch(self, queue: str) -> None:
        """Ends when the queue is not reserved any more."""
        client = connect_async(self._redis_url, name="farm-host-queue")
        line = Line(client)
        key = self._rq_keys.queue(queue)
        pause = FIRST_PAUSE_SECONDS
        try:
            while queue in self._queues:
                await self._execution.taking.until_idle()
                try:
                    came = await wait_for_job(line, key, BLOCK_SECONDS)
                except REDIS_ERRORS:
                    await self._execution.contact.wait_to_listen()
                    continue
                if came and not await self._execution.taking.take():
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                else:
                    pause = FIRST_PAUSE_SECONDS
        finally:
            line.close()
            await client.aclose()
            self._told.set()
