"""AsyncClient: the same for event loops. RQ is synchronous, so short commands go to a few threads of the client's own.

Waiting for a result holds no thread: it is a blocking read on a connection of the event loop, and where many wait at
once, a look now and then.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, Unpack, overload

from farm.client.calls import Call, Function
from farm.client.client import Client, ClientQueue, ManyCalls
from farm.client.job_handle import RECHECK_SECONDS, JobHandle, Result
from farm.client.jobs import Canceled
from farm.client.options import QueueOptions
from farm.client.results import timed_out, value_of
from farm.store.connection import connect_async, readable_errors
from farm.store.evidence import Evidence
from farm.store.job_reader import Connection
from farm.store.job_status import JobStatus, Progress
from farm_settings import Settings

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

THREADS = 8
"""Each holds at most one connection, and a command is a millisecond: more gain nothing."""

BLOCKED_READS = 32
"""Waiters that get a connection of their own; the others look now and then."""

FIRST_PAUSE_SECONDS = 0.02


class AsyncClient:
    """One Redis to enqueue to, from one event loop. Nothing it does blocks the loop.

    A call that is canceled while its command is under way may still have enqueued its job, as with any network call.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        connection: Connection | None = None,
        settings: Settings | None = None,
        client: Client | None = None,
    ) -> None:
        """As for Client; or over a `client` that is there, which it then closes.

        With a `connection` (a synchronous redis.Redis, used in threads) or a `client`, results are looked for now and
        then instead of being waited for. Raises SettingsError.
        """
        self._client = client if client is not None else Client(redis_url, connection=connection, settings=settings)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="farm-client")
        own_address = connection is None and client is None
        self._waiting = connect_async(self._client.url) if own_address else None
        self._reads = asyncio.Semaphore(BLOCKED_READS)

    def queue(self, name: str = "default", **options: Unpack[QueueOptions]) -> "AsyncClientQueue":
        """A queue to enqueue to, with options for each job (see QueueOptions). Opens nothing. Raises InvalidCall."""
        return AsyncClientQueue(self, self._client.queue(name, **options))

    def job(self, job_id: str, *, serializer: Any = None) -> "AsyncJobHandle[Any]":
        """A job enqueued earlier or elsewhere. Looks nothing up."""
        return self.handle(self._client.job(job_id, serializer=serializer))

    def handle(self, handle: JobHandle[Result]) -> "AsyncJobHandle[Result]":
        """The same job for this event loop."""
        return AsyncJobHandle(self, handle)

    async def close(self) -> None:
        """Ends the threads, after the commands under way, and closes the connections that this client opened."""
        await asyncio.to_thread(self._threads.shutdown)
        if self._waiting is not None:
            await self._waiting.aclose()
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, command: Callable[..., Answer], *arguments: Any) -> Answer:
        """Runs a command of the synchronous client in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, command, *arguments)

    async def pause(self, stream: dict[Any, Any], looks: int, longest: float) -> None:
        """Returns when the stream has something new, or it is time to look again; at the latest after `longest`."""
        if self._waiting is None or self._reads.locked():
            await asyncio.sleep(min(longest, FIRST_PAUSE_SECONDS * 2 ** min(looks, 10)))
            return
        cancels = _cancels_asked()
        async with self._reads:
            with readable_errors(self._client.url):
                await self._waiting.xread(stream, count=1, block=max(1, int(longest * 1000)))
        if _cancels_asked() > cancels:
            # redis-py sends through asyncio.wait_for, which before Python 3.12 may lose a cancel
            raise asyncio.CancelledError


def _cancels_asked() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


class AsyncClientQueue:
    """A queue and how jobs are enqueued to it."""

    def __init__(self, client: AsyncClient, queue: ClientQueue) -> None:
        self.name = queue.name
        self._client = client
        self._queue = queue

    @overload
    async def enqueue(self, function: str, *args: Any, **kwargs: Any) -> "AsyncJobHandle[Any]": ...

    @overload
    async def enqueue(
        self,
        function: Callable[Parameters, Coroutine[Any, Any, Result]],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> "AsyncJobHandle[Result]": ...

    @overload
    async def enqueue(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> "AsyncJobHandle[Result]": ...

    async def enqueue(self, function: Function, *args: Any, **kwargs: Any) -> "AsyncJobHandle[Any]":
        """Has a host call `function(*args, **kwargs)`, as `ClientQueue.enqueue`."""
        return (await self.enqueue_many([Call(function, args, kwargs)]))[0]

    async def enqueue_many(self, calls: ManyCalls) -> "list[AsyncJobHandle[Any]]":
        """Enqueues all of them, as `ClientQueue.enqueue_many`."""
        handles = await self._client.run(self._queue.enqueue_many, list(calls))
        return [self._client.handle(handle) for handle in handles]


class AsyncJobHandle(Generic[Result]):
    """One job. Holds an id; each method asks Redis, and raises what the method of JobHandle raises."""

    def __init__(self, client: AsyncClient, handle: JobHandle[Result]) -> None:
        self.id = handle.id
        self._client = client
        self._handle = handle

    async def result(self, timeout: float | None = None) -> Result:
        """What the function returned, as `JobHandle.result`. Canceling the wait leaves the job alone."""
        jobs, deadline = self._handle.jobs, None if timeout is None else time.monotonic() + timeout
        looks = 0
        while True:
            outcome = await self._client.run(jobs.outcome, self.id)
            if outcome.ended:
                value: Result = await self._client.run(value_of, self.id, outcome, self._handle.serializer)
                return value
            left = RECHECK_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise timed_out(self.id, timeout or 0, await self._client.run(jobs.status_or_none, self.id))
            await self._client.pause(jobs.stream(self.id, outcome.entry), looks, min(left, RECHECK_SECONDS))
            looks += 1

    async def status(self) -> JobStatus:
        """Where it is. Raises JobNotFound."""
        return await self._client.run(self._handle.status)

    async def progress(self) -> Progress | None:
        """What its code said last of how far it is, as `JobHandle.progress`."""
        return await self._client.run(self._handle.progress)

    async def evidence(self) -> tuple[Evidence, ...]:
        """The processes and hosts that ended while they ran it, as `JobHandle.evidence`."""
        return await self._client.run(self._handle.evidence)

    async def cancel(self, grace: float | None = None, *, stop: bool = True) -> Canceled:
        """Keeps it from running, as `JobHandle.cancel`."""
        return await self._client.run(partial(self._handle.cancel, grace, stop=stop))

    async def requeue(self) -> None:
        """Puts it at the end of its queue after it failed, as `JobHandle.requeue`."""
        await self._client.run(self._handle.requeue)

    async def delete(self) -> None:
        """Takes it and its results out of Redis. Raises JobNotFound."""
        await self._client.run(self._handle.delete)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"
