"""Waits for jobs of the queues that are reserved for this host: then no coordinator is on their way.

A queue is watched while a process idles here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from farm.errors import HostFenced
from farm.store.connection import REDIS_ERRORS, connect_async
from farm.store.execution import ExecutionStore, new_batch_name
from farm.store.queue_watch import QueueWatch, Taken, TakeRequest
from farm.tasks import end
from farm_worker.execution import Execution

WAIT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 1.0
"""After nothing was taken of what came. Mostly somebody else has it, and the next job is ours again; if it is still
there (suspended, full), asking at once would go on for as long."""


class Reservations:
    """The queues that this host may take jobs from by itself."""

    def __init__(self, redis_url: str, store: ExecutionStore, execution: Execution) -> None:
        self._redis_url = redis_url
        self._store = store
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
        watch = self._store.watch(client, queue)
        taking = self._execution.taking
        pause = FIRST_PAUSE_SECONDS
        try:
            while queue in self._queues:
                await taking.until_idle()
                taken = await self._take(watch)
                if taken is None or (taken.came and not taken.count):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                else:
                    pause = FIRST_PAUSE_SECONDS
        finally:
            watch.close()
            await client.aclose()
            self._told.set()

    async def _take(self, watch: QueueWatch) -> Taken | None:
        """What came in a while, begun here. None: this host is not registered any more."""
        execution = self._execution
        if (who := execution.who) is None:
            return None
        request = TakeRequest(who, new_batch_name(), execution.may_hold)
        execution.taking.under_way.add(request.name)
        try:
            return await self._answer(watch, request)
        except HostFenced:
            execution.refused(who)
            return None
        finally:
            execution.taking.under_way.discard(request.name)

    async def _answer(self, watch: QueueWatch, request: TakeRequest) -> Taken:
        """Of a request that may have been heard, whatever became of the reply: it is asked again under its name."""
        begin = partial(self._execution.took, request.who)
        try:
            return await watch.wait(request, WAIT_SECONDS, begin)
        except REDIS_ERRORS:
            while True:
                await self._execution.contact.wait_to_listen()
                with suppress(*REDIS_ERRORS):
                    return await watch.ask(request, begin)
