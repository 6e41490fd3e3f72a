"""One coroutine job among others of its process: its own context, time limit, end and outcome."""

import asyncio
import inspect
import logging
import time
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar, copy_context
from typing import Any

from rq.job import Retry, _current_job
from rq.timeouts import JobTimeoutException

from farm.context import CurrentJob, enter_job, running_job, running_jobs
from farm.errors import JobCancelled
from farm_worker.pool import call, own_process, plain_job
from farm_worker.pool.around import CLOSING_SECONDS
from farm_worker.pool.attempt import Attempt, Begun
from farm_worker.pool.call import known_function, leave_fork
from farm_worker.pool.coroutines import CANCEL_SECONDS
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.plain_record import Call, PlainRecord, decode
from farm_worker.pool.protocol import Progress, RunJob
from farm_worker.pool.unread_job import UnreadJob, read, unread_job

STOPPED = "it was stopped on request"

owner: ContextVar["CoroutineJob | None"] = ContextVar("farm_coroutine_job", default=None)
"""Whose tasks those are that are made here."""

_logger = logging.getLogger("farm_worker")


class CoroutineJob:
    """From its call to its outcome. All on the loop's thread."""

    def __init__(self, equipment: Equipment, message: RunJob, fields: Sequence[bytes], record: PlainRecord) -> None:
        self.message = message
        self.context = copy_context()
        self.tasks: set[asyncio.Task[Any]] = set()
        """What it made beside its own task, and has not ended."""
        self.stubborn = ""
        """Tasks that it left and that would not end."""
        self._equipment = equipment
        self._fields = fields
        self._record = record
        self._decoded: Call | None = None
        self._begun: Begun | None = None
        self._task: asyncio.Task[Any] | None = None
        self._limit: asyncio.TimerHandle | None = None
        self._why: BaseException | None = None
        """What it fails of in place of the cancellation that it was sent."""
        self._started_at = time.time()
        self._begun_at = time.monotonic()
        self._job = unread_job(self._attributes)
        self.begun_usage = equipment.process.account.begin(self._begun_at)
        self._current = CurrentJob(
            self._job,
            message.queue,
            message.attempt,
            equipment.process,
            self._tell_progress,
            record.fence,
            record.accepted,
        )

    def start(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[Any]:
        """Calls the function. Its task ends by itself, or as one of the methods below asks it to."""
        enter_job(self.message.sequence, self._current)
        self._task = loop.create_task(self._run(), context=self.context)
        if self._record.traits.limit > 0:
            self._limit = loop.call_later(self._record.traits.limit, self._time_out)
        return self._task

    def stop(self) -> None:
        """Somebody wants its end."""
        self._current.cancel(STOPPED)
        self._cancel(JobCancelled(f"job {self.message.job_id.decode(errors='replace')} was asked to end: {STOPPED}"))

    def interrupt(self) -> None:
        """The host stops."""
        self._cancel(asyncio.CancelledError())

    def outcome(self) -> Outcome | None:
        """Of a job whose task has ended. None: it takes the long way, `end`."""
        assert self._task is not None
        if self._limit is not None:
            self._limit.cancel()
        if own_process.pid != self._equipment.process.pid:
            leave_fork(None)
        if self._task.cancelled() or self._task.exception() is not None or self.tasks or self._current.has_more:
            return None
        value = self._task.result()
        if type(self._job) is not UnreadJob or isinstance(value, Retry):
            return None
        seconds = time.monotonic() - self._begun_at
        try:
            outcome = plain_job.finished(
                self._equipment, self.message, self._record, value, self.context, self._started_at, seconds
            )
        except BaseException:  # noqa: BLE001 - to encode a result runs the user's code, too; the long way says it
            return None
        self._leave()
        return outcome

    async def end(self) -> Outcome:
        """The outcome of a job that failed, or left something to be done after it."""
        assert self._task is not None
        seconds = time.monotonic() - self._begun_at
        error = self._error(self._task)
        await self._call_back()
        await self._end_tasks()
        read(self._job)
        assert self._begun is not None
        self._begun.seconds = seconds
        value = None if error is not None else self._task.result()
        del running_jobs[self.message.sequence]
        return Attempt(self._equipment, self.message, self._fields, lambda: None, 0).take_over(
            self._begun, value, error
        )

    async def _run(self) -> Any:
        running_job.set(self._current)
        _current_job.set(self._job)
        owner.set(self)
        try:
            return await self._called()
        except (SystemExit, KeyboardInterrupt) as error:  # the loop would break off
            self._why = error
            raise asyncio.CancelledError from None

    def _called(self) -> Coroutine[Any, Any, Any]:
        decoded = self._decoded = decode(self._record.data)
        if decoded is None:
            return _undecodable(self._job)
        made: Coroutine[Any, Any, Any] = known_function(decoded[0])(*decoded[1], **decoded[2])
        return made

    def _time_out(self) -> None:
        limit = self._record.traits.limit
        self._cancel(JobTimeoutException(f"Task exceeded maximum timeout value ({limit} seconds)"))

    def _cancel(self, why: BaseException) -> None:
        if self._task is not None and not self._task.done() and self._why is None:
            self._why = why
            self._task.cancel()

    def _error(self, task: asyncio.Task[Any]) -> BaseException | None:
        if task.cancelled():
            return self._why or asyncio.CancelledError("the job's task was cancelled")
        return task.exception()

    async def _call_back(self) -> None:
        """Its shutdown callbacks, the last one first."""
        callbacks, self._current.shutdown_callbacks = self._current.shutdown_callbacks or (), None
        if not callbacks:
            return
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                for callback in reversed(callbacks):
                    await asyncio.get_running_loop().create_task(_call(callback), context=self.context)
        except TimeoutError:
            _logger.error("the shutdown callbacks of job %s took too long and were given up", self._job.id)

    async def _end_tasks(self) -> None:
        left = {task for task in self.tasks if not task.done()}
        if not left:
            return
        for task in left:
            task.cancel()
        ended, stubborn = await asyncio.wait(left, timeout=CANCEL_SECONDS)
        for task in ended:
            if not task.cancelled():
                task.exception()  # taken, so that nobody complains that it was never retrieved
        names = ", ".join(sorted(task.get_name() for task in stubborn))
        self.stubborn = f"tasks did not end when they were cancelled: {names}" if names else ""

    def _leave(self) -> None:
        del running_jobs[self.message.sequence]
        self._current.finish()

    def _attributes(self) -> dict[str, Any]:
        """Somebody looks at the job."""
        job, watch, payload = plain_job.look_at(
            self._equipment, self.message, self._fields, self._started_at, self._decoded
        )
        self._begun = Begun(self._job, self._current, self.context, self._started_at, 0.0, watch, payload)
        return vars(job)

    def _tell_progress(self, fraction: float | None, text: str) -> None:
        self._equipment.send(Progress(self.message.sequence, fraction, text))


def is_coroutine(function: Any) -> bool:
    """Whether its jobs can run side by side, told without calling it."""
    return inspect.iscoroutinefunction(function)


async def _undecodable(job: Any) -> Any:
    """Raises what the long way would."""
    call.decode(job)


async def _call(callback: Any) -> None:
    try:
        made = callback()
        if inspect.isawaitable(made):
            await made
    except Exception:
        _logger.exception("a shutdown callback failed")
