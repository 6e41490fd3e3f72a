"""The parent's handle on one process: what it was given, what it says, how it ends."""

import asyncio
import signal
import sys
import time
from collections import deque
from enum import StrEnum
from functools import partial
from math import inf
from typing import Protocol

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.channel import Channel
from farm_worker.pool.group import ProcessGroup
from farm_worker.pool.lines import Lines
from farm_worker.pool.protocol import Born, Initialize, InitializeFailed, Message, Outcome, Ready, RunJob
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason, signal_name
from farm_worker.pool.recycling import Lifespan
from farm_worker.pool.starter import Started, Starter, reap_child

HARD_KILL_GRACE_SECONDS = 10.0
"""A process ends an overdue job itself, by RQ's death penalty. Code that does not let it (a C extension that holds on,
a handler that swallows the exception) has this long until the process is killed: enough to unwind and to report."""
TERMINATE_SECONDS = 0.5
"""Between TERM and KILL for a process that is told to leave and has no job: time for what it started to leave too."""


class State(StrEnum):
    """Where a process is in its life. Only forward."""

    STARTING = "starting"
    READY = "ready"
    CLOSING = "closing"
    ENDED = "ended"


class Listener(Protocol):
    """Who is told what a process does: the pool."""

    def on_ready(self) -> None: ...
    def on_outcomes(self, outcomes: list[tuple[Assignment, Outcome]]) -> None: ...
    def on_end(
        self, process: "ProcessHandle", end: ProcessEnd, begun: Assignment | None, unbegun: list[Assignment]
    ) -> None: ...


class ProcessHandle:
    """One process, from its spawn to its last facts. Lives on the loop's thread; nothing here blocks."""

    def __init__(
        self,
        initialize: Initialize,
        listener: Listener,
        *,
        lifespan: Lifespan,
        initialize_timeout: float,
        close_timeout: float,
        starter: Starter,
    ) -> None:
        """Begins the process and sends it `initialize`. Raises OSError when there is no room for it."""
        self.number = initialize.process
        self.state = State.STARTING
        self.assignments: deque[Assignment] = deque()
        """Sent and not ended, in order. The first one is taken for begun."""
        self.lifespan = lifespan
        self.outdated = False
        """True once a reload wants it replaced: it serves until its successor is ready."""
        self.spawned_at = time.monotonic()
        self.ready_at = inf
        self.idle_since = inf
        self.deadline = self.spawned_at + initialize_timeout
        """Monotonic seconds; at this time what it does now is overdue and it is killed. `inf`: no limit."""
        self.jobs_sent = 0
        self.jobs_done = 0
        self.last_memory: int | None = None
        self._listener = listener
        self._close_timeout = close_timeout
        self._close_reason: Reason | None = None
        self._kill_reason: Reason | None = None
        self._killed = False
        self._state_before_mute: State | None = None
        """Its state when its stream ended. None: it can still speak."""
        self._error = ""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.pid = 0
        """0 until it is born."""
        self._group: ProcessGroup | None = None
        self._lines, child_lines = Lines.open()
        self._channel = self._open_channel()
        self._channel.send(initialize)
        try:
            started = starter.start(child_lines)
        except OSError:
            self._close_lines()
            raise
        if started is not None:
            self._adopt(started)

    @property
    def begun(self) -> Assignment | None:
        """The job that the process may have begun. Exact: asks the pipe, not the clock."""
        return self.assignments[0] if len(self.assignments) > self._channel.unread() else None

    @property
    def jobs_left(self) -> int:
        """How many more jobs it may be sent."""
        return sys.maxsize if self.lifespan.jobs is None else self.lifespan.jobs - self.jobs_sent

    @property
    def overdue_reason(self) -> Reason:
        """What passing `deadline` means now."""
        if self._state_before_mute is not None and self._close_reason is None:
            return Reason.UNRESPONSIVE
        if self.state is State.STARTING:
            return Reason.INITIALIZE_TIMEOUT
        return Reason.JOB_TIMEOUT if self.assignments else self._close_reason or Reason.CLOSED

    def dispatch(self, assignment: Assignment) -> None:
        """Sends a job. The process must be ready; the one who calls keeps the number of jobs sent ahead small."""
        assignment.dispatched_at = now = time.monotonic()
        idle = not self.assignments
        self.assignments.append(assignment)
        self.jobs_sent += 1
        if idle:
            self._begin_first(now)
        message = RunJob(
            assignment.sequence,
            assignment.job_id,
            assignment.token,
            assignment.queue,
            assignment.attempt,
            assignment.fields,
        )
        self._channel.send(message, assignment.sequence)
        if self.jobs_left <= 0:
            self.close(Reason.RECYCLED)

    def unread_since(self) -> float:
        """When the oldest job that was not begun was sent; `inf` if there is none."""
        unread = self._channel.unread()
        return self.assignments[-unread].dispatched_at if 0 < unread <= len(self.assignments) else inf

    def take_back(self) -> list[Assignment]:
        """The jobs that the process has not begun, in order. It can't begin them any more."""
        taken = set(self._channel.take_back())
        if not taken:
            return []
        back = [assignment for assignment in self.assignments if assignment.sequence in taken]
        kept = [assignment for assignment in self.assignments if assignment.sequence not in taken]
        self.assignments = deque(kept)
        for assignment in back:
            assignment.begun_at = None
        if not kept:
            self._rest()
        return back

    def close(self, reason: Reason) -> None:
        """The process ends by itself after the jobs that it has tokens for. A starting one is killed."""
        if self.state is State.STARTING:
            self.kill(reason)
        elif self.state is State.READY:
            self._close_reason = reason
            self.state = State.CLOSING
            if not self.assignments:
                self._rest()
            self._channel.finish()

    def kill(self, reason: Reason) -> None:
        """Ends the process and all that it started. The first reason counts.

        TERM comes first only where no job runs: what a job says on TERM would be about the signal, not about itself.
        """
        if self.state is State.ENDED or self._killed:
            return
        self._kill_reason = self._kill_reason or reason
        gentle = self.state is State.CLOSING and not self.assignments and self._timer is None
        self.state = State.CLOSING if self.state is State.READY else self.state
        self.deadline = inf
        if gentle:
            self._signal(signal.SIGTERM)
            self._timer = self._loop.call_later(TERMINATE_SECONDS, self._kill_now)
        else:
            self._kill_now()

    def _open_channel(self) -> Channel:
        lines = self._lines
        return Channel(lines.stream, lines.token_write, lines.token_read, self._receive, self._channel_broke)

    def _close_lines(self) -> None:
        self._channel.close()
        self._lines.close()

    def _adopt(self, started: Started) -> None:
        self.pid = started.pid
        self._group = ProcessGroup(started, self._finish)
        if self._kill_reason is not None:
            self._kill_now()

    def _receive(self, messages: list[Message]) -> None:
        now = time.monotonic()
        outcomes: list[tuple[Assignment, Outcome]] = []
        for message in messages:
            if isinstance(message, Outcome):
                assignment = self._ended(message.sequence)
                if assignment is not None:
                    if assignment.begun_at is None:  # it came with the outcome of the job before it
                        assignment.begun_at = now - message.seconds
                    outcomes.append((assignment, message))
            elif isinstance(message, Born):
                self._adopt(Started(message.pid, partial(reap_child, message.pid)))
            elif isinstance(message, Ready):
                self._become_ready()
            elif isinstance(message, InitializeFailed):
                self._error = message.error
        if outcomes:
            self.jobs_done += len(outcomes)
            if self.assignments:
                self._begin_first(now)
            else:
                self._rest()
            self._listener.on_outcomes(outcomes)

    def _ended(self, sequence: int) -> Assignment | None:
        assignments = self.assignments
        if assignments and assignments[0].sequence == sequence:
            return assignments.popleft()
        for assignment in assignments:
            if assignment.sequence == sequence:
                assignments.remove(assignment)
                return assignment
        return None

    def _begin_first(self, now: float) -> None:
        first = self.assignments[0]
        if first.begun_at is None:
            first.begun_at = now
            limit = inf if first.timeout is None else first.timeout + first.callback_timeout
            self.deadline = now + limit + HARD_KILL_GRACE_SECONDS

    def _rest(self) -> None:
        """No job is left. If it is to close, that has a limit from now on."""
        now = self.idle_since = time.monotonic()
        closing = self.state is State.CLOSING and self._kill_reason is None
        self.deadline = now + self._close_timeout if closing else inf

    def _become_ready(self) -> None:
        if self.state is State.STARTING and self._kill_reason is None:
            self.state = State.READY
            self._rest()
            self.ready_at = self.idle_since
            self._listener.on_ready()

    def _channel_broke(self, error: str) -> None:
        """The stream is at its end, or holds what is no message. Normally the exit follows at once."""
        if error:
            self._error = error
            self.kill(Reason.CRASHED)
        elif self._group is None:
            self._error = self._error or "it ended before it was born"
            self._finish(1)
        elif self.state is not State.ENDED:
            self._state_before_mute = self.state
            self.state = State.CLOSING if self.state is State.READY else self.state
            self.deadline = min(self.deadline, time.monotonic() + self._close_timeout)

    def _kill_now(self) -> None:
        self._killed = self._group is not None  # else it is killed as soon as it is born
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._group is not None:
            self._group.signal(number)

    def _finish(self, code: int) -> None:
        """It has exited, with the return code of `subprocess`. Nothing that it said or left unread is lost."""
        last_state = self._state_before_mute or self.state
        self.state = State.ENDED
        self.deadline = inf
        if self._timer is not None:
            self._timer.cancel()
        self._channel.drain()
        unbegun = self.take_back()
        begun = self.assignments.popleft() if self.assignments else None
        unbegun = [*self.assignments, *unbegun]
        self.assignments.clear()
        end = self._describe_end(code, last_state, begun)
        self._close_lines()
        self._listener.on_end(self, end, begun, unbegun)

    def _describe_end(self, code: int, state: State, begun: Assignment | None) -> ProcessEnd:
        now = time.monotonic()
        return ProcessEnd(
            reason=self._end_reason(state, code, begun),
            pid=self.pid,
            number=self.number,
            phase=_phase(state, begun),
            exit_code=code if code >= 0 else None,
            signal=signal_name(-code) if code < 0 else None,
            age=now - self.spawned_at,
            jobs_done=self.jobs_done,
            last_memory=self.last_memory,
            job_id=begun.job_id.decode("utf-8", "replace") if begun else None,
            job_seconds=now - begun.begun_at if begun and begun.begun_at is not None else None,
            error=self._error,
        )

    def _end_reason(self, state: State, code: int, begun: Assignment | None) -> Reason:
        if self._kill_reason is not None:
            return self._kill_reason
        if self._error and state is State.STARTING:
            return Reason.INITIALIZE_ERROR
        if self._close_reason is not None and code == 0 and begun is None:
            return self._close_reason
        return Reason.CRASHED if code < 0 else Reason.EXITED


def _phase(state: State, begun: Assignment | None) -> Phase:
    if begun is not None:
        return Phase.JOB
    return {State.STARTING: Phase.INITIALIZE, State.READY: Phase.IDLE}.get(state, Phase.CLOSING)
