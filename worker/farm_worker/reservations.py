"""Waits for jobs of the queues that are reserved for this host: then no coordinator is on their way.

A queue is watched while a process idles here: by that process itself if one can have the watch lent, else by the host.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from farm.errors import HostFenced
from farm.store.connection import LOOP_ANSWER_TIMEOUT_SECONDS, REDIS_ERRORS, connect_async
from farm.store.execution import ExecutionStore
from farm.store.hosts import OwnQueues
from farm.store.queue_watch import QueueWatch, Taken, TakeRequest, checked, read_taken, request_name
from farm.store.waking import BLOCK_SECONDS
from farm.tasks import end
from farm_worker.execution import Execution
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.lending import LentWatch
from farm_worker.pool.watch_messages import Watched

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
        self._numbers = itertools.count(1)

    def tell(self, own: OwnQueues) -> None:
        """Redis says so, with a beat or when it was asked."""
        self._queues = own.reserved
        self._execution.serve_alone(own.is_sole)
        self._told.set()

    async def run(self, ask: Callable[[], Awaitable[OwnQueues]]) -> None:
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
                if taken is not None and taken.waits:
                    self._execution.look_at_queues()
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
        request = TakeRequest(who, request_name(next(self._numbers)), execution.may_hold)
        execution.taking.under_way.add(request.name)
        try:
            lent = await self._lend(watch, request)
            return await (self._answer(watch, request) if lent is None else self._end_of(lent, watch, request))
        except HostFenced:
            execution.refused(who)
            return None
        finally:
            execution.taking.under_way.discard(request.name)

    async def _answer(self, watch: QueueWatch, request: TakeRequest) -> Taken:
        """Of a request that may have been heard, whatever became of the reply: it is asked again under its name."""
        begin = partial(self._execution.took, request.who)
        try:
            return await watch.wait(request, BLOCK_SECONDS, begin)
        except REDIS_ERRORS:
            while True:
                await self._execution.contact.wait_to_listen()
                with suppress(*REDIS_ERRORS):
                    return await watch.ask(request, begin)

    async def _lend(self, watch: QueueWatch, request: TakeRequest) -> LentWatch | None:
        """None if the host has to wait itself."""
        execution = self._execution
        if execution.max_jobs is not None or execution.offers is not None or not execution.pool.lender.can_lend:
            return None  # of a last few jobs, and of those that may be declined, the host alone knows which may begin
        try:
            message = await watch.message(request, BLOCK_SECONDS)
        except REDIS_ERRORS:
            return None
        if not execution.accepting or request.who is not execution.who:
            return None
        return execution.pool.lend(message, partial(self._began, request))

    def _began(self, request: TakeRequest, said: Watched) -> Assignment | None:
        return self._execution.began(request.who, read_taken(said.reply).started[0])

    async def _end_of(self, lent: LentWatch, watch: QueueWatch, request: TakeRequest) -> Taken:
        """What a process brought, the job that it begins among it."""
        said = await self._said_of(lent)
        if said is None or said.kind != "answered":
            return await self._call_off(said, watch, request)
        taken = read_taken(said.reply)
        self._execution.took(request.who, taken.started[1:] if said.begun else taken.started)
        return checked(taken, request.who, came=said.came)

    async def _said_of(self, lent: LentWatch) -> Watched | None:
        """None if it was taken back, as it is when its process hears nothing of Redis."""
        lent_now = self._execution.taking.lent
        lent_now.add(lent)
        seconds = BLOCK_SECONDS + LOOP_ANSWER_TIMEOUT_SECONDS
        timer = asyncio.get_running_loop().call_later(seconds, lent.take_back)
        try:
            return await asyncio.shield(lent.over)
        finally:
            timer.cancel()
            lent.take_back()
            lent_now.discard(lent)

    async def _call_off(self, said: Watched | None, watch: QueueWatch, request: TakeRequest) -> Taken:
        """What a request brought of which its process knows nothing; from here on it brings nothing."""
        if said is not None and said.kind == "unasked":
            return Taken()
        if said is not None and said.kind == "failed":
            self._execution.pool.lender.refuse()
        taking = self._execution.taking
        taking.unsettled += 1
        try:
            while True:
                with suppress(*REDIS_ERRORS):
                    taken = await watch.call_off(request, partial(self._execution.took, request.who))
                    return replace(taken, came=said is not None)  # not at once again, if it is lost each time
                await self._execution.contact.wait_to_listen()
        finally:
            taking.unsettled -= 1
