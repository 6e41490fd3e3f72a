"""Why a process ended, and what is known about its end."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm_worker.pool.assignment import Assignment

WORTH_TELLING = 1.1
"""A peak this much above the last sample is named beside it."""
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
    LEASE_LOST = "lease_lost"
    CONTACT_LOST = "contact_lost"


TELL_THEIR_STACKS = frozenset({Reason.UNRESPONSIVE, Reason.INITIALIZE_TIMEOUT, Reason.JOB_TIMEOUT})
"""Before such a kill the process is asked what it was doing."""


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
    Reason.CONTACT_LOST: "was killed, as Redis was out of reach and its job must not run twice (on_lost=fail)",
    Reason.LEASE_LOST: "was killed, Redis had come back without the start of its job",
}

_DOING = {
    Phase.INITIALIZE: " while it initialized",
    Phase.IDLE: " while idle",
    Phase.JOB: " while it served",
    Phase.CLOSING: " while it closed",
}


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
    """What the process said, as the error of its initialization; or what it was recycled for."""
    peak_memory: int | None = None
    """The most bytes that were sampled."""
    function: str | None = None
    """Of the job that had begun: what it says it calls, without the arguments."""
    queue: str | None = None
    attempt: int | None = None
    killed: bool = False
    """True when its host killed it."""
    stuck: bool = False
    """True when it did not even end by KILL: the kernel holds it. The host goes on without it."""
    hint: str = ""
    """What else is known of why: the kernel's killer for want of memory was at work."""
    stack: str = ""
    """What its threads were doing, if that was written: by a fatal signal, or on demand before it was killed."""
    last_lines: Sequence[str] = ()
    """The end of what it and its job printed."""
    beside: Sequence["Assignment"] = ()
    """Jobs that ran beside that one, and had not ended either."""
    runner: str = ""
    """The runner that it was a copy of; `number` is then the copy, from 0. Empty for a process of the pool."""

    @property
    def abnormal(self) -> bool:
        """True unless somebody asked for this end, and got it."""
        return self.stuck or self.reason not in EXPECTED

    def sentence(self) -> str:
        """For humans: who, what happened, while doing what, with what memory."""
        said = f": {self.error}" if self.error else ""
        who = f"copy {self.number} of runner {self.runner!r}" if self.runner else f"process {self.number}"
        hint = f"; {self.hint}" if self.hint else ""
        stuck = "; KILL did not end it, the kernel holds it" if self.stuck else ""
        return f"{who} (pid {self.pid}) {self._cause()}{self._doing()}{self._memory()}{hint}{stuck}{said}"

    def report(self) -> str:
        """The sentence, and below it the last lines of output and the stacks, as far as there are any."""
        parts = [self.sentence()]
        if self.last_lines:
            parts.append("\n".join(["Last output:", *(f"  {line}" for line in self.last_lines)]))
        if self.stack:
            parts.append(f"Stacks:\n{self.stack}")
        return "\n".join(parts)

    def _memory(self) -> str:
        if self.last_memory is None:
            return ""
        peak = max(self.peak_memory or 0, self.last_memory)
        at_most = f", at most {_megabytes(peak)}" if peak > self.last_memory * WORTH_TELLING else ""
        return f", memory {_megabytes(self.last_memory)}{at_most}"

    def _cause(self) -> str:
        if self.reason is Reason.EXITED:
            return f"exited with code {self.exit_code}"
        if self.reason is Reason.CRASHED and self.killed:
            return "broke the protocol and was killed"
        if self.reason is Reason.CRASHED:
            return f"was killed by {_signal_text(self.signal)}"
        return _CAUSES[self.reason]

    def _doing(self) -> str:
        if self.job_id is not None:
            function = f" ({self.function})" if self.function else ""
            return f" while running job {self.job_id}{function}, {self.job_seconds or 0.0:.1f} s after its start"
        jobs = "" if self.runner else f", {self.jobs_done} jobs done"
        after = f"{self.age:.1f} s after it was spawned{jobs}"
        return f"{_DOING.get(self.phase, '') if self.abnormal else ''}, {after}"


def signal_name(number: int) -> str:
    """`SIGSEGV`; real-time signals have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _megabytes(count: int) -> str:
    return f"{count / _BYTES_PER_MB:.0f} MB"


def _signal_text(name: str | None) -> str:
    try:
        number = signal.Signals[name or ""].value
    except KeyError:
        return name or "an unknown signal"
    hint = ", by somebody else or, for want of memory, by the kernel," if number == signal.SIGKILL else ""
    return f"signal {number} ({name}){hint}"
