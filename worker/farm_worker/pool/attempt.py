"""One attempt at a job: from its hash to what is to be written of it."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from rq.callbacks import execute_failure_callback, execute_stopped_callback, execute_success_callback
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, Retry
from rq.queue import Queue

from farm.context import CurrentJob, enter_job, running_job, running_jobs
from farm.ending import pack_ending
from farm.entry import served_app
from farm.errors import JobCancelled
from farm.records import LONGEST_SECONDS, failure_text
from farm_worker.pool import continuation, failure, own_process, result, stand_in
from farm_worker.pool.around import CLOSING_SECONDS, Around
from farm_worker.pool.call import call, decode, entrypoint_timeout, leave_fork, package_of
from farm_worker.pool.continuation import NOWHERE, Next
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.moment import time_fields, written
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import JobLimit, Progress, RunJob
from farm_worker.pool.record import UnreadableRecord, Watch, changed_fields, restore, to_record
from farm_worker.pool.webhooks import send_webhooks

SUCCESSFUL, FAILED, RETRIED, RETRIES_EXCEEDED = 1, 2, 4, 5
"""RQ's `Result.Type`."""
UNRECORDED = -1
"""In its place: neither a result nor an entry in the failed registry."""

_FUTILE = (DeserializationError, result.ResultNotStorable)
"""Failures that another attempt would only repeat."""

_logger = logging.getLogger("farm_worker")


@dataclass(slots=True)
class Begun:
    """A job whose function was called already."""

    job: Job
    current: CurrentJob
    context: Context
    started_at: float
    """Unix seconds."""
    seconds: float
    """How long the function ran."""
    watch: Watch
    payload: bytes
    """As it was before the call."""


class Attempt:
    """Runs one job and its callbacks, once."""

    def __init__(
        self, equipment: Equipment, message: RunJob, fields: Sequence[bytes], settle: Callable[[], None], modules: int
    ) -> None:
        """`settle` is called when the job's function was found and modules were imported for it.

        `fields`: the job's hash, flat, with its payload. `modules`: how many were imported before; 0: as many as there
        are when it runs.
        """
        self.left_tasks = ""
        """What the job left on the event loop that could not be ended; empty if nothing."""
        self._settle = settle
        self._modules = modules
        self._equipment = equipment
        self._message = message
        self._record = to_record(fields)
        self._fence = int(self._record.pop(b"farm_fence", 0))
        self._job: Job | None = None
        self._current: CurrentJob | None = None
        self._stand_in: stand_in.StandIn | None = None
        self._payload = b""
        self._started_at = self._ended_at = time.time()
        self._seconds = 0.0
        self._watch: Watch | None = None
        """Of a job that may have been changed; None: nobody has looked at it."""
        self._untouched = False
        """True when the attempt changed nothing in the job but its times."""
        self._error_text = ""

    def run(self) -> Outcome:
        """The job's ending. Its callbacks and exception handlers have run, its webhooks have not. Never raises."""
        message = self._message
        try:
            job = self._restore()
        except BaseException as error:  # noqa: BLE001 - unpickling `meta` runs the user's code
            return self._fail_plainly(error)
        process, enqueued_at = self._equipment.process, self._record.get(b"enqueued_at", b"")
        current = CurrentJob(
            job, message.queue, message.attempt, process, self._tell_progress, self._fence, enqueued_at
        )
        self._current = current
        enter_job(message.sequence, current)
        try:
            return copy_context().run(self._run, job)  # what the job makes of context variables ends with it
        except BaseException as error:  # noqa: BLE001 - only what the job did to its own record can bring it here
            return self._fail_plainly(error)
        finally:
            del running_jobs[message.sequence]
            current.finish()

    def take_over(self, begun: Begun, value: Any, error: BaseException | None) -> Outcome:
        """The ending of a job whose function was called the short way: it returned `value`, or raised `error`."""
        self._current, self._started_at, self._seconds = begun.current, begun.started_at, begun.seconds
        self._job, self._watch, self._payload = begun.job, begun.watch, begun.payload
        enter_job(self._message.sequence, begun.current)
        try:
            return begun.context.run(self._end_call, begun.job, value, error)
        except BaseException as failed:  # noqa: BLE001 - as in `run`
            return self._fail_plainly(failed)
        finally:
            del running_jobs[self._message.sequence]
            begun.current.finish()

    def package(self) -> str:
        """The top-level package of the job's function. Empty if it is not known."""
        return "" if self._job is None else package_of(self._job)

    def send_webhooks(self, outcome: Outcome) -> None:
        """Sends the job's webhooks once Redis has the outcome, which the host was told."""
        if outcome.kind == "interrupted":
            return
        if self._job is not None and self._job.webhooks and (outcome.repeat or not outcome.again):
            (_, ended_at), connection = written(self._ended_at), self._equipment.connection
            send_webhooks(self._job, outcome.kind, ended_at, self._error_text, connection)

    def _restore(self) -> Job:
        equipment, message = self._equipment, self._message
        try:
            job = restore(equipment.job_class, message.job_id, self._record, equipment.connection, equipment.serializer)
        except (ValueError, TypeError, AssertionError) as error:  # what RQ raises for a field that makes no sense
            name = message.job_id.decode("utf-8", "replace")
            raise UnreadableRecord(
                f"the record of job {name} cannot be read ({failure.summarize(error)}). "
                f"Correct the hash {equipment.job_class.key_for(name)}, or enqueue the job anew."
            ) from error
        begin(job, self._started_at, equipment.process.host)
        self._payload = job.data
        self._job = job
        return job

    def _run(self, job: Job) -> Outcome:
        running_job.set(self._current)
        return self._run_watched(job) if stand_in.is_watched() else self._run_alone(job)

    def _run_watched(self, job: Job) -> Outcome:
        """As a worker of RQ would, for tools that put themselves around its methods."""
        equipment, outcomes = self._equipment, list[Outcome]()

        def run() -> bool:
            outcomes.append(self._run_alone(job))
            return outcomes[0].kind == "finished"

        worker = stand_in.StandIn(equipment.process.host, equipment.connection, equipment.exception_handlers, run)
        self._stand_in = worker
        error = worker.perform(job, self._message.queue, self._message.token)
        if not outcomes:
            return self._fail(job, error or RuntimeError("a tool around rq.worker.Worker.perform_job did not call it"))
        if error is not None:
            _logger.error("a tool around rq's perform_job failed after job %s", job.id, exc_info=error)
        return outcomes[0]

    def _run_alone(self, job: Job) -> Outcome:
        try:
            return self._succeed(job, self._perform(job))
        except BaseException as error:  # noqa: BLE001 - SystemExit in a job is a failed job
            return self._fail(job, error)

    def _perform(self, job: Job) -> Any:
        """What the job's function returned. Raises what it raised, or what the functions around it did."""
        equipment = self._equipment
        assert self._current is not None
        equipment.variable.set(self._message.job_id)
        begun, modules = time.monotonic(), self._modules or len(sys.modules)
        app = served_app()
        hooks = () if app is None else app.around_job_hooks
        around = Around(hooks, self._current, equipment.coroutines, equipment.alarm) if hooks else None
        value, error, limit = None, None, job.timeout or Queue.DEFAULT_TIMEOUT
        try:
            equipment.alarm.begin_job(limit)
            decode(job)
            self._watch = Watch(job)
            limit = self._entrypoint_limit(job) or limit
            if around is not None:
                around.enter()
            value = call(job, equipment.coroutines, modules, self._settle)
        except BaseException as raised:  # noqa: BLE001 - the functions around the job come first
            error = raised
        finally:
            equipment.alarm.disarm()
        if own_process.pid != equipment.process.pid:
            leave_fork(error)
        self._seconds = time.monotonic() - begun
        return self._close(around, value, error, limit)

    def _end_call(self, job: Job, value: Any, error: BaseException | None) -> Outcome:
        try:
            return self._succeed(job, self._close(None, value, error, job.timeout or Queue.DEFAULT_TIMEOUT))
        except BaseException as raised:  # noqa: BLE001 - as in `_run_alone`
            return self._fail(job, raised)

    def _close(self, around: Around | None, value: Any, error: BaseException | None, limit: float) -> Any:
        """What follows the call of the function: returns what that returned, or raises."""
        equipment = self._equipment
        assert self._current is not None
        if self._current.shutdown_callbacks or (around is not None and around.is_open):
            self._tell_of_closing(limit)
            error = (around or Around((), self._current, equipment.coroutines, equipment.alarm)).leave(error)
        self.left_tasks = equipment.coroutines.end_job()
        if error is not None:
            raise error
        self._untouched = self._watch is not None and self._watch.untouched()
        return value

    def _entrypoint_limit(self, job: Job) -> float | None:
        """Arms the time limit of the app's entry point, if this job runs that and has no limit of its own."""
        seconds = entrypoint_timeout(job)
        if seconds is not None:
            self._equipment.alarm.arm(seconds)
            self._equipment.send(JobLimit(self._message.sequence, seconds))
        return seconds

    def _tell_of_closing(self, limit: float) -> None:
        """The host, which kills processes with overdue jobs, hears of the time that comes on top."""
        if 0 < limit < self._seconds + CLOSING_SECONDS:
            self._equipment.send(JobLimit(self._message.sequence, self._seconds + CLOSING_SECONDS))

    def _tell_progress(self, fraction: float | None, text: str) -> None:
        self._equipment.send(Progress(self._message.sequence, fraction, text))

    def _succeed(self, job: Job, value: Any) -> Outcome:
        equipment = self._equipment
        self._end(job, JobStatus.FINISHED)
        job._result = value  # noqa: SLF001 - where callbacks find it
        if isinstance(value, Retry):
            return self._go_back(job, value)
        ttl = job.get_result_ttl(equipment.result_ttl)
        encoded = result.encode(value, job.serializer) if ttl else b""
        if job.success_callback is not None:
            self._untouched = False
            execute_success_callback(job, cast("Any", equipment.alarm.limit), value)
            if ttl == 0 and job.get_result_ttl(equipment.result_ttl):
                encoded = result.encode(value, job.serializer)
            ttl = job.get_result_ttl(equipment.result_ttl)
        then = continuation.after_success(job.repeats_left, job.repeat_intervals)
        if then.again:
            self._count_repeat(job)
        return self._outcome("finished", SUCCESSFUL if ttl else 0, ttl, then, result=encoded, repeat=bool(then.again))

    def _go_back(self, job: Job, retry: Retry) -> Outcome:
        """The job returned `Retry`: neither callbacks nor exception handlers run."""
        self._untouched = False
        done = job.number_of_retries or 0
        at_front = bool(job.enqueue_at_front_on_retry or retry.enqueue_at_front)
        then = continuation.after_returned_retry(done, retry.max, retry.intervals, at_front)
        encoded = result.encode_retry(retry, job.serializer)
        if not then.again:
            summary = f"returned Retry, and was retried {done} times already"
            return self._outcome("failed", RETRIES_EXCEEDED, _failure_ttl(job), then, result=encoded, summary=summary)
        job.number_of_retries = done + 1
        job.enqueue_at_front_on_retry = at_front
        summary = f"returned Retry: {done + 1} of {retry.max}"
        return self._outcome("failed", RETRIED, _failure_ttl(job), then, result=encoded, summary=summary)

    def _fail(self, job: Job, error: BaseException) -> Outcome:
        if self._equipment.alarm.interrupted:
            return self._interrupt()
        self._untouched = False
        if isinstance(error, JobCancelled) and self._current and self._current.is_cancelled:
            return self._stop(job, error)
        futile = isinstance(error, _FUTILE)
        self._end(job, JobStatus.FAILED)
        try:
            execute_failure_callback(job, cast("Any", self._equipment.alarm.limit), *failure.exception_info(error))
        except BaseException as second:  # noqa: BLE001 - a failing callback's error replaces the job's, as in RQ
            error = second
        self._call_exception_handlers(job, error)
        then = NOWHERE
        if not futile:
            at_front = job.enqueue_at_front_on_retry
            then = continuation.after_failure(job.retries_left, job.retry_intervals, at_front)
        if then.again:
            job.retries_left = (job.retries_left or 0) - 1
        return self._failed(error, _failure_ttl(job), then)

    def _interrupt(self) -> Outcome:
        """Its host stops. The attempt does not count: nobody is told of it, and nothing is written."""
        return Outcome(
            sequence=self._message.sequence,
            kind="interrupted",
            seconds=self._seconds,
            packed=b"",
        )

    def _stop(self, job: Job, error: BaseException) -> Outcome:
        """It was asked to end and did: neither a failure nor a reason for another attempt, as in RQ."""
        self._end(job, JobStatus.STOPPED)
        try:
            execute_stopped_callback(job, cast("Any", self._equipment.alarm.limit))
        except BaseException:
            _logger.exception("the stopped callback of job %s failed", job.id)
        text = failure_text(failure.full_text(error))
        return self._outcome("stopped", FAILED, _failure_ttl(job), NOWHERE, error=text, summary="ended when asked to")

    def _fail_plainly(self, error: BaseException) -> Outcome:
        """The record itself cannot be used: callbacks and handlers have nothing to get, and a retry is of no use."""
        self._job = None
        self._ended_at = time.time()
        ttl = self._record.get(b"failure_ttl", b"")
        return self._failed(error, int(ttl) if ttl.isdigit() else DEFAULT_FAILURE_TTL, NOWHERE)

    def _failed(self, error: BaseException, ttl: int, then: Next) -> Outcome:
        self._error_text = failure.full_text(error)
        summary = failure.summarize(error)
        if then.again:  # RQ records no result of an attempt that is followed by another
            return self._outcome("failed", 0, ttl, then, summary=summary)
        if not self._equipment.keeps_failures:
            return self._outcome("failed", UNRECORDED, ttl, then, summary=summary)
        return self._outcome("failed", FAILED, ttl, then, error=failure_text(self._error_text), summary=summary)

    def _call_exception_handlers(self, job: Job, error: BaseException) -> None:
        try:
            info = failure.exception_info(error)
            stand_in.handle(self._stand_in, self._equipment.exception_handlers, job, info)
        except Exception:
            _logger.exception("an exception handler failed on job %s", job.id)

    def _count_repeat(self, job: Job) -> None:
        self._untouched = False
        job.repeats_left = (job.repeats_left or 0) - 1
        if job.repeat_intervals and len(job.repeat_intervals) > 1:
            job.repeat_intervals = job.repeat_intervals[1:]

    def _end(self, job: Job, status: JobStatus) -> None:
        self._ended_at = time.time()
        job.ended_at = job.last_heartbeat = datetime.fromtimestamp(self._ended_at, UTC)
        job._status = status  # noqa: SLF001 - callbacks see it; Redis gets it from the host

    def _outcome(  # noqa: PLR0913  so many facts has an outcome
        self,
        kind: str,
        result_type: int,
        ttl: int,
        then: Next,
        *,
        result: bytes = b"",
        error: bytes = b"",
        summary: str = "",
        repeat: bool = False,
    ) -> Outcome:
        record, message = self._record, self._message
        packed = pack_ending(
            job_id=message.job_id,
            token=message.token,
            kind=kind,
            ttl=int(min(ttl, LONGEST_SECONDS)),  # whatever the job made of it
            started_at=self._started_at,
            ended_at=self._ended_at,
            seconds=self._seconds,
            fields=self._fields(),
            accepted=record.get(b"created_at", b"") + record.get(b"enqueued_at", b""),
            result=result,
            has_dependencies=b"dependency_id" in record or b"dependency_ids" in record,
            result_type=result_type,
            error=error,
            again=then.again,
            delay=then.delay,
            rate_limit_key=record.get(b"rate_limit_key", b"") if record.get(b"rate_limit_concurrency") else b"",
            group=record.get(b"group_id", b""),
            summary=summary,
        )
        return Outcome(message.sequence, kind, self._seconds, packed, summary, then.again, repeat)

    def _fields(self) -> list[bytes]:
        times = time_fields(written(self._started_at)[1], written(self._ended_at)[1])
        if self._untouched or self._job is None:
            return times
        return times + changed_fields(self._job, self._record, self._payload)


def begin(job: Job, started_at: float, host: str) -> None:
    """Makes a job that was read one that runs since then. Should it save itself: its hash is from before the start."""
    job.started_at = datetime.fromtimestamp(started_at, UTC)
    job._status = JobStatus.STARTED  # noqa: SLF001 - Redis has it already
    job.worker_name = host


def _failure_ttl(job: Job) -> int:
    return DEFAULT_FAILURE_TTL if job.failure_ttl is None else job.failure_ttl
