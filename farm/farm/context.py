"""What a running job sees of itself and of its process: `current_job()` and `current_process()`."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from farm.account import Account
from farm.errors import JobCancelled
from farm.progress_report import ProgressReport, Send
from farm.usage import DATE_LENGTH, Meter, Usage

ENTRYPOINT = "farm.entrypoint"
"""The function that jobs name to run the entry point of a host's app."""


class _Record(Protocol):
    """The part of RQ's job that is read here."""

    @property
    def id(self) -> str: ...

    @property
    def meta(self) -> dict[str, Any]: ...

    @property
    def func_name(self) -> str | None: ...

    @property
    def args(self) -> Any: ...

    @property
    def kwargs(self) -> Any: ...


class CurrentProcess:
    """The process that runs jobs. Hooks and jobs of one process share it."""

    __slots__ = ("account", "arguments", "copy", "facts", "host", "number", "pid", "runner", "runners", "userdata")

    def __init__(
        self, host: str, number: int, pid: int, runners: Mapping[str, str] | None = None, facts: str = ""
    ) -> None:
        self.host = host
        """Name of the host."""
        self.number = number
        """Number of the process within its host, from 1."""
        self.pid = pid
        self.account = Account()
        """What its jobs use is measured by it."""
        self.userdata: dict[str, Any] = {}
        """Filled by preload and prewarm functions, read by jobs. Lives as long as the process."""
        self.arguments: Any = None
        """What the app's `arguments` function said of this process."""
        self.runners = runners or {}
        """Runners of this host: name → path of the socket that they answer on."""
        self.facts = facts
        """Where the host says how it is: `farm.host_facts()` reads it."""
        self.runner: str | None = None
        """Name of the runner that this process is a copy of. None in a process that runs jobs."""
        self.copy = 0
        """Which copy of that runner it is, from 0."""

    def __repr__(self) -> str:
        return f"<process {self.number} of host {self.host}, pid {self.pid}>"


class CurrentJob:
    """The job that runs now, as it may be read inside of it."""

    __slots__ = (
        "_cancel_reason",
        "_enqueued_at",
        "_log_fields",
        "_meter",
        "_record",
        "_report",
        "_send_progress",
        "attempt",
        "fence",
        "has_more",
        "process",
        "queue",
        "shutdown_callbacks",
    )

    def __init__(
        self,
        record: _Record,
        queue: str,
        attempt: int,
        process: CurrentProcess,
        send_progress: Send | None = None,
        fence: int = 0,
        enqueued_at: bytes = b"",
    ) -> None:
        self._record = record
        self.queue = queue
        """Name of the queue that it came from."""
        self.attempt = attempt
        """1 when it runs for the first time."""
        self.fence = fence
        """Greater at each start of this job, below 2**53: what you write to can refuse a run that was given up."""
        self.process = process
        self.shutdown_callbacks: list[Callable[[], Any]] | None = None
        """What `add_shutdown_callback` was given, in that order. None: nothing."""
        self.has_more = False
        """Whether something is to be done after its function: shutdown callbacks, progress that waits."""
        self._send_progress = send_progress
        self._report: ProgressReport | None = None
        self._cancel_reason: str | None = None
        self._log_fields: dict[str, Any] | None = None
        self._enqueued_at = enqueued_at
        """As RQ writes it, at the end of what may be longer."""
        self._meter = Meter(process.account)

    @property
    def id(self) -> str:
        """The job's id."""
        return self._record.id

    @property
    def meta(self) -> dict[str, Any]:
        """RQ's `job.meta`. Changes are stored by `rq.get_current_job().save_meta()`."""
        return self._record.meta

    @property
    def payload(self) -> Any:
        """What was enqueued for the entry point: its argument, else its keyword arguments as a dict, else None.

        None for jobs that are functions: those get their arguments.
        """
        record = self._record
        if record.func_name != ENTRYPOINT:
            return None
        return record.args[0] if record.args else dict(record.kwargs) or None

    @property
    def log_fields(self) -> dict[str, Any]:
        """What is put here stands in each line that the job logs from then on."""
        if self._log_fields is None:
            self._log_fields = {}
        return self._log_fields

    def usage(self) -> Usage:
        """What the job has used so far."""
        return self._meter.read(self._enqueued_at[-DATE_LENGTH:])

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """Tells how far the job is: `fraction` from 0 to 1, `text` for people, or both.

        `farm job` and job handles show what was said last. May be called as often as one likes: ten times a second at
        most something is sent, and the last is always among it.
        """
        if self._send_progress is None:
            return
        if self._report is None:
            self.has_more = True  # first: a time limit may interrupt this anywhere
            self._report = ProgressReport(self._send_progress)
        self._report.say(None if fraction is None else float(fraction), str(text))

    @property
    def is_cancelled(self) -> bool:
        """True once somebody asked for the job's end. Long jobs look from time to time, clean up and leave."""
        return self._cancel_reason is not None

    def raise_if_cancelled(self) -> None:
        """Raises JobCancelled if somebody asked for the job's end. A job that lets it through ends as stopped."""
        if self._cancel_reason is not None:
            raise JobCancelled(f"job {self.id} was asked to end: {self._cancel_reason}")

    def cancel(self, reason: str) -> None:
        """Asks the job to end. For the host, from any thread: the job sees `is_cancelled`."""
        self._cancel_reason = reason or "no reason given"

    def add_shutdown_callback(self, callback: Callable[[], Any]) -> None:
        """Calls `callback` when the job's function has returned or raised; the one added last comes first.

        May be `async`. One that raises is logged; it changes nothing in how the job ended. All of them, and what
        follows the `yield` of `@app.around_job` functions, have a minute.
        """
        if not callable(callback):
            raise TypeError(f"add_shutdown_callback takes a function without arguments, not {callback!r}")
        if self.shutdown_callbacks is None:
            self.has_more = True
            self.shutdown_callbacks = []
        self.shutdown_callbacks.append(callback)

    def finish(self) -> None:
        """Sends the progress that waits; what is said later goes nowhere. For the process, when the job is over."""
        self._send_progress = None
        if self._report is not None:
            self._report.close()
            self._report = None

    def __repr__(self) -> str:
        return f"<job {self.id} of queue {self.queue}, attempt {self.attempt}>"


running_jobs: dict[int, CurrentJob] = {}
"""The jobs that run in this process, by the sequence number that the host gave them."""

_cancelled_early: dict[int, str] = {}
"""Jobs that were asked to end before they were under way here: sequence → reason."""
MAX_CANCELLED_EARLY = 100


def enter_job(sequence: int, job: CurrentJob) -> None:
    """Called by the process when a job begins. It deletes it from `running_jobs` at the end."""
    running_jobs[sequence] = job
    if _cancelled_early and (reason := _cancelled_early.pop(sequence, None)) is not None:
        job.cancel(reason)


def cancel_job(sequence: int, reason: str) -> None:
    """Asks a job of this process to end, also one that is about to begin. From any thread."""
    while len(_cancelled_early) >= MAX_CANCELLED_EARLY:
        _cancelled_early.pop(next(iter(_cancelled_early)), None)
    _cancelled_early[sequence] = reason  # first: the job may begin right here
    job = running_jobs.get(sequence)
    if job is not None:
        _cancelled_early.pop(sequence, None)
        job.cancel(reason)


def enter_later(sequence: int) -> None:
    """Called by the process when a job that had entered begins once more: who asked for its end is not forgotten."""
    reason = running_jobs.pop(sequence)._cancel_reason  # noqa: SLF001 - jobs see `is_cancelled`
    if reason is not None:
        cancel_job(sequence, reason)


running_job: ContextVar[CurrentJob | None] = ContextVar("farm_running_job", default=None)
"""Set by the process around each job. Read it through `current_job`."""

_process: CurrentProcess | None = None
_thread_process: ContextVar[CurrentProcess | None] = ContextVar("farm_thread_process", default=None)
"""Where threads of one process each stand for a process of the pool."""


def current_job() -> CurrentJob | None:
    """The job that runs here, or None outside of one. Like every context variable, not seen by new threads."""
    return running_job.get()


def current_process() -> CurrentProcess | None:
    """The process of the pool that this code runs in, from every thread of it; None elsewhere."""
    return _thread_process.get() or _process


def enter_process(process: CurrentProcess) -> None:
    """Called once by a process of the pool: `current_process` returns `process` from now on."""
    global _process  # noqa: PLW0603 - one per process of the operating system, as the name says
    _process = process


def enter_thread(process: CurrentProcess) -> None:
    """Called once by a thread that stands for a process of the pool: it and its coroutines see `process`."""
    _thread_process.set(process)
