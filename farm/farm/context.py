"""What a running job sees of itself and of its process: `current_job()` and `current_process()`."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol


class _Record(Protocol):
    """The part of RQ's job that is read here."""

    @property
    def id(self) -> str: ...

    @property
    def meta(self) -> dict[str, Any]: ...


class CurrentProcess:
    """The process that runs jobs. Hooks and jobs of one process share it."""

    __slots__ = ("arguments", "host", "number", "pid", "runners", "userdata")

    def __init__(self, host: str, number: int, pid: int, runners: Mapping[str, str] | None = None) -> None:
        self.host = host
        """Name of the host."""
        self.number = number
        """Number of the process within its host, from 1."""
        self.pid = pid
        self.userdata: dict[str, Any] = {}
        """Filled by preload and prewarm functions, read by jobs. Lives as long as the process."""
        self.arguments: Any = None
        """What the app's `arguments` function said of this process."""
        self.runners = runners or {}
        """Runners of this host: name → path of the socket that they answer on."""

    def __repr__(self) -> str:
        return f"<process {self.number} of host {self.host}, pid {self.pid}>"


class CurrentJob:
    """The job that runs now, as it may be read inside of it."""

    __slots__ = ("_record", "attempt", "process", "queue")

    def __init__(self, record: _Record, queue: str, attempt: int, process: CurrentProcess) -> None:
        self._record = record
        self.queue = queue
        """Name of the queue that it came from."""
        self.attempt = attempt
        """1 when it runs for the first time."""
        self.process = process

    @property
    def id(self) -> str:
        """The job's id."""
        return self._record.id

    @property
    def meta(self) -> dict[str, Any]:
        """RQ's `job.meta`. Changes are stored by `rq.get_current_job().save_meta()`."""
        return self._record.meta

    def __repr__(self) -> str:
        return f"<job {self.id} of queue {self.queue}, attempt {self.attempt}>"


running_job: ContextVar[CurrentJob | None] = ContextVar("farm_running_job", default=None)
"""Set by the process around each job. Read it through `current_job`."""

_process: CurrentProcess | None = None


def current_job() -> CurrentJob | None:
    """The job that runs here, or None outside of one. Like every context variable, not seen by new threads."""
    return running_job.get()


def current_process() -> CurrentProcess | None:
    """The process of the pool that this code runs in, from every thread of it; None elsewhere."""
    return _process


def enter_process(process: CurrentProcess) -> None:
    """Called once by a process of the pool: `current_process` returns `process` from now on."""
    global _process  # noqa: PLW0603 - one per process of the operating system, as the name says
    _process = process
