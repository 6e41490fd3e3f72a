"""Waits at one queue for a host that it may be reserved for, and takes and starts what comes there.

The request to take follows the wait in one message. Redis runs it as soon as the wait is over, so a job that comes to
an idle farm is started by the time the host hears of it: what would else be said and heard in between takes longer
than all that Redis does.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis
import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.connection import is_full
from farm.store.hosts import Registration
from farm.store.line import Line
from farm.store.scripts import AsyncScripts
from farm.store.started import StartedJob, read_started
from farm.store.waking import POLL_SECONDS


@dataclass(frozen=True, slots=True)
class TakeRequest:
    """Asks for jobs; its name makes a repeat bring the same ones."""

    who: Registration
    name: str
    """See `request_name`."""
    may_hold: int
    """How many jobs the host may hold once it has them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request."""

    came: bool = False
    """Whether there was anything in the queue."""
    count: int = 0
    """Ids that were taken; some of them may not have been jobs that can be started."""
    waits: bool = False
    """Whether jobs were left in the host's queues."""
    started: Sequence[StartedJob] = ()
    fenced: bool = False


def request_name(number: int) -> str:
    """24 hex digits, never used before. `number` grows with each request of a registration for a queue."""
    return f"{number:08x}{secrets.token_hex(8)}"


class QueueWatch:
    """One queue, on a connection of its own. Raises HostFenced when the host was given up, and redis-py's errors."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keys: Keys,
        rq_keys: RqKeys,
        queue: str,
        queues: Sequence[str],
        on_lost: Sequence[str],
    ) -> None:
        """`queues`: all of the host, in its own order; `on_lost`: `started.on_lost_arguments`."""
        self._line = Line(client)
        self._scripts = AsyncScripts(client, self._line)
        self._keys = keys
        self._rq_keys = rq_keys
        self._queue = queue
        self._queues = queues
        self._on_lost = on_lost

    async def wait(self, request: TakeRequest, seconds: float, begin: Callable[[Sequence[StartedJob]], None]) -> Taken:
        """What comes in so many seconds. A queue with jobs that this host can't take is no wait.

        `begin` gets the jobs as soon as they are here.
        """
        answer: list[Taken] = []

        def heard(reply: list[Any]) -> None:
            taken = read_taken(reply)
            answer.append(taken)
            begin(taken.started)

        came = await self._scripts.run_after(
            self._wait_command(seconds),
            seconds,
            "take",
            self._take_keys(request.who),
            self._take_arguments(request),
            heard,
        )
        if isinstance(came, Exception):
            if not isinstance(came, redis.ResponseError) or not is_full(came):
                raise came
            await asyncio.sleep(POLL_SECONDS)
        return checked(answer[0], request.who, came=came is not None)

    async def message(self, request: TakeRequest, seconds: float) -> bytes:
        """What `wait` says to Redis, for another to say it. It gets two replies: see `WatchLine`."""
        return await self._scripts.message_after(
            self._wait_command(seconds), "take", self._take_keys(request.who), self._take_arguments(request)
        )

    async def ask(self, request: TakeRequest, begin: Callable[[Sequence[StartedJob]], None]) -> Taken:
        """What a request brought whose reply was lost; what is there now if it never came to Redis."""
        keys, arguments = self._take_keys(request.who), self._take_arguments(request)
        taken = read_taken(await self._scripts.run("take", keys, arguments))
        begin(taken.started)
        return checked(taken, request.who, came=True)

    async def call_off(self, request: TakeRequest, begin: Callable[[Sequence[StartedJob]], None]) -> Taken:
        """What a request brought that another was to ask. If it was not run yet, it will bring nothing any more."""
        return replace(await self.ask(replace(request, may_hold=0), begin), came=False)

    def close(self) -> None:
        """Hangs up."""
        self._line.close()

    def _wait_command(self, seconds: float) -> tuple[str | float, ...]:
        key = self._rq_keys.queue(self._queue)
        return "BLMOVE", key, key, "LEFT", "LEFT", seconds

    def _take_keys(self, who: Registration) -> list[str]:
        keys, rq_keys = self._keys, self._rq_keys
        return [
            keys.identities,
            keys.inbox(who.host, who.identity),
            keys.running(who.host, who.identity),
            keys.receipts(who.host, who.identity),
            rq_keys.suspended,
            keys.quarantine,
            keys.quarantine_reasons,
            keys.events,
            keys.reserved,
            keys.host(who.host),
            keys.bell,
            *queue_keys(keys, rq_keys, self._queues),
        ]

    def _take_arguments(self, request: TakeRequest) -> list[str | int]:
        return [
            request.who.host,
            request.who.identity,
            request.name,
            request.may_hold,
            self._queue,
            self._rq_keys.prefix,
            self._keys.counts(""),
            len(self._queues),
            *self._queues,
            *self._on_lost,
        ]


def queue_keys(keys: Keys, rq_keys: RqKeys, queues: Sequence[str]) -> list[str]:
    """What a script has to know of queues that it takes jobs from: three for each."""
    return [key for queue in queues for key in (rq_keys.queue(queue), keys.deferral(queue), keys.deferred(queue))]


def read_taken(reply: Sequence[Any]) -> Taken:
    """What the script returned."""
    if reply[0] == b"fenced":
        return Taken(fenced=True)
    _, count, waits, _, *jobs = reply
    return Taken(count=int(count), waits=bool(waits), started=[read_started(job) for job in jobs])


def checked(taken: Taken, who: Registration, *, came: bool) -> Taken:
    """The same, and whether the wait before it brought something. Raises HostFenced."""
    if taken.fenced:
        raise who.fenced()
    return replace(taken, came=came)
