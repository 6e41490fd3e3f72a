"""The processes of a host: keeps enough of them warm, hands them jobs, replaces those that ended.

Not here: what a job is and what becomes of it. The host gives started jobs as `Assignment`s and gets back outcomes,
and, when a process ends, the one job that it had begun and those that it had not.
"""

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf

from farm_settings import PoolSettings
from farm_worker.pool import sharing
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.burst import Stretch
from farm_worker.pool.dispatcher import Dispatcher
from farm_worker.pool.hearing import Hearing
from farm_worker.pool.lending import Lender, LentWatch
from farm_worker.pool.observer import Observer
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize, Output
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.pool.sharing import Sharing
from farm_worker.pool.staff import Staff
from farm_worker.pool.start_method import starter_for
from farm_worker.pool.starter import Spawner, Starter
from farm_worker.pool.state import State
from farm_worker.pool.supervision import Supervision
from farm_worker.pool.watch_messages import Watched

KILLED_WAIT_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Pool:
    """What the host uses. Everything happens on the loop's thread, which must be the main thread."""

    def __init__(  # noqa: PLR0913, PLR0917  the three callbacks are the host's answer to three unlike things
        self,
        settings: PoolSettings,
        slots: int,
        idle_target: int,
        initialize: Callable[[int], Initialize],
        environment: Mapping[str, str] | None,
        on_outcomes: Callable[[list[tuple[Assignment, Outcome]]], None],
        on_end: Callable[[ProcessEnd, Assignment | None, list[Assignment]], None],
        on_change: Callable[[], None],
        observer: Observer | None = None,
        on_output: Callable[[ProcessHandle, Assignment | None, Output], None] | None = None,
        starter: Callable[[Callable[[int], Initialize]], Starter] | None = None,
    ) -> None:
        """Keeps `min(slots, busy + idle_target)` processes; `initialize` makes the first message of process n.

        `on_outcomes`: jobs that ended, in order; `on_end`: how a process ended, the job it had begun, the jobs it had
        not begun in order; `on_change`: processes became ready or ended (it is not called for jobs). `observer` is
        told of the rest, for people. `on_output`: what a process said, with the job that said it. `starter`: makes the
        way of bringing up processes, in the place of what the settings say.
        """
        self._settings = settings
        self._on_outcomes = on_outcomes
        self._on_end = on_end
        self._on_change = on_change
        self._observer = observer
        self._on_output = on_output
        beside = settings.executor == "process" and settings.process_mode == "reuse"
        self.tell_usage: Callable[[Sequence[Stretch], Assignment, Outcome], None] | None = None
        """Told of what jobs used: those that ended since, and the last of them, whose outcome says it."""
        self._sharing = Sharing(settings.async_concurrency if beside else 1)
        self._starter = starter(initialize) if starter else starter_for(settings, initialize, environment)
        self._staff = Staff(settings, slots, idle_target, initialize, self._starter, self, Spawner(environment))
        self._supervision = Supervision(settings, self._staff)
        sequences = itertools.count(1)
        self.lender = Lender(settings, self._staff, sequences)
        """Of watches of queues."""
        self.hearing = Hearing(self._staff.processes)
        """Of what processes with several jobs have said."""
        self._dispatcher = Dispatcher(settings, self._staff, self._sharing, self.hearing, sequences, self._launched)

    @property
    def processes(self) -> Sequence[ProcessHandle]:
        """All that have not ended, oldest first."""
        return tuple(self._staff.processes)

    @property
    def slots(self) -> int:
        """The most processes that may be busy."""
        return self._staff.slots

    @property
    def idle_target(self) -> int:
        """How many idle processes are kept warm. May be set: what is missing is warmed up, surplus closed at once."""
        return self._staff.idle_target

    @idle_target.setter
    def idle_target(self, count: int) -> None:
        self._staff.retarget(count)

    @property
    def ready(self) -> int:
        """Processes that take jobs."""
        return self._staff.count(State.READY)

    @property
    def busy(self) -> int:
        """Processes with jobs, those that close after it too."""
        return self._staff.busy

    @property
    def idle(self) -> int:
        """Ready processes without a job."""
        return len(self._staff.idle)

    @property
    def starting(self) -> int:
        """Processes that warm up."""
        return self._staff.count(State.STARTING)

    @property
    def warm_failures(self) -> int:
        """Failed rounds of warm-ups since the last process that became ready."""
        return self._staff.warm_ups.failures + self._starter.failures

    @property
    def unhealthy_reason(self) -> str | None:
        """Why processes do not become ready, once that failed several times in a row; None as soon as one does."""
        return self._starter.unhealthy_reason or self._staff.warm_ups.unhealthy_reason

    @property
    def capable(self) -> int:
        """Jobs that can run at once as things are: in busy processes, and in idle ones as far as there are slots."""
        if self.shares:
            limit = self._sharing.limit(self._staff.processes, time.monotonic())
            return sharing.capable(self._staff.processes, self.slots, self._sharing.most, limit)
        return min(self.slots, self.busy + self.idle)

    @property
    def has_work_ahead(self) -> bool:
        """Whether every process that takes jobs has some waiting behind those that run: it says so as they end."""
        ready = [process for process in self._staff.processes if process.state is State.READY]
        return bool(ready) and all(process.assignments.has_ahead for process in ready)

    @property
    def shares(self) -> bool:
        """Whether coroutine jobs run side by side here."""
        return self._sharing.most > 1

    @property
    def running(self) -> int:
        """Jobs that run at once."""
        return sharing.running(self._staff.processes, self._sharing.most) if self.shares else self.busy

    @property
    def separates(self) -> bool:
        """Whether a job that has to be alone waits for a process of another kind, which others need not wait for."""
        return self._settings.executor == "thread"

    @property
    def pids(self) -> Sequence[int]:
        """Of the processes, as far as they are born."""
        return [process.pid for process in self._staff.processes if process.pid]

    @property
    def helper_pids(self) -> Sequence[int]:
        """Processes of the pool that run no jobs: the template."""
        return self._starter.pids

    @property
    def reserve_pids(self) -> Sequence[int]:
        """Processes that were forked in advance: they run nothing, and are in no list until they are asked for."""
        return self._starter.reserve_pids

    @property
    def unborn_since(self) -> float:
        """When the oldest process was asked for whose pid is not known yet; `inf` when there is none."""
        return min((process.spawned_at for process in self._staff.processes if not process.pid), default=inf)

    def start(self) -> None:
        """Begins to warm up processes."""
        self._staff.fill()
        self._supervision.start()

    async def close(self, timeout: float, reason: Reason = Reason.CLOSED) -> None:
        """Lets the jobs that were sent end for `timeout` seconds, then kills. No process is left when it returns."""
        staff = self._staff
        staff.dismiss(reason)
        if not await staff.wait_empty(timeout):
            for process in self.processes:
                process.kill(reason)
            await self._starter.close()  # what it has not begun ends with it
            if not await staff.wait_empty(KILLED_WAIT_SECONDS):
                pids = ", ".join(str(process.pid) for process in staff.processes)
                logger.error("processes %s were killed and did not end: the kernel holds them", pids)
                for process in self.processes:
                    process.give_up()
        await self._starter.close()
        await self._supervision.stop()

    def dispatch(self, assignment: Assignment, depth: int) -> bool:
        """Gives the job to a process with less than `depth` jobs. False: none has room. See `Dispatcher.dispatch`."""
        return self._dispatcher.dispatch(assignment, depth)

    def dispatch_many(self, assignments: Sequence[Assignment], depth: int) -> int:
        """Gives as many of these as there is room for, the first ones; how many. See `Dispatcher.dispatch_many`."""
        return self._dispatcher.dispatch_many(assignments, depth)

    def room(self, depth: int) -> int:
        """How many more jobs `dispatch` would take now."""
        return self._dispatcher.room(depth)

    def want(self, count: int) -> None:
        """Says that `count` jobs wait for a process: a pool with `idle_target` 0 has none until then."""
        self._staff.want(count)

    def lend(self, request: bytes, began: Callable[[Watched], Assignment | None]) -> LentWatch | None:
        """Has an idle process wait for a job; None if no process can. See `Lender.lend`."""
        return self.lender.lend(request, self._dispatcher.expires_at, began)

    def take_back(self, older_than: float | None) -> list[Assignment]:
        """Jobs not begun, in the order of their dispatch; they will not run here unless they are dispatched again.

        `older_than` (seconds): only from processes whose oldest job not begun was sent longer ago than that. From such
        a process all come back: the younger ones wait behind the older ones, and apart they would change their order.
        """
        before = inf if older_than is None else time.monotonic() - older_than
        taken: list[Assignment] = []
        for process in self._staff.processes:
            if process.assignments and process.unread_since() < before:
                taken += process.take_back()
        taken.sort(key=lambda assignment: assignment.sequence)
        return taken

    def renew(self, expires_at: float) -> None:
        """The host's lease is good for longer: jobs may begin, and those that must not run twice may run, until then.

        Seconds of `expiry.clock`. Threads share a process with jobs that may run on, so nothing is ended there.
        """
        if self._settings.executor == "thread":
            return
        self._dispatcher.expires_at = expires_at
        for process in self._staff.processes:
            if process.assignments or process.watch.lent is not None:
                process.renew(expires_at)

    def find(self, job_id: bytes) -> ProcessHandle | None:
        """The process that this job was sent to, or that waited for it itself."""
        for process in self._staff.processes:
            if process.watch.lent is not None:
                process.look()  # it may have said that it begins it
            if any(assignment.job_id == job_id for assignment in process.assignments):
                return process
        return None

    def kill_job(self, job_id: bytes, reason: Reason) -> bool:
        """Kills the process that has begun this job; beside others only the job is ended, see `ProcessHandle.stop`.

        False: none has begun it; if it was sent, `take_back` gets it.
        """
        process = self.find(job_id)
        begun = process.find_running(job_id) if process is not None else None
        if process is None or begun is None:
            return False
        process.stop(begun, reason)
        return True

    def recycle(self) -> None:
        """Replaces all processes, for new code. Each serves until a successor is ready; busy ones end their jobs."""
        self._staff.renew()

    def on_created(self, process: ProcessHandle) -> None:
        """For the processes, as all that follows."""
        if self._observer is not None:
            self._observer.process_created(process)

    def on_started(self, process: ProcessHandle) -> None:
        if self._observer is not None:
            self._observer.process_started(process)

    def on_ready(self, process: ProcessHandle) -> None:
        if self._observer is not None:
            self._observer.process_ready(process)
        self._supervision.note_ready(process)
        self._staff.welcome()
        self._on_change()

    def on_begun(self, process: ProcessHandle, assignment: Assignment) -> None:
        self._launched(process, [assignment])

    def on_outcomes(self, process: ProcessHandle, outcomes: list[tuple[Assignment, Outcome]]) -> None:
        if self._observer is not None:
            self._observer.jobs_finished(process, outcomes)
        self._staff.wanted = 0
        if self.shares:
            self._learn(outcomes)
        self._on_outcomes(outcomes)

    def on_used(self, jobs: Sequence[Stretch], assignment: Assignment, outcome: Outcome) -> None:
        if self.tell_usage is not None:
            self.tell_usage(jobs, assignment, outcome)

    def on_sharing(self, process: ProcessHandle, running: int) -> None:
        first = process.assignments[0] if process.assignments else None
        self._sharing.proved(first if running == 1 else None, running, time.monotonic())
        self._on_change()

    def on_output(self, process: ProcessHandle, assignment: Assignment | None, output: Output) -> None:
        if self._on_output is not None:
            self._on_output(process, assignment, output)

    def on_end(
        self, process: ProcessHandle, end: ProcessEnd, begun: Assignment | None, unbegun: list[Assignment]
    ) -> None:
        end = self._supervision.explain(end)
        self._staff.remove(process, end)
        self._on_end(end, begun, unbegun)
        self._on_change()

    def _launched(self, process: ProcessHandle, assignments: Sequence[Assignment]) -> None:
        if self._observer is not None:
            for assignment in assignments:
                self._observer.job_launched(process, assignment)
        if len(self._staff.processes) < self._staff.slots or process.state is not State.READY:
            self._staff.plan_fill()

    def _learn(self, outcomes: list[tuple[Assignment, Outcome]]) -> None:
        now = time.monotonic()
        for assignment, outcome in outcomes:
            if outcome.kind == "returned":
                self._sharing.came_back(assignment, now)
