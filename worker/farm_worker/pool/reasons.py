"""Why a process ended, and what is known about its end."""

import signal
from dataclasses import dataclass
from enum import StrEnum

_BYTES_PER_MB = 1_000_000


class Reason(StrEnum):
    """The one cause of a process's end. What the host did on purpose comes before what only looks like a crash."""

    UNRESPONSIVE = "unresponsive"
    INITIALIZE_TIMEOUT = "initialize_timeout"
    INITIALIZE_ERROR = "initialize_error"
    MEMORY_LIMIT = "memory_limit"
    JOB_TIMEOUT = "job_timeout"
    CRASHED = "crashed"
    """A signal that the host did not send."""
    EXITED = "exited"
    """It left by itself, with any exit code."""
    STOPPED = "stopped"
    RECYCLED = "recycled"
    SURPLUS = "surplus"
    DRAINED = "drained"
    CLOSED = "closed"
    HOST_LOST = "host_lost"


class Phase(StrEnum):
    """What a process was doing."""

    INITIALIZE = "initialize"
    IDLE = "idle"
    JOB = "job"
    CLOSING = "closing"


EXPECTED = frozenset({Reason.STOPPED, Reason.RECYCLED, Reason.SURPLUS, Reason.DRAINED, Reason.CLOSED})
"""Reasons that somebody asked for. All others are worth an event."""

_CAUSES = {
    Reason.UNRESPONSIVE: "did not answer and was killed",
    Reason.INITIALIZE_TIMEOUT: "did not become ready in time and was killed",
    Reason.INITIALIZE_ERROR: "failed",
    Reason.MEMORY_LIMIT: "used more memory than its limit and was killed",
    Reason.JOB_TIMEOUT: "was killed, its job ran beyond its timeout",
    Reason.STOPPED: "was killed to stop its job",
    Reason.RECYCLED: "was recycled",
    Reason.SURPLUS: "was closed, it was not needed any more",
    Reason.DRAINED: "was closed, the host drains",
    Reason.CLOSED: "was closed",
    Reason.HOST_LOST: "was killed, its host had been given up",
}

_DOING = {Phase.INITIALIZE: " while it initialized", Phase.IDLE: " while idle", Phase.CLOSING: " while it closed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnd:
    """The facts of one process's end."""

    reason: Reason
    pid: int
    number: int
    """Its number within the host, from 1."""
    phase: Phase
    exit_code: int | None
    """None when a signal ended it."""
    signal: str | None
    """`SIGSEGV`; None when it exited."""
    age: float
    """Seconds since it was spawned."""
    jobs_done: int
    last_memory: int | None
    """Bytes of it and all it started, as last sampled. None: never sampled."""
    job_id: str | None = None
    """The job that had begun and not ended."""
    job_seconds: float | None = None
    """How long that job had run."""
    error: str = ""
    """What the process said: the error of its initialization."""

    @property
    def abnormal(self) -> bool:
        """True unless somebody asked for this end."""
        return self.reason not in EXPECTED

    def sentence(self) -> str:
        """For humans: who, what happened, while doing what, with what memory."""
        said = f": {self.error}" if self.error else ""
        memory = "" if self.last_memory is None else f", memory {self.last_memory / _BYTES_PER_MB:.0f} MB"
        return f"process {self.number} (pid {self.pid}) {self._cause()}{self._doing()}{memory}{said}"

    def _cause(self) -> str:
        if self.reason is Reason.EXITED:
            return f"exited with code {self.exit_code}"
        if self.reason is Reason.CRASHED:
            return f"was killed by {_signal_text(self.signal)}"
        return _CAUSES[self.reason]

    def _doing(self) -> str:
        if self.job_id is not None:
            return f" while running job {self.job_id}, {self.job_seconds or 0.0:.1f} s after its start"
        after = f"{self.age:.1f} s after it was spawned, {self.jobs_done} jobs done"
        return f"{_DOING.get(self.phase, '') if self.abnormal else ''}, {after}"


def signal_name(number: int) -> str:
    """`SIGSEGV`; real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signal_text(name: str | None) -> str:
    try:
        number = signal.Signals[name or ""].value
    except KeyError:
        return name or "an unknown signal"
    hint = ", by somebody else or, for want of memory, by the kernel," if number == signal.SIGKILL else ""
    return f"signal {number} ({name}){hint}"
