"""The parent's handle on one process: what it was given, what it says, how it ends."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.assignments import HARD_KILL_GRACE_SECONDS, Assignments
from farm_worker.pool.autopsy import Causes, describe_end
from farm_worker.pool.burst import Burst
from farm_worker.pool.channel import Channel
from farm_worker.pool.control import ControlLine
from farm_worker.pool.escalation import Escalation
from farm_worker.pool.group import ProcessGroup
from farm_worker.pool.lending import WatchSlot
from farm_worker.pool.lines import Lines
from farm_worker.pool.listener import Listener
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import (
    Born,
    Dirty,
    Ended,
    Initialize,
    InitializeFailed,
    JobLimit,
    Message,
    Output,
    Progress,
    Ready,
    Sharing,
)
from farm_worker.pool.reasons import TELL_THEIR_STACKS, Reason
from farm_worker.pool.recycling import Lifespan
from farm_worker.pool.said import Said
from farm_worker.pool.starter import Group, Started, Starter, reap_child
from farm_worker.pool.state import State
from farm_worker.pool.watch_messages import Watched

_KILLED = -9


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
        self.assignments = Assignments(min(HARD_KILL_GRACE_SECONDS, close_timeout), initialize.async_concurrency)
        self.lifespan = lifespan
        self.solitary = False
        """True for one that only jobs which have to be alone may use, where all others share their process."""
        self.outdated = False
        """True once a reload wants it replaced: it serves until its successor is ready."""
        self.spawned_at = time.monotonic()
        self.ready_at = inf
        self.idle_since = inf
        self.deadline = self.spawned_at + initialize_timeout
        """Monotonic seconds; at this time what it does now is overdue and it is killed. `inf`: no limit."""
        self.expires_at = inf
        """The time that it was told of, see `expiry`. `inf`: none."""
        self.jobs_sent = 0
        self.jobs_done = 0
        self.last_memory: int | None = None
        self.peak_memory: int | None = None
        self._listener = listener
        self._close_timeout = close_timeout
        self._causes = Causes()
        self._burst = Burst(listener.on_used)
        self._withdrawn: set[int] = set()
        """Sequences of jobs that it cannot begin any more, as it is being killed. They are given back at its end."""
        self._thread_code: int | None = None
        """What a thread said of its end: its process goes on."""
        self._escalation = Escalation()
        self.pid = 0
        """0 until it is born."""
        self._group: Group | None = None
        self._lines, child_lines = Lines.open()
        self.line = ControlLine(self._lines.control)
        self._channel = Channel(self._lines, self._receive, self._channel_broke)
        self.watch = WatchSlot(self._channel)
        self._said = Said(self._lines.output, self, partial(listener.on_output, self))
        self._channel.send(initialize)
        try:
            started = starter.start(child_lines)
        except OSError:
            self._close_lines()
            raise
        listener.on_created(self)
        if started is not None:
            self._adopt(started)

    @property
    def begun(self) -> Assignment | None:
        """The job that the process may have begun. Exact: asks the pipe, not the clock."""
        return self.assignments[0] if len(self.assignments) > self._unread() else None

    @property
    def shares(self) -> bool:
        """Whether coroutine jobs run here, or are about to: others may run beside them."""
        return self.assignments.at_once > 1

    @property
    def running(self) -> list[Assignment]:
        """All jobs that the process may have begun: several where they run side by side."""
        if not self.shares:
            return [] if (begun := self.begun) is None else [begun]
        return list(islice(self.assignments, max(0, len(self.assignments) - self._unread())))

    @property
    def jobs_left(self) -> int:
        """How many more jobs it may be sent."""
        return sys.maxsize if self.lifespan.jobs is None else self.lifespan.jobs - self.jobs_sent

    @property
    def overdue_reason(self) -> Reason:
        """What passing `deadline` means now."""
        return self._causes.overdue_reason(self.state, self.assignments.most_overdue())

    def dispatch(self, *assignments: Assignment) -> None:
        """Sends jobs. The process must be ready; the one who calls keeps the number of jobs sent ahead small.

        One that has to be alone is the only one.
        """
        idle = not self.assignments
        self._count(assignments, time.monotonic())
        self._channel.send_jobs(assignment.message() for assignment in assignments)
        if idle:
            self._channel.flush()  # somebody may wait for it
        if len(self.assignments) > 1:
            self._channel.be_quiet()
        if assignments[0].alone:
            self.close(Reason.RECYCLED, "its job, which had ended a process before, was to be alone in it")
        self._close_after_last()

    @property
    def is_quiet(self) -> bool:
        """Whether what it says is heard when somebody looks: it has jobs for a while."""
        return self._channel.is_quiet

    def look(self) -> None:
        """Hears what it has said meanwhile."""
        self._channel.look()
        if len(self.assignments) <= 1:
            self._channel.listen()

    def renew(self, expires_at: float) -> None:
        """Jobs may begin here, and those that must not run twice may run, until then."""
        if self.expires_at != expires_at:
            self.expires_at = expires_at
            self.line.renew(expires_at)

    def unread_since(self) -> float:
        """When the oldest job that was not begun was sent; `inf` if there is none."""
        return self.assignments.unread_since(self._unread())

    def take_back(self) -> list[Assignment]:
        """The jobs that the process has not begun, in order. It can't begin them any more."""
        taken = self._withdrawn.union(self._channel.take_back())
        self._withdrawn.clear()
        self.watch.taken(taken)
        if not taken:
            return []
        back = self.assignments.take(taken)
        if not self.assignments:
            self._rest()
        return back

    def close(self, reason: Reason, why: str = "") -> None:
        """The process ends by itself after the jobs that it has tokens for. A starting one is killed."""
        if self.state is State.STARTING:
            self.kill(reason)
        elif self.state is State.READY:
            self.watch.take_back()
            self._causes.close = reason
            self._causes.close_detail = why
            self.state = State.CLOSING
            if not self.assignments:
                self._rest()
            self._channel.finish()

    def kill(self, reason: Reason) -> None:
        """Ends the process and all that it started. The first reason counts.

        TERM comes first only where no job runs: what a job says on TERM would be about the signal, not about itself.
        """
        if self.state is State.ENDED:
            return
        self._causes.begin_kill(reason, self.state)
        self.deadline = inf
        if reason in TELL_THEIR_STACKS:
            self._causes.stacks_before = self._lines.read_stacks()
            self._withdrawn.update(self._channel.take_back())  # no other job may begin while it writes
            self._escalation.dump()
        elif self.state is State.CLOSING and not self.assignments:
            self._escalation.terminate()
        else:
            self._escalation.kill()
        self.state = State.CLOSING if self.state is State.READY else self.state

    def cancel(self, job_id: bytes, reason: str) -> bool:
        """Asks a job to end by itself. False if the process has not begun it, or cannot be told."""
        begun = self.find_running(job_id)
        return begun is not None and self.line.cancel(begun.sequence, reason)

    def find_running(self, job_id: bytes) -> Assignment | None:
        """The job of this id, if the process may have begun it."""
        return next((one for one in self.running if one.job_id == job_id), None)

    def stop(self, assignment: Assignment, reason: Reason) -> None:
        """Ends a job that runs here: by killing the process, unless others run beside it and the job itself ends."""
        if len(self.running) > 1 and self.line.stop(assignment.sequence):
            self.deadline = min(self.deadline, self.assignments.ask_to_end(assignment, reason, time.monotonic()))
        else:
            assignment.overdue_at = -inf  # it is the one to blame
            self.kill(reason)

    def note_memory(self, used: int) -> None:
        """Bytes that it uses now, with all that it started."""
        self.last_memory = used
        self.peak_memory = max(self.peak_memory or 0, used)

    @property
    def is_being_killed(self) -> bool:
        """True from the first `kill` on."""
        return self._causes.kill is not None

    @property
    def killed_at(self) -> float:
        """Monotonic seconds; `inf` while no KILL was sent."""
        return self._escalation.killed_at

    def give_up(self) -> None:
        """The KILL had no effect: the kernel holds the process. It runs no code any more; here it counts as ended."""
        if self.state is not State.ENDED:
            self._causes.stuck = True
            self.exited(_KILLED)

    def spared(self, why: str) -> None:
        """For a process that others share: it is killed for another one's sake, and the job here is not to blame."""
        if self._causes.kill is None and self.state is not State.ENDED:
            self._causes.begin_kill(Reason.CLOSED, self.state)
            self._causes.error = self._causes.error or why
            self.state, self.deadline = State.CLOSING, inf

    def _unread(self) -> int:
        return self._channel.unread() + len(self._withdrawn)

    def _close_lines(self) -> None:
        self._said.close()
        self._channel.close()
        self.line.close()
        self._lines.close()

    def _adopt(self, started: Started) -> None:
        self.pid = started.pid
        self._group = started.join(self) if started.join else ProcessGroup(started, self.exited)
        self._listener.on_started(self)
        self._escalation.born(self._group)

    def _receive(self, messages: list[Message]) -> None:
        now = time.monotonic()
        outcomes: list[tuple[Assignment, Outcome]] = []
        for message in messages:
            if isinstance(message, Outcome):
                self._collect(message, now, outcomes)
            elif isinstance(message, Born):
                self._adopt(Started(message.pid, partial(reap_child, message.pid)))
            elif isinstance(message, Progress):
                self.assignments.note_progress(message)
            elif isinstance(message, Ready):
                self._become_ready()
            elif isinstance(message, Watched):
                self._begin_watched(message, now)
            elif isinstance(message, Sharing):
                self._share(message, now)
            else:
                self._note(message)
        if outcomes:
            self._burst.add(outcomes)
            self.jobs_done += len(outcomes)
            if self.assignments:
                self._begin(now)
            else:
                self._rest()
            self._listener.on_outcomes(self, outcomes)

    def _begin_watched(self, said: Watched, now: float) -> None:
        assignment = self.watch.hear(said)
        if assignment is not None:
            self._count([assignment], now)
            self._listener.on_begun(self, assignment)
            self._close_after_last()
        elif said.begun:
            self.kill(Reason.HOST_LOST)

    def _collect(self, message: Outcome, now: float, outcomes: list[tuple[Assignment, Outcome]]) -> None:
        if not outcomes:  # once for all that came together: which of their jobs wrote to the pipe, nobody knows
            self._said.settle()
        assignment = self.assignments.end(message.sequence)
        if assignment is not None and assignment.stopped_for is not Reason.LEASE_LOST:
            if assignment.begun_at is None:  # it came with the outcome of the job before it
                assignment.begun_at = now - message.seconds
            outcomes.append((assignment, message))

    def _share(self, said: Sharing, now: float) -> None:
        self.assignments.expect(coroutines=said.running > 0)
        if self.assignments:
            self._begin(now)
        if self.shares:
            self._listener.on_sharing(self, said.running)

    def _note(self, message: Message) -> None:
        if isinstance(message, Output):
            self._said.hear(message)
        elif isinstance(message, InitializeFailed):
            self._causes.error = message.error
        elif isinstance(message, JobLimit):
            if self.assignments.limit(message):
                self._begin(time.monotonic())
        elif isinstance(message, Dirty):
            self._withdrawn.update(self._channel.take_back())
            self.close(Reason.RECYCLED, message.reason)
        elif isinstance(message, Ended):
            self._thread_code = message.code

    def _count(self, assignments: Sequence[Assignment], now: float) -> None:
        self.assignments.add(assignments, now)
        self.jobs_sent += len(assignments)
        self._begin(now)

    def _close_after_last(self) -> None:
        if self.jobs_left <= 0:
            self.close(Reason.RECYCLED, f"it has had all its jobs: {self.jobs_sent}")

    def _begin(self, now: float) -> None:
        if self.shares or self.assignments[0].begun_at is None:
            self.deadline = self.assignments.begin(now)

    def _rest(self) -> None:
        """No job is left. If it is to close, that has a limit from now on."""
        now = self.idle_since = time.monotonic()
        self.assignments.expect(coroutines=False)
        closing = self.state is State.CLOSING and self._causes.kill is None
        self.deadline = now + self._close_timeout if closing else inf

    def _become_ready(self) -> None:
        if self.state is State.STARTING and self._causes.kill is None:
            self.state = State.READY
            self._rest()
            self.ready_at = self.idle_since
            self._listener.on_ready(self)

    def _channel_broke(self, error: str) -> None:
        """The stream is at its end, or holds what is no message. Normally the exit follows at once."""
        if self._group is None:
            self._causes.error = self._causes.error or error or "it ended before it was born"
            self.exited(1)
        elif error:
            self._causes.error = error
            self.kill(Reason.CRASHED)
        elif self._thread_code is not None:
            self.exited(self._thread_code)
        elif self.state is not State.ENDED:
            self._causes.state_before_mute = self.state
            self.state = State.CLOSING if self.state is State.READY else self.state
            self.deadline = min(self.deadline, time.monotonic() + self._close_timeout)

    def exited(self, code: int) -> None:
        """It has exited, with the return code of `subprocess`. Nothing that it said or left unread is lost."""
        if self.state is State.ENDED:  # it was given up before
            return
        self._causes.begin_end(self.state)
        self.state = State.ENDED
        self.deadline = inf
        self._escalation.close()
        self._channel.drain()
        self._said.settle()
        self.watch.end()
        unbegun = self.take_back()  # what is left has begun
        begun = self.assignments.most_overdue()
        beside = tuple(one for one in self.assignments if one is not begun)
        self.assignments.clear()
        end = describe_end(self, self._causes, code, begun, self._lines.read_stacks(), tuple(self._said.last_lines))
        end = replace(end, beside=beside)
        self._close_lines()
        self._listener.on_end(self, end, begun, unbegun)
