"""What waits for this host in Redis, as far as it knows, and its request to start some of it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from farm.store.execution import Exchange, StartBatch, new_batch_name


class Starts:
    """One request at a time. It keeps its name until Redis answered, so a repeat brings the same jobs."""

    def __init__(self) -> None:
        self.inbox = 0
        """Ids in the inbox as far as this host knows; bell, beat and each exchange correct it."""
        self.is_sole = False
        """No other host serves the queues of this one: it takes jobs from them whenever it has room."""
        self.batch: StartBatch | None = None
        """The request that is under way."""
        self._inbox_since = 0.0
        self._may_wait = False
        self._waited = True
        """Whether jobs waited in the queues when this host last asked them. True where that is not known."""
        self._over = asyncio.Event()
        self._is_held_off = False

    @property
    def waits_since(self) -> float:
        """Monotonic seconds: when an id was first seen in the inbox; `inf` while there is none."""
        return self._inbox_since if self.inbox else inf

    def placed(self, inbox: int, *, is_news: bool) -> None:
        """The inbox has this many ids. Else than `is_news`, maybe since the last exchange."""
        if inbox and not self.inbox and is_news:
            self._inbox_since = time.monotonic()
        self.inbox = inbox

    def look_at_queues(self) -> None:
        """Jobs may wait in the queues, and there may be room for them: a sole host asks, for nobody else will."""
        self._may_wait = True

    def may_bring(self, *, ended: bool, has_work_ahead: bool, is_idle: bool) -> bool:
        """Whether to ask. `ended`: Redis is told of ends of jobs anyway. `is_idle`: they were the last ones.

        A host that idles is given what comes, by its watches of empty queues or by the coordinator. So if nothing
        waited, it need not ask after each of the few jobs that it gets.
        """
        if self._is_held_off:
            return False
        if self.inbox > 0 or (ended and has_work_ahead):
            return True
        return self.is_sole and (self._may_wait or (ended and (self._waited or not is_idle)))

    def ask(self, limit: int) -> None:
        """For so many jobs at most, with the next exchange."""
        self.batch = StartBatch(new_batch_name(), limit, from_queues=self.is_sole)

    def answered(self, exchange: Exchange) -> None:
        """By an exchange with or without a request."""
        if self.batch is not None and self.batch.from_queues:
            # Less than there is room for: the host may hold no more until a job ends, or until it publishes more.
            self._may_wait = exchange.waits and len(exchange.started) >= self.batch.limit
            self._waited = exchange.waits
        self.inbox = exchange.inbox
        self._inbox_since = time.monotonic()
        self.end()

    def end(self) -> None:
        """Nothing will come any more of a request that was under way."""
        self.batch = None
        self._over.set()

    def forget(self) -> None:
        """The registration is gone, and all that waited for it."""
        self.end()
        self.inbox = 0
        self.is_sole = self._may_wait = False
        self._waited = True

    async def over(self) -> None:
        """Returns once no request is under way."""
        while self.batch is not None:
            self._over.clear()
            await self._over.wait()

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """While in this context no new request is made."""
        self._is_held_off = True
        try:
            yield
        finally:
            self._is_held_off = False
