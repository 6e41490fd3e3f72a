"""`farm.host(name)`: reading and steering one host from anywhere. No user code shares a process with its pool."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from farm.errors import HostNotFound, SettingsError
from farm.keys import Keys
from farm.store.address import resolve
from farm.store.connection import connect, readable_errors
from farm.store.host_reader import HostDetails, HostReader
from farm.store.job_reader import Connection
from farm.store.process_view import ProcessView, RunnerView
from farm_settings import InvalidSetting, Settings, load

LOOK_SECONDS = 0.2
"""How often a wait looks at the host."""


def host(name: str, redis_url: str | None = None) -> "HostHandle":
    """The host of this name, over a connection of its own: close it, or use it in a `with`. Looks nothing up.

    `redis_url`, else the address that every command of the farm uses. Raises SettingsError for a setting that cannot
    be used.
    """
    try:
        settings = load({"redis_url": redis_url} if redis_url else {})
    except InvalidSetting as error:
        raise SettingsError(str(error)) from error
    url = redis_url or resolve(settings.redis).url
    return HostHandle(name, connect(url), settings, url, owns_connection=True)


class HostHandle:
    """One host, by name. Each question asks Redis, and gets what the host said with its last beat.

    Everything raises HostNotFound for a host that is not registered, and RedisError when Redis does not answer.
    """

    def __init__(
        self, name: str, connection: Connection, settings: Settings, url: str, *, owns_connection: bool = False
    ) -> None:
        """Made by `farm.host` and `Client.host`. `url` is for messages."""
        self.name = name
        self._connection = connection
        self._owns_connection = owns_connection
        self._url = url
        lease = settings.lease
        self._reader = HostReader(connection, Keys(settings.redis.prefix), lease.suspect_after, lease.host_timeout)

    def details(self) -> HostDetails:
        """All of it at one moment: what it published, its processes and runners, what operators want of it."""
        with readable_errors(self._url):
            return self._reader.details(self.name)

    @property
    def state(self) -> str:
        """`starting`, `available`, `full`, `draining` or `unhealthy`; `suspect` or `lost` if it is silent."""
        host = self.details().host
        return host.state if host.standing == "live" else host.standing

    @property
    def load(self) -> float:
        """0 to 1; at its threshold or over it the host takes nothing new."""
        return self.details().host.number("load") or 0.0

    @property
    def processes(self) -> list[ProcessView]:
        """Those that warm up, wait, run jobs or close, by number; the first thousand if there are more."""
        return list(self.details().processes)

    def job(self, job_id: str) -> ProcessView | None:
        """The process that runs this job, and what it says of it; None if none of this host's does.

        Where many run side by side in one process, the first 20 are known.
        """
        return next(filter(None, (process.naming(job_id) for process in self.details().processes)), None)

    @property
    def runners(self) -> list[RunnerView]:
        """The copies of the app's runners, by name."""
        return list(self.details().runners)

    @property
    def idle_processes(self) -> int:
        """How many idle processes the host keeps warm now. What was set shows here after the host's next beat."""
        return int(self.details().host.number("idle_processes") or 0)

    def set_idle_processes(self, count: int) -> None:
        """How many idle processes the host is to keep warm: more are started, surplus ones are closed, at once.

        Holds until the host ends: one that is started anew does as its settings say. No host keeps more than it has
        slots. Raises ValueError for a negative count.
        """
        if count < 0:
            raise ValueError(f"idle_processes={count}: a host can keep 0 or more processes warm")
        self._desire({"idle_processes": int(count)})

    def drain(self, *, then_exit: bool = False) -> None:
        """Has the host take nothing new, give back what it did not begin, and let running jobs end.

        It stays, `draining`, until `resume`; so does one of its name that starts within a minute of its last beat. With
        `then_exit` it ends after its jobs, as on SIGTERM, which can't be taken back.
        """
        self._desire({"drain": "exit" if then_exit else "stay"})

    def wait_until_drained(self, seconds: float, *, then_exit: bool = False) -> bool:
        """Waits until the host drains and nothing runs there; with `then_exit` until it has left.

        False when the time was over first. A host that is gone has nothing that runs: its jobs are with others.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                host = self.details().host
            except HostNotFound:
                return True
            if not then_exit and host.state == "draining" and not host.running and not host.inbox:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, LOOK_SECONDS))

    def resume(self) -> None:
        """Has a drained host take jobs again. One that was told to end does so all the same."""
        self._desire({"drain": "no"})

    def close(self) -> None:
        """Closes the connection that `farm.host` opened."""
        if self._owns_connection:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _desire(self, fields: Mapping[str, int | str]) -> None:
        with readable_errors(self._url):
            self._reader.desire(self.name, fields)
