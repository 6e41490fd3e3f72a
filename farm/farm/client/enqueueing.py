"""Writing jobs as plain `rq.Queue` writes them, with our options as fields beside RQ's.

Jobs that need nothing but a place in their queue are written by one script; RQ's own methods write the others.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from rq.exceptions import DuplicateJobError
from rq.job import JobStatus

from farm.client.calls import Call, DuplicateJob, InvalidCall
from farm.client.job_form import JobForm
from farm.client.options import Options
from farm.client.rq_queue import ClientJob, RqQueue
from farm.client.written import Written
from farm.store.enqueue_message import EnqueueMessage
from farm.store.enqueueing import EnqueueStore, NewJobs
from farm.store.job_reader import Pipeline

CallAndOptions = tuple[Call, Options]
"""One call with all its options: those of its queue, and its own."""


class Enqueuer:
    """Writes to one queue. May be shared by threads."""

    def __init__(self, queue: RqQueue, store: EnqueueStore, options: Options) -> None:
        """`options`: those that most calls will have."""
        self.queue = queue
        self._store = store
        self._options = options
        self._writes_one = not options.by_rq
        self._form: JobForm | None = None
        self._one: tuple[JobForm, EnqueueMessage] | None = None

    def enqueue(self, wanted: Sequence[CallAndOptions]) -> list[Written]:
        """Writes all of them; those between two that RQ writes go in one transaction.

        Raises InvalidCall before anything is written, DuplicateJob, and redis-py's errors.
        """
        if len(wanted) == 1 and wanted[0][1] is self._options and self._writes_one:
            return [self._enqueue_one(wanted[0][0])]
        _check_ids(wanted)
        steps: list[_FormStep | _RqStep] = []
        for by_rq, group in groupby(wanted, lambda one: one[1].by_rq):
            together = list(group)
            steps.append(_RqStep(self.queue, together) if by_rq else self._fill(together))
        for step in steps:
            step.write()
        return [written for step in steps for written in step.written]

    def _enqueue_one(self, call: Call) -> Written:
        """With as little ado as there can be: a job that comes alone is one that somebody waits for."""
        options = self._options
        if self._one is None:
            form = self._form_for(options)
            self._one = (
                form,
                self._store.message(self.queue.name, options.at_front, options.ttl or 0, form.with_blanks()),
            )
        form, message = self._one
        job_id, data, own = form.fill_one(call)
        self._store.enqueue_one(message, job_id, own)
        return Written(job_id, data, options)

    def _fill(self, wanted: Sequence[CallAndOptions]) -> "_FormStep":
        step = _FormStep(self._store)
        for alike in _runs_of_the_same(wanted):
            jobs, written = self._form_for(alike[0][1]).fill(alike)
            step.jobs.append(jobs)
            step.written += written
        return step

    def _form_for(self, options: Options) -> JobForm:
        if not options.alike(self._options):
            return JobForm(self.queue, options)
        if self._form is None:
            self._form = JobForm(self.queue, self._options)
        return self._form


class _FormStep:
    """Jobs whose records are filled in."""

    def __init__(self, store: EnqueueStore) -> None:
        self.written: list[Written] = []
        self.jobs: list[NewJobs] = []
        self._store = store

    def write(self) -> None:
        self._store.enqueue(self.jobs)


class _RqStep:
    """Jobs that RQ writes: each by itself, but for scheduled ones without an id to keep unique."""

    def __init__(self, queue: RqQueue, wanted: Sequence[CallAndOptions]) -> None:
        self._queue = queue
        self._jobs = [_create(queue, call, options) for call, options in wanted]
        self.written = [Written(job.id, job.data, options) for job, options in self._jobs]

    def write(self) -> None:
        with self._queue.connection.pipeline(transaction=True) as pipeline:
            for job, options in self._jobs:
                try:
                    self._write(job, options, pipeline)
                except DuplicateJobError as error:
                    raise DuplicateJob(
                        f"job {job.id} exists already, as {self._queue.name} or another queue holds it until its "
                        "result ends; use another id, or drop unique=True"
                    ) from error
            pipeline.execute()

    def _write(self, job: ClientJob, options: Options, pipeline: Pipeline) -> None:
        if not options.scheduled:
            self._queue.enqueue_job(job, at_front=options.at_front, unique=options.unique)
            return
        job.enqueue_at_front = options.at_front or None
        due = options.due(datetime.now(UTC))
        self._queue.schedule_job(job, due, pipeline=None if options.unique else pipeline, unique=options.unique)


def _create(queue: RqQueue, call: Call, options: Options) -> tuple[ClientJob, Options]:
    status = JobStatus.SCHEDULED if options.scheduled else JobStatus.QUEUED
    return queue.create_client_job(call, options, status), options


def _check_ids(wanted: Sequence[CallAndOptions]) -> None:
    ids = [options.job_id for _, options in wanted if options.job_id is not None]
    if len(ids) != len(set(ids)):
        job_id, times = Counter(ids).most_common(1)[0]
        raise InvalidCall(f"job_id={job_id!r} is for one job, not for {times}")


def _runs_of_the_same(wanted: Sequence[CallAndOptions]) -> Iterator[list[CallAndOptions]]:
    """The calls in their order, parted where options change that are not one job's own."""
    run: list[CallAndOptions] = []
    for one in wanted:
        if run and not one[1].alike(run[0][1]):
            yield run
            run = []
        run.append(one)
    if run:
        yield run
