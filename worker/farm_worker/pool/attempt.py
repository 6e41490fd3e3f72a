"""One attempt at a job: from its hash to what is to be written of it."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq.callbacks import execute_failure_callback, execute_success_callback
from rq.defaults import DEFAULT_FAILURE_TTL
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus, Retry, _current_job
from rq.job_lifecycle import call_exception_handlers
from rq.queue import Queue

from farm.context import CurrentJob, CurrentProcess, running_job
from farm_worker.pool import continuation, failure, result
from farm_worker.pool.alarm import Alarm
from farm_worker.pool.continuation import NOWHERE, Next
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.protocol import Outcome, RunJob
from farm_worker.pool.record import Record, Watch, changed_fields, new_job, restore, stamp, to_record

SUCCESSFUL, FAILED, RETRIED, RETRIES_EXCEEDED = 1, 2, 4, 5
"""RQ's `Result.Type`."""

_FUTILE = (DeserializationError, result.ResultNotStorable)
"""Failures that another attempt would repeat."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a process has for all its attempts."""

    process: CurrentProcess
    connection: "Redis"
    job_class: type[Job]
    serializer: Any
    exception_handlers: Sequence[Callable[..., Any]]
    result_ttl: int
    alarm: Alarm
    coroutines: Coroutines


class Attempt:
    """Runs one job and its callbacks. What the job does cannot make this raise."""

    __slots__ = ("_data", "_ended_at", "_equipment", "_error_text", "_job", "_message", "_record", "_seconds", "_started_at", "_watch")

    def __init__(self, equipment: Equipment, message: RunJob) -> None:
        self._equipment = equipment
        self._message = message
        self._record: Record = to_record(message.fields)
        self._started_at = self._ended_at = datetime.now(UTC)
        self._seconds = 0.0
        self._watch: Watch | None = None
        self._error_text = ""
        self._data = b""
        self._job: Job

    def run(self) -> Outcome:
        """The job's ending. Its callbacks and exception handlers have run, its webhooks have not."""
        try:
            self._restore()
        except BaseException as error:  # noqa: BLE001 - unpickling runs the user's code
            return self._fail_unread(error)
        job, message = self._job, self._message
        token = running_job.set(CurrentJob(job, message.queue, message.attempt, self._equipment.process))
        pid = os.getpid()
        try:
            return self._succeed(self._perform())
        except BaseException as error:  # noqa: BLE001 - SystemExit in a job is a failed job
            if os.getpid() != pid:
                _leave_fork(error)
            return self._fail(error)
        finally:
            running_job.reset(token)

    def send_webhooks(self, outcome: Outcome) -> None:
        """Sends the job's webhooks, each with its own timeout. Errors are logged by RQ."""
        if outcome.again and not outcome.repeat:
            return
        job = getattr(self, "_job", None)
        if job is not None and job.webhooks:
            job.send_webhooks(outcome.kind, exc_string=self._error_text)

    def _restore(self) -> None:
        equipment, message = self._equipment, self._message
        job = new_job(equipment.job_class, message.job_id, equipment.connection, equipment.serializer)
        restore(job, self._record)
        job.started_at = self._started_at
        self._data = job.data
        self._job = job

    def _perform(self) -> Any:
        job, equipment = self._job, self._equipment
        _set_job_id(self._message.job_id)
        begun = time.monotonic()
        try:
            equipment.alarm.arm(job.timeout or Queue.DEFAULT_TIMEOUT)
            decode_call = failure.decode_call(job)  # noqa: F841
            self._watch = Watch(job)
            return _call(job, equipment.coroutines)
        finally:
            equipment.alarm.disarm()
            self._seconds = time.monotonic() - begun
