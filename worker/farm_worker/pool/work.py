"""How a process, or a thread of one, runs its jobs: plain ones the short way, all others as an `Attempt`.

Plain is a job of RQ's own class with its default serializer, with nothing to do but to call a function, in a process
whose app puts nothing around jobs and where no tool watches RQ's methods. That is most jobs, and all that count where
jobs are short: RQ's `Job` is built only if somebody looks at it. Where anything else comes of such a job (an error, a
returned `Retry`, a job that was looked at) an `Attempt` takes over.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from rq.job import Job, Retry, _current_job
from rq.serializers import DefaultSerializer

from farm.context import ENTRYPOINT, CurrentJob, enter_job, running_job, running_jobs
from farm.ending import pack_plain_ending
from farm.entry import served_app
from farm.packed import unpack
from farm_worker.pool import result, stand_in
from farm_worker.pool.attempt import Attempt, Begun, begin
from farm_worker.pool.call import known_function, leave_fork, runs_as_rq_does
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.follow_up import FollowUp
from farm_worker.pool.plain_record import PlainRecord, PlainRecords, decode
from farm_worker.pool.protocol import Outcome, Progress, RunJob
from farm_worker.pool.record import Watch, restore, time_fields, to_record
from farm_worker.pool.unread_job import UnreadJob, read, unread_job


class Work:
    """Runs one job after another."""

    def __init__(self, equipment: Equipment, settle: Callable[[], None] = lambda: None) -> None:
        """`settle` is called when a job's function was found and modules were imported for it."""
        self._equipment = equipment
        self._settle = settle
        self._records = PlainRecords(equipment.connection)
        self._may_be_plain = equipment.job_class is Job and equipment.serializer is None
        self._attempt: Attempt | FollowUp | None = None
        self._watch: Watch | None = None
        """Of a plain job that was looked at."""
        self._function = ""

    def run(self, message: RunJob) -> Outcome:
        """The job's ending. Never raises."""
        self._attempt = None
        if message.follow_up:
            self._attempt = FollowUp(self._equipment, message)
            return self._attempt.run()
        if self._may_be_plain and not stand_in.is_watched() and runs_as_rq_does(Job):
            app = served_app()
            fields = unpack(message.packed)
            if (app is None or not app.around_job_hooks) and (record := self._records.read(fields)) is not None:
                outcome = self._run_plainly(message, fields, record)
                if outcome is not None:
                    return outcome
        attempt = self._attempt or Attempt(self._equipment, message, self._settle)
        self._attempt = attempt
        return attempt.run()

    @property
    def left_tasks(self) -> str:
        """What the last job left on the event loop that could not be ended; empty if nothing."""
        return "" if self._attempt is None else self._attempt.left_tasks

    def package(self) -> str:
        """The top-level package of the last job's function. Empty if it is not known."""
        return self._function.partition(".")[0] if self._attempt is None else self._attempt.package()

    def send_webhooks(self, outcome: Outcome) -> None:
        """Sends the last job's webhooks. Plain jobs have none."""
        if self._attempt is not None:
            self._attempt.send_webhooks(outcome)

    def _run_plainly(self, message: RunJob, fields: Sequence[bytes], record: PlainRecord) -> Outcome | None:
        """None if the job has to go the long way from the start: nothing of it has run."""
        equipment, sequence, started_at = self._equipment, message.sequence, time.time()
        self._watch = None
        job = unread_job(partial(self._attributes, message, fields, started_at))
        current = CurrentJob(
            job,
            message.queue,
            message.attempt,
            equipment.process,
            partial(self._tell_progress, sequence),
            record.fence,
        )
        enter_job(sequence, current)
        context, alarm, value, error = copy_context(), equipment.alarm, None, None
        begun, modules = time.monotonic(), len(sys.modules)
        try:
            alarm.begin_job(record.traits.limit)
            call = decode(record.data)
            if call is None or call[0] == ENTRYPOINT or (function := known_function(call[0])) is None:
                return None
            if len(sys.modules) != modules:
                self._settle()
            self._function = call[0]
            equipment.variable.set(message.job_id)
            value = context.run(self._call, function, call, job, current)
        except BaseException as raised:  # noqa: BLE001 - SystemExit in a job is a failed job
            error = raised
        finally:
            alarm.disarm()
            del running_jobs[sequence]
        if os.getpid() != equipment.process.pid:
            leave_fork(error)
        seconds = time.monotonic() - begun
        is_over = error is None and type(job) is UnreadJob and not current.has_more and not equipment.coroutines.in_job
        if is_over and not isinstance(value, Retry):
            try:
                return self._finished(message, record, value, started_at, seconds)
            except result.ResultNotStorable as unstorable:
                error = unstorable
        read(job)
        watch = self._watch
        assert watch is not None
        watch.follow(job)
        self._attempt = Attempt(equipment, message, self._settle)
        return self._attempt.take_over(Begun(job, current, context, started_at, seconds, watch), value, error)

    def _call(self, function: Callable[..., Any], call: tuple[str, Any, Any], job: Job, current: CurrentJob) -> Any:
        running_job.set(current)
        _current_job.set(job)
        value = function(*call[1], **call[2])
        is_coroutine = hasattr(value, "send") and asyncio.iscoroutine(value)  # the first is seen at once
        return self._equipment.coroutines.run_job(value) if is_coroutine else value

    def _finished(self, message: RunJob, record: PlainRecord, value: Any, started_at: float, seconds: float) -> Outcome:
        ended_at, traits = time.time(), record.traits
        ttl = self._equipment.result_ttl if traits.result_ttl is None else traits.result_ttl
        encoded = b"" if value is None or not ttl else result.encode(value, DefaultSerializer)
        fields = time_fields(started_at, ended_at)
        packed = pack_plain_ending(
            (message.job_id, message.token), ttl, (started_at, ended_at, seconds), fields, record.accepted, encoded
        )
        return Outcome(message.sequence, "finished", seconds, packed)

    def _attributes(self, message: RunJob, fields: Sequence[bytes], started_at: float) -> dict[str, Any]:
        """Somebody looks at a plain job."""
        equipment, record = self._equipment, to_record(fields)
        job = restore(Job, message.job_id, record, equipment.connection, None)
        begin(job, started_at, equipment.process.host)
        self._watch = Watch(job)
        return vars(job)

    def _tell_progress(self, sequence: int, fraction: float | None, text: str) -> None:
        self._equipment.send(Progress(sequence, fraction, text))
