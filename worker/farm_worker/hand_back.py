"""Jobs that this host gives back: what it could not begin, and what it interrupted. No attempt is counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import inf

from farm.errors import HostFenced
from farm.store.connection import REDIS_ERRORS
from farm.store.execution import ExecutionStore
from farm.store.hosts import Registration
from farm_worker.contact import Contact
from farm_worker.pool.assignment import Assignment

WHOLE_INBOX = 1_000_000
"""Ids to give back: more than any inbox has."""

_logger = logging.getLogger("farm.execution")


class HandBack:
    """What goes back, until Redis accepted it."""

    def __init__(self, store: ExecutionStore, contact: Contact, on_fenced: Callable[[Registration], None]) -> None:
        """`on_fenced` hears that this registration was given up."""
        self._store = store
        self._contact = contact
        self._on_fenced = on_fenced
        self._who: Registration | None = None
        self._waiting: list[Assignment] = []
        self._under_way = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    def begin(self, who: Registration | None) -> None:
        """Of another registration, or of none: what belonged to the one before is forgotten."""
        self._who = who
        self._waiting.clear()

    def add(self, *assignments: Assignment) -> None:
        """To be given back by the next `give_waiting`."""
        self._waiting.extend(assignments)

    def tokens(self) -> set[str]:
        """Of the leases that wait to be given back."""
        return {one.token for one in self._waiting}

    async def give_waiting(self, running: Iterable[Assignment]) -> None:
        """One call for each kind: those that began stood before the others, and come to stand before them again.

        `running`: all that processes have. What ends as the host stops waits for those of them that began after it.
        """
        if not self._waiting:
            return
        unbegun = [one for one in self._waiting if not (one.drained or one.declined)]
        declined = [one for one in self._waiting if one.declined and not one.drained]
        ended = sorted((one for one in self._waiting if one.drained), key=lambda one: one.dispatched_at)
        drained, self._waiting = split(ended, running)
        self._under_way += len(drained) + len(declined)
        try:
            await self.give(unbegun)
        finally:
            self._under_way -= len(drained) + len(declined)
        await self.give(drained, counted_as="drained")
        await self._decline(declined)

    async def give(self, assignments: Sequence[Assignment], *, with_inbox: bool = False, counted_as: str = "") -> bool:
        """Gives back leases, and all that is in the inbox if so asked, until Redis accepts. False: it never will."""
        if not (assignments or with_inbox):
            return False
        leases = [(assignment.job_id, assignment.token) for assignment in assignments]
        inbox = WHOLE_INBOX if with_inbox else 0
        return await self._tell(len(leases), lambda who: self._store.hand_back(who, leases, inbox, counted_as))

    async def _decline(self, assignments: Sequence[Assignment]) -> None:
        if assignments:
            declined = [(one.job_id, one.token, one.declined) for one in assignments]
            await self._tell(len(declined), lambda who: self._store.decline(who, declined))

    async def _tell(self, leases: int, call: Callable[[Registration], Awaitable[int]]) -> bool:
        """Calls the store until Redis accepts. False: it never will."""
        who, attempt, given = self._who, 0, None
        if who is None:
            return False
        self._under_way += leases
        try:
            await self._contact.wait()
            while given is None and self._who is who:
                try:
                    given = await call(who)
                except REDIS_ERRORS as error:
                    await self._contact.ride_out(error, attempt)
                    attempt += 1
        except HostFenced:
            self._on_fenced(who)
        finally:
            self._under_way -= leases
        if given is not None:
            _logger.debug("handed back %d jobs", given)
        return given is not None

    async def give_all(self, assignments: Sequence[Assignment], *, counted_as: str) -> bool:
        """As `give`, with the inbox. Cancelled, as Redis is away for too long, it leaves the rest to `give_waiting`."""
        try:
            return await self.give(assignments, with_inbox=True, counted_as=counted_as)
        except asyncio.CancelledError:
            self._waiting += assignments
            raise


def split(ended: Sequence[Assignment], running: Iterable[Assignment]) -> tuple[list[Assignment], list[Assignment]]:
    """Of jobs that go to the heads of their queues: those that go now, and those that wait for later ones to go first.

    A later one is one of the same queue that was begun after it and still runs.
    """
    latest: dict[str, float] = {}
    for one in running:
        latest[one.queue] = max(one.dispatched_at, latest.get(one.queue, -inf))
    now: list[Assignment] = []
    later: list[Assignment] = []
    for one in ended:
        (now if one.dispatched_at >= latest.get(one.queue, -inf) else later).append(one)
    return now, later
