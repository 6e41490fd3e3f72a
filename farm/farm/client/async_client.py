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
from farm.client.job_handle import JobHandle, Result, seconds_left
from farm.client.jobs import BLOCKED_READS, Canceled, pause_after
from farm.client.options import QueueOptions
from farm.client.results import timed_out, value_of
from farm.store.connection import (
    LOOP_ANSWER_TIMEOUT_SECONDS,
    REDIS_ERRORS,
    REFUSED,
    connect_async,
    raise_readable,
)
from farm.store.evidence import Evidence
from farm.store.job_reader import POLL_SECONDS, Connection, success_in
from farm.store.job_status import JobStatus, Outcome, Progress
from farm.store.line import Command, Line
from farm_settings import Settings

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

THREADS = 8
"""Each holds at most one connection, and a command is a millisecond: more gain nothing."""

DECODED_AT_ONCE_BYTES = 10_000
"""Of a result; a longer one is decoded in a thread, as that takes a while."""


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
        self._lines: list[Line] = []
        self._places = BLOCKED_READS

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
        for line in self._lines:
            line.close()
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

    async def wait(self, command: Command, seconds: float, looks: int) -> Outcome | None:
        """Returns when `command` found a result, or it is time to look again; with it, if it is a success.

        `seconds`: for which it blocks at most.
        """
        if self._waiting is None or not self._places:
            await asyncio.sleep(min(seconds, pause_after(looks)))
            return None
        line = self._lines.pop() if self._lines else Line(self._waiting)
        self._places -= 1
        cancels = _cancels_asked()
        try:
            found = await line.ask_one(*command, seconds=seconds + LOOP_ANSWER_TIMEOUT_SECONDS)
            if _cancels_asked() > cancels:
                # redis-py connects through asyncio.wait_for, which before Python 3.12 may lose a cancel
                raise asyncio.CancelledError
            return success_in(found)
        except REFUSED:  # a server that lets nobody block, a key of the wrong type
            await asyncio.sleep(min(seconds, POLL_SECONDS))
            return None
        except REDIS_ERRORS as error:
            raise_readable(error, self._client.url)
        finally:
            self._places += 1
            self._lines.append(line)


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
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._handle.waits_first(timeout):
            outcome = await self._wait(None, seconds_left(deadline))
        else:
            outcome = await self._client.run(self._handle.jobs.outcome, self.id)
        looks = 0
        while not outcome.ended:
            left = seconds_left(deadline)
            if left <= 0:
                status = await self._client.run(self._handle.jobs.status_or_none, self.id)
                raise timed_out(self.id, timeout or 0, status)
            outcome = await self._wait(outcome.entry, left, looks)
            looks += 1
        if len(outcome.value or b"") <= DECODED_AT_ONCE_BYTES:
            value: Result = value_of(self.id, outcome, self._handle.serializer)
        else:
            value = await self._client.run(value_of, self.id, outcome, self._handle.serializer)
        return value

    async def _wait(self, after: str | None, seconds: float, looks: int = 0) -> Outcome:
        success = await self._client.wait(self._handle.jobs.wait_command(self.id, after, seconds), seconds, looks)
        if success is not None and self._handle.first_of_its_id:
            return success
        return await self._client.run(self._handle.jobs.outcome, self.id)

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
