"""Client: how a service gives jobs to the farm. What it writes is what plain rq writes, so plain rq can read it."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from farm.client.calls import Call, Function, InvalidCall
from farm.client.enqueueing import CallAndOptions, Enqueuer
from farm.client.job_handle import JobHandle
from farm.client.jobs import Jobs
from farm.client.options import Options, QueueOptions, check_options
from farm.client.quarantine import Quarantine
from farm.client.rq_queue import RqQueue
from farm.client.written import Written
from farm.errors import SettingsError
from farm.host_handle import HostHandle
from farm.keys import Keys, RqKeys
from farm.store.address import resolve
from farm.store.connection import REDIS_ERRORS, connect, raise_readable, readable_errors
from farm.store.direct import Direct
from farm.store.enqueueing import EnqueueStore
from farm.store.job_list import JobLister, JobPage, ListedStatus, Wanted
from farm.store.job_reader import Connection, JobReader
from farm.store.quarantine import QuarantineStore
from farm.store.requeueing import RequeueStore
from farm_settings import InvalidSetting, Settings, load

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

ManyCalls = Iterable[Call | tuple[Function, tuple[Any, ...], Mapping[str, Any]]]


class Client:
    """One Redis to enqueue to. May be shared by threads; opens its first connection with its first command.

    A command is never repeated by itself: after RedisUnavailable from an enqueue the job may be there or not. Give it a
    `job_id` and `unique=True` if you want to try again.
    """

    def __init__(
        self, redis_url: str | None = None, *, connection: Connection | None = None, settings: Settings | None = None
    ) -> None:
        """`redis_url`, else the address every command of the farm uses; `connection`: a redis.Redis of your own, which
        stays yours to close. Raises SettingsError for a setting that cannot be used.
        """
        self.settings = settings if settings is not None else load_settings(redis_url)
        self.url = redis_url or resolve(self.settings.redis).url
        self._owns_connection = connection is None
        if connection is not None:
            check_bytes(connection)
            self.url = "the connection given to the client"
        self.connection = connection if connection is not None else connect(self.url)
        keys, rq_keys = Keys(self.settings.redis.prefix), RqKeys(self.settings.redis.rq_prefix)
        lease = self.settings.lease
        direct = Direct(self.connection) if connection is None else None
        self.enqueue_store = EnqueueStore(self.connection, rq_keys, direct)
        self._requeueing = RequeueStore(self.connection, rq_keys)
        reader = JobReader(self.connection, keys, rq_keys, lease.host_timeout, direct)
        self._jobs = Jobs(self.connection, reader, self._requeueing, self.url)
        self._lister = JobLister(self.connection, keys, rq_keys, lease.suspect_after, lease.host_timeout)
        self.quarantine = Quarantine(QuarantineStore(self.connection, keys, rq_keys), self.url)
        """The jobs whose records cannot be read."""

    def queue(self, name: str = "default", **options: Unpack[QueueOptions]) -> "ClientQueue":
        """A queue to enqueue to, with options for each job (see QueueOptions). Opens nothing.

        Raises InvalidCall for options that cannot be used.
        """
        return ClientQueue(self, name, options)

    def job(self, job_id: str, *, serializer: Any = None) -> JobHandle[Any]:
        """A job enqueued earlier or elsewhere. Looks nothing up."""
        return JobHandle(self._jobs, job_id, serializer or self.settings.jobs.serializer)

    def jobs(
        self,
        *,
        statuses: Collection[ListedStatus] = (),
        queues: Collection[str] = (),
        host: str | None = None,
        limit: int = 100,
    ) -> JobPage:
        """At most `limit` jobs: by status, within one in the order of their turn, ended ones the latest first.

        What is not given restricts nothing: every status, every queue, every host. Nothing of a job is decoded.
        """
        with readable_errors(self.url):
            return self._lister.jobs(Wanted(statuses, queues, host), limit)

    def requeue_failed(self, queue: str) -> int:
        """Puts all jobs that failed in this queue at its end, in pages. Returns how many. Stopped ones stay.

        Their counts of crashes and lost hosts start at zero.
        """
        with readable_errors(self.url):
            pages = self._requeueing.requeue_failed(queue)
            return sum(answer.outcome == "requeued" for page in pages for answer in page)

    def host(self, name: str) -> HostHandle:
        """A host, to read and to steer, over the connection of this client. Looks nothing up."""
        return HostHandle(name, self.connection, self.settings, self.url)

    def handle_of(self, written: Written, serializer: Any) -> JobHandle[Any]:
        """A job that this client has just enqueued."""
        return JobHandle(self._jobs, written.id, serializer, first_of_its_id=written.options.job_id is None)

    def close(self) -> None:
        """Closes the connections that this client opened."""
        if self._owns_connection:
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, enqueuer: Enqueuer, wanted: Sequence[CallAndOptions]) -> list[Written]:
        """The one way by which jobs of this client get to Redis."""
        try:
            return enqueuer.enqueue(wanted)
        except REDIS_ERRORS as error:
            raise_readable(error, self.url)


class ClientQueue:
    """A queue and how jobs are enqueued to it."""

    def __init__(self, client: Client, name: str, options: QueueOptions) -> None:
        if not name:
            raise InvalidCall("the name of a queue cannot be empty")
        self.name = name
        self._client = client
        self._given = options
        self._options = check_options(options)
        self._serializer = options.get("serializer") or client.settings.jobs.serializer
        rq_queue = RqQueue(name, client.connection, self._serializer)
        self._enqueuer = Enqueuer(rq_queue, client.enqueue_store, self._options)

    @overload
    def enqueue(self, function: str, *args: Any, **kwargs: Any) -> JobHandle[Any]: ...

    @overload
    def enqueue(
        self,
        function: Callable[Parameters, Coroutine[Any, Any, Result]],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> JobHandle[Result]: ...

    @overload
    def enqueue(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> JobHandle[Result]: ...

    def enqueue(self, function: Function, *args: Any, **kwargs: Any) -> JobHandle[Any]:
        """Has a host call `function(*args, **kwargs)`; text is the function's path, `module.function`.

        Raises InvalidCall and DuplicateJob before anything is written, RedisError when Redis does not answer.
        """
        (written,) = self._client.write(self._enqueuer, [(Call(function, args, kwargs), self._options)])
        return self._client.handle_of(written, self._serializer)

    def enqueue_many(self, calls: ManyCalls) -> list[JobHandle[Any]]:
        """Enqueues all of them or none, in one round trip. A call is a Call, or `(function, args, kwargs)`.

        With `unique` or `depends_on` each goes by itself, so an error leaves those before it enqueued.
        """
        listed = [call if isinstance(call, Call) else Call(*call) for call in calls]
        written = self._client.write(self._enqueuer, [(call, self._options_of(call)) for call in listed])
        return [self._client.handle_of(job, self._serializer) for job in written]

    def _options_of(self, call: Call) -> Options:
        if not call.options:
            return self._options
        if "serializer" in call.options:
            raise InvalidCall("serializer is an option of the queue, not of one call: hosts read a queue with one")
        return check_options({**self._given, **call.options})


def load_settings(redis_url: str | None) -> Settings:
    """Settings as the environment has them. Raises SettingsError."""
    try:
        return load({"redis_url": redis_url} if redis_url else {})
    except InvalidSetting as error:
        raise SettingsError(str(error)) from error


def check_bytes(connection: Connection) -> None:
    """Raises SettingsError for a connection that decodes answers: jobs are no text."""
    if connection.get_encoder().decode_responses:
        raise SettingsError("the connection has decode_responses=True, which RQ cannot use: jobs are no text. Drop it.")
