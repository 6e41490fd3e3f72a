"""For tests of services that enqueue: a farm without Redis and without hosts. Needs the extra `testing` (fakeredis).

    with farm.testing.inline() as client:                # runs each job when it is enqueued
        assert client.queue().enqueue(shop.bill, 7).result() == 70

    with farm.testing.FakeFarm() as fake:                # runs nothing by itself
        shop.order(fake.client, 7)
        fake.assert_enqueued("shop.bill", 7)
        fake.run_all()

Functions, arguments and results go through RQ's real serialisation; what cannot be sent to a host fails here too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from rq import SimpleWorker
from rq.timeouts import TimerDeathPenalty

from farm.client import AsyncClient, Client
from farm.client.enqueueing import CallAndOptions, Enqueuer
from farm.client.options import Options
from farm.client.rq_queue import RqQueue
from farm.client.written import Written

try:
    import fakeredis
except ImportError as error:
    raise ImportError("farm.testing needs fakeredis. Install the extra: pip install 'rq-farm[testing]'") from error


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """One job that was enqueued, with its arguments as a host would get them."""

    id: str
    queue: str
    function: str
    """The path, as in `shop.bill`; of a method its name alone."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: Options

    def __str__(self) -> str:
        shown = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.function}({', '.join(shown)}) on {self.queue}"


class FakeFarm:
    """A farm in the memory of this process. Hand `client` or `async_client` to what you test.

    Jobs run when `run_all` says so, or at once with `run_at_once=True`; a delayed one does not run.
    """

    def __init__(self, *, run_at_once: bool = False) -> None:
        self.connection = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.enqueued: list[EnqueuedJob] = []
        """What was enqueued through the clients, the oldest first."""
        self.client: Client = _RecordingClient(self, run_at_once)
        self.async_client = AsyncClient(client=self.client)
        self._serializers: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def assert_enqueued(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> EnqueuedJob:
        """The latest job of this function with these arguments; if there is none, an AssertionError lists all."""
        path = _path(function)
        for job in reversed(self.enqueued):
            if (job.function, job.args, job.kwargs) == (path, args, kwargs):
                return job
        wanted = EnqueuedJob("", "any queue", path, args, kwargs, Options())
        raise AssertionError(f"not enqueued: {wanted}\nenqueued: {self._listed()}")

    def assert_nothing_enqueued(self) -> None:
        """An AssertionError that lists all jobs if there is one."""
        assert not self.enqueued, f"enqueued: {self._listed()}"

    def run_all(self) -> None:
        """Runs what waits in the queues, and what those jobs enqueue, until nothing waits.

        A job that raises ends as failed; `result()` of its handle tells.
        """
        for name, serializer in list(self._serializers.items()):
            queue = RqQueue(name, self.connection, serializer)
            while queue.count:
                _run_waiting(queue)

    def record(self, queue: RqQueue, jobs: Iterable[Written]) -> None:
        """Notes jobs that were enqueued."""
        self._serializers[queue.name] = queue.serializer
        for job in jobs:
            function, _, args, kwargs = queue.serializer.loads(job.data)
            self.enqueued.append(EnqueuedJob(job.id, queue.name, function, tuple(args), kwargs, job.options))

    def _listed(self) -> str:
        return "".join(f"\n  {job}" for job in self.enqueued) or "nothing"


@contextmanager
def inline() -> Iterator[Client]:
    """A client whose jobs run when they are enqueued, in this process."""
    with FakeFarm(run_at_once=True) as fake:
        yield fake.client


class _RecordingClient(Client):
    def __init__(self, farm: FakeFarm, run_at_once: bool) -> None:
        super().__init__(connection=farm.connection)
        self._farm = farm
        self._run_at_once = run_at_once

    def write(self, enqueuer: Enqueuer, wanted: Sequence[CallAndOptions]) -> list[Written]:
        jobs = super().write(enqueuer, wanted)
        self._farm.record(enqueuer.queue, jobs)
        if self._run_at_once:
            self._farm.run_all()
        return jobs


class _InlineWorker(SimpleWorker):
    """RQ's worker in the test's own thread: no signals, and nobody sends it commands."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        pass

    def subscribe(self) -> None:
        pass

    def unsubscribe(self) -> None:
        pass


def _run_waiting(queue: RqQueue) -> None:
    worker = _InlineWorker([queue], connection=queue.connection, serializer=queue.serializer)
    worker.work(burst=True, logging_level=None)


def _path(function: Callable[..., Any] | str) -> str:
    if isinstance(function, str):
        return function
    if hasattr(function, "__self__"):
        return function.__name__
    return f"{function.__module__}.{function.__qualname__}"
