"""Calls what RQ calls of a job that ended without its process: that one could not do it."""

import logging
import time
from typing import Any, cast

from rq.callbacks import execute_failure_callback, execute_stopped_callback
from rq.exceptions import AbandonedJobError
from rq.job import Job

from farm.packed import unpack
from farm_worker.pool import stand_in
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.failure import ExceptionInfo
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import RunJob
from farm_worker.pool.record import restore, to_record

_logger = logging.getLogger("farm_worker")


class FollowUp:
    """One job, as it is in Redis after its end."""

    left_tasks = ""

    def __init__(self, equipment: Equipment, message: RunJob) -> None:
        self._equipment = equipment
        self._message = message

    def run(self) -> Outcome:
        """Calls all. What raises is logged, and keeps nothing else from being called."""
        begun = time.monotonic()
        try:
            job = self._restore()
            if self._message.follow_up == "stopped":
                execute_stopped_callback(job, self._limit)
            else:
                self._tell_of_failure(job)
        except BaseException:
            _logger.exception("following job %s up failed", self._message.job_id.decode("utf-8", "replace"))
        return Outcome(sequence=self._message.sequence, kind="followed", seconds=time.monotonic() - begun, packed=b"")

    def package(self) -> str:
        """As of an attempt: nothing of the process's surroundings is kept for it."""
        return ""

    def send_webhooks(self, _outcome: Outcome) -> None:
        """They were: what is not done yet has to be done before the outcome is told."""

    @property
    def _limit(self) -> Any:
        return cast("Any", self._equipment.alarm.limit)

    def _restore(self) -> Job:
        equipment, record = self._equipment, to_record(unpack(self._message.packed))
        return restore(equipment.job_class, self._message.job_id, record, equipment.connection, equipment.serializer)

    def _tell_of_failure(self, job: Job) -> None:
        result = job.latest_result()
        text = (result.exc_string if result is not None else None) or ""
        error = AbandonedJobError(text)
        info: ExceptionInfo = (AbandonedJobError, error, None)
        try:
            execute_failure_callback(job, self._limit, *info)
        except BaseException:
            _logger.exception("the failure callback of job %s failed", job.id)
        try:
            stand_in.handle(None, self._equipment.exception_handlers, job, info)
        except BaseException:
            _logger.exception("an exception handler failed on job %s", job.id)
        job.send_webhooks("failed", exc_string=text)
