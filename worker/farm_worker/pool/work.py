"""How a process, or a thread of one, runs its jobs: plain ones the short way, all others as an `Attempt`.

Plain is a job of RQ's own class with its default serializer, with nothing to do but to call a function, in a process
whose app puts nothing around jobs and where no tool watches RQ's methods. That is most jobs, and all that count where
jobs are short: RQ's `Job` is built only if somebody looks at it. Where anything else comes of such a job (an error, a
returned `Retry`, a job that was looked at) an `Attempt` takes over.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import Any

from rq.job import Job, Retry, _current_job

from farm.context import ENTRYPOINT, CurrentJob, enter_job, enter_later, running_job, running_jobs
from farm.packed import unpack_hash
from farm_worker.pool import own_process, plain_job
from farm_worker.pool.attempt import Attempt, Begun
from farm_worker.pool.call import known_function, leave_fork, package_in
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.follow_up import FollowUp
from farm_worker.pool.outcome import Outcome, used
from farm_worker.pool.payload import add_payload
from farm_worker.pool.plain_record import Call, PlainRecord, PlainRecords, decode
from farm_worker.pool.protocol import Message, Progress, RunJob
from farm_worker.pool.record import Watch
from farm_worker.pool.unread_job import UnreadJob, read, unread_job

MOST_AHEAD = 32
LARGEST_AHEAD = 4096
"""Bytes: records that are read ahead are small ones, as they take their memory twice."""

_NOT_PLAIN = object()


class Work:
    """Runs one job after another."""

    def __init__(self, equipment: Equipment, settle: Callable[[], None] = lambda: None) -> None:
        """`settle` is called when a job's function was found and modules were imported for it."""
        self._equipment = equipment
        self._account = equipment.process.account
        self._settle = settle
        self._records = PlainRecords(equipment.connection)
        self._may_be_plain = equipment.job_class is Job and equipment.serializer is None
        self.attempt: Attempt | FollowUp | None = None
        """Who ran the last job; None if it was a plain one."""
        self._watch: Watch | None = None
        self._payload = b""
        """Both of a plain job that was looked at: as it was before."""
        self._modules = 0
        """How many were imported before the last job."""
        self._decoded: Call | None = None
        """What the job calls; None until that is known."""
        self._fields: list[bytes] | None = None
        """The hash of the job, where more than Redis packed belongs to it."""
        self.ahead: deque[tuple[int, PlainRecord | None]] = deque()
        """What was read already of jobs that come next, with their sequences."""

    def run_measured(self, message: RunJob, *, is_last: bool) -> Outcome:
        """As `run`, and the outcome says what was used. `is_last`: it is not known yet that another one follows."""
        account = self._account
        goes_on = account.goes_on
        begun = account.shares if goes_on else account.begin(time.monotonic())
        outcome = self.run(message)
        if is_last or not goes_on or not account.passes(begun, outcome.seconds):
            outcome.used = used(account, begun, outcome.seconds, is_last=is_last)
        return outcome

    def run(self, message: RunJob) -> Outcome:
        """The job's ending. Never raises."""
        self.attempt, self._decoded, self._modules = None, None, len(sys.modules)
        if message.follow_up:
            self.attempt = FollowUp(self._equipment, message)
            return self.attempt.run()
        self._fields = unpack_hash(message.packed) if message.is_large else None
        if self._fields is not None and not add_payload(self._fields, message.job_id, self._equipment):
            return Outcome(message.sequence, "unbegun", 0.0, b"")
        record = self._read(message) if self._may_be_plain and plain_job.may_be_plain() else None
        if record is not None and (outcome := self._run_plainly(message, record)) is not None:
            return outcome
        self.attempt = Attempt(self._equipment, message, self._hash(message), self._settle, self._modules)
        return self.attempt.run()

    def look_ahead(self, messages: Iterable[Message]) -> None:
        """Reads the records of jobs that come next, once none is `ahead`: several in a row cost less than each alone.

        `messages`: what the process was sent and has not begun.
        """
        if not self._may_be_plain:
            return
        for message in islice(messages, MOST_AHEAD):
            if isinstance(message, RunJob) and not (message.is_large or message.follow_up):
                if len(message.packed) > LARGEST_AHEAD:
                    break
                self.ahead.append((message.sequence, self._records.read(unpack_hash(message.packed))))

    def package(self) -> str:
        """The top-level package of the last job's function. Empty if it is not known."""
        if self.attempt is not None:
            return self.attempt.package()
        return "" if self._decoded is None else package_in(self._decoded[0])

    def _read(self, message: RunJob) -> PlainRecord | None:
        ahead = self.ahead
        while ahead and ahead[0][0] < message.sequence:  # of one that the host took back
            ahead.popleft()
        if ahead and ahead[0][0] == message.sequence:
            return ahead.popleft()[1]
        return self._records.read(self._hash(message))

    def _hash(self, message: RunJob) -> list[bytes]:
        return unpack_hash(message.packed) if self._fields is None else self._fields

    def _run_plainly(self, message: RunJob, record: PlainRecord) -> Outcome | None:
        """None if the job has to go the long way from the start: its function was not called."""
        equipment, sequence, started_at = self._equipment, message.sequence, time.time()
        job = unread_job(partial(self._attributes, message, self._fields, started_at))
        current = CurrentJob(
            job,
            message.queue,
            message.attempt,
            equipment.process,
            partial(self._tell_progress, sequence),
            record.fence,
            record.accepted,
        )
        enter_job(sequence, current)
        context, alarm, value, error = copy_context(), equipment.alarm, None, None
        equipment.variable.set(message.job_id)
        begun = time.monotonic()
        try:
            try:
                alarm.begin_job(record.traits.limit)
                value = context.run(self._call, record.data, job, current)
            finally:
                alarm.disarm()
        except BaseException as raised:  # noqa: BLE001 - SystemExit in a job is a failed job
            error = raised
        if value is _NOT_PLAIN:
            enter_later(sequence)
            return None
        del running_jobs[sequence]
        if own_process.pid != equipment.process.pid:
            leave_fork(error)
        seconds = time.monotonic() - begun
        is_over = error is None and type(job) is UnreadJob and not current.has_more and not equipment.coroutines.in_job
        if is_over and not isinstance(value, Retry):
            try:
                outcome = plain_job.finished(equipment, message, record, value, context, started_at, seconds)
            except BaseException as unstorable:  # noqa: BLE001 - to encode a result runs the user's code, too
                error = unstorable
            else:
                current.finish()
                return outcome
        read(job)
        assert self._watch is not None
        begun_job = Begun(job, current, context, started_at, seconds, self._watch, self._payload)
        self.attempt = Attempt(equipment, message, self._hash(message), self._settle, 0)
        return self.attempt.take_over(begun_job, value, error)

    def _call(self, data: bytes, job: Job, current: CurrentJob) -> Any:
        """What the job's function returns; `_NOT_PLAIN` if the job is of another kind. Runs in the job's context."""
        running_job.set(current)
        call = decode(data)
        if call is None or call[0] == ENTRYPOINT or not (function := known_function(call[0])):
            return _NOT_PLAIN
        self._decoded = call
        if len(sys.modules) != self._modules:
            self._settle()
        token = _current_job.set(job)
        try:
            value = function(*call[1], **call[2])
            is_coroutine = hasattr(value, "send") and asyncio.iscoroutine(value)  # the first is seen at once
            return self._equipment.coroutines.run_job(value) if is_coroutine else value
        finally:
            _current_job.reset(token)

    def _attributes(self, message: RunJob, fields: list[bytes] | None, started_at: float) -> dict[str, Any]:
        """Somebody looks at a plain job."""
        fields = fields or unpack_hash(message.packed)
        job, self._watch, self._payload = plain_job.look_at(self._equipment, message, fields, started_at, self._decoded)
        return vars(job)

    def _tell_progress(self, sequence: int, fraction: float | None, text: str) -> None:
        self._equipment.send(Progress(sequence, fraction, text))
