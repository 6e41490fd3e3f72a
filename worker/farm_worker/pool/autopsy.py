"""From what led to the end of a process to the one reason for it, and its facts."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason, signal_name
from farm_worker.pool.stacks import FATAL_SIGNALS, arrange
from farm_worker.pool.state import State

if TYPE_CHECKING:
    from farm_worker.pool.process import ProcessHandle


@dataclass(slots=True)
class Causes:
    """What is known of why a process ends, while it happens."""

    close: Reason | None = None
    """Why it was asked to end."""
    close_detail: str = ""
    """What made that reason hold. Said only of a process that ended for it."""
    kill: Reason | None = None
    """Why it was killed: the first reason counts."""
    error: str = ""
    """What it said, or did wrong."""
    state_before_mute: State | None = None
    """Its state when its stream ended. None: it can still speak."""
    last_state: State | None = None
    """What it was in before its end began."""
    stuck: bool = False
    """KILL did not end it."""
    stacks_before: str | None = None
    """What the file of stacks held before it was told to write them, by children that it forked. None: it was not."""

    def begin_kill(self, reason: Reason, state: State) -> None:
        """It is killed while in this state."""
        if self.kill is None:
            self.kill = reason
            self.begin_end(state)

    def begin_end(self, state: State) -> None:
        """From this state on it only ends. The first call counts, and before that the end of its stream."""
        self.last_state = self.last_state or self.state_before_mute or state

    def overdue_reason(self, state: State, job: Assignment | None) -> Reason:
        """What it means that it is overdue while in this state, with `job` at work."""
        if self.state_before_mute is not None and self.close is None:
            return Reason.UNRESPONSIVE
        if state is State.STARTING:
            return Reason.INITIALIZE_TIMEOUT
        if job is None:
            return self.close or Reason.CLOSED
        return job.stopped_for or Reason.JOB_TIMEOUT

    def stack(self, written: str, signal_name: str | None) -> str:
        """Of what is in its file of stacks, that which is about its end."""
        if self.stacks_before is not None:
            return arrange(written.removeprefix(self.stacks_before))
        return arrange(written) if signal_name in FATAL_SIGNALS else ""


def describe_end(
    process: "ProcessHandle", causes: Causes, code: int, begun: Assignment | None, stacks: str, said: tuple[str, ...]
) -> ProcessEnd:
    """All facts. `code` is that of `subprocess`: below 0 it is a signal; `stacks`, `said`: what it left behind."""
    starting = causes.last_state is State.STARTING
    name = signal_name(-code) if code < 0 else None
    initialize_error = starting and bool(causes.error)
    reason = end_reason(causes.kill, causes.close, initialize_error=initialize_error, code=code, begun=begun)
    return ProcessEnd(
        reason=reason,
        pid=process.pid,
        number=process.number,
        phase=end_phase(begun, starting=starting, idle=causes.last_state is State.READY),
        exit_code=code if code >= 0 else None,
        signal=name,
        age=time.monotonic() - process.spawned_at,
        jobs_done=process.jobs_done,
        last_memory=process.last_memory,
        peak_memory=process.peak_memory,
        error=causes.error or (causes.close_detail if reason is causes.close else ""),
        killed=causes.kill is not None,
        stuck=causes.stuck,
        last_lines=said,
        stack=causes.stack(stacks, name),
        **_job_facts(begun),
    )


def end_reason(
    kill: Reason | None, close: Reason | None, *, initialize_error: bool, code: int, begun: Assignment | None
) -> Reason:
    """What the host did on purpose comes first."""
    if kill is not None:
        return kill
    if initialize_error:
        return Reason.INITIALIZE_ERROR
    if close is not None and code == 0 and begun is None:
        return close
    return Reason.CRASHED if code < 0 else Reason.EXITED


def end_phase(begun: Assignment | None, *, starting: bool, idle: bool) -> Phase:
    """What it was doing."""
    if begun is not None:
        return Phase.JOB
    if starting:
        return Phase.INITIALIZE
    return Phase.IDLE if idle else Phase.CLOSING


def _job_facts(begun: Assignment | None) -> dict[str, Any]:
    """Of the job that had begun and not ended."""
    if begun is None:
        return {}
    return {
        "job_id": begun.job_id.decode("utf-8", "replace"),
        "job_seconds": None if begun.begun_at is None else time.monotonic() - begun.begun_at,
        "function": begun.function,
        "queue": begun.queue,
        "attempt": begun.attempt,
    }
