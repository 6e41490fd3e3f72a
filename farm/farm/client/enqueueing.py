"""Writing jobs, with RQ's own classes: what a plain `rq.Queue` writes, and our options as fields beside it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rq import Queue
from rq.exceptions import DuplicateJobError
from rq.job import Job, JobStatus

from farm.client.calls import Call, DuplicateJob, InvalidCall, check_function, check_serializable
from farm.client.options import Options
from farm.records import MAX_PAYLOAD_BYTES
from farm.store.job_reader import Connection

_prepare: Any = Queue.prepare_data  # its annotation takes functions or paths, not the union of them
_DECODED_WHEN_READ = {b"meta", b"result", "meta", "result"}


class ClientJob(Job):
    """RQ's job with fields of ours, which RQ writes with its own. Read back, it leaves `meta` alone: it may be code."""

    farm_fields: Mapping[str, str] = {}

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[Any, Any]:
        """The fields of the hash."""
        return {**super().to_dict(include_meta, include_result), **self.farm_fields}

    def restore(self, raw_data: Any) -> Any:
        """Takes over the fields of the hash but for those whose decoding could run code."""
        return super().restore({name: value for name, value in raw_data.items() if name not in _DECODED_WHEN_READ})


class RqQueue(Queue):
    """RQ's queue. A job that no host could decode is refused when it is made, before anything is written."""

    def __init__(self, name: str, connection: Connection, serializer: Any, farm_fields: Mapping[str, str]) -> None:
        super().__init__(name, connection=connection, job_class=ClientJob, serializer=serializer)
        self._farm_fields = farm_fields

    def create_job(self, func: Any, *args: Any, **kwargs: Any) -> Job:
        """A job that can be written. Raises InvalidCall."""
        check_function(func)
        job = super().create_job(func, *args, **kwargs)
        assert isinstance(job, ClientJob)
        job.farm_fields = self._farm_fields
        try:
            payload = job.data  # serialises once; RQ keeps it
            self.serializer.dumps(job.meta)
        except Exception as error:
            check_serializable(Call(func, tuple(job.args), job.kwargs), job.instance, self.serializer)
            raise InvalidCall(f"meta of {job.func_name} cannot be sent to another process: {error}") from error
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidCall(
                f"the arguments of {job.func_name} take {len(payload)} bytes, {MAX_PAYLOAD_BYTES} at most can be sent. "
                "Put them where hosts can read them, and send a reference."
            )
        return job


def enqueue_calls(queue: RqQueue, options: Options, calls: Iterable[Call]) -> list[Job]:
    """Writes all of them, in one transaction where RQ can (not with `unique` and `depends_on`), and returns the jobs.

    Raises InvalidCall and DuplicateJob before anything is written, redis-py's errors otherwise.
    """
    listed = list(calls)
    if options.job_id is not None and len(listed) > 1:
        raise InvalidCall(f"job_id={options.job_id!r} is for one job, not for {len(listed)}")
    try:
        if options.unique or options.depends_on is not None or options.scheduled:
            return _write_one_by_one(queue, options, listed)
        return _write_together(queue, options, listed)
    except DuplicateJobError as error:
        raise DuplicateJob(
            f"job {options.job_id} exists already, as {queue.name} or another queue holds it until its result ends; "
            "use another id, or drop unique=True"
        ) from error


def _write_together(queue: RqQueue, options: Options, calls: Sequence[Call]) -> list[Job]:
    if not calls:
        return []
    shared = options.for_rq() | {"at_front": options.at_front}
    ordered = list(reversed(calls)) if options.at_front else calls  # each goes before the one pushed earlier
    jobs = queue.enqueue_many(_prepare(call.function, call.args, dict(call.kwargs), **shared) for call in ordered)
    return list(reversed(jobs)) if options.at_front else jobs


def _write_one_by_one(queue: RqQueue, options: Options, calls: Sequence[Call]) -> list[Job]:
    status = JobStatus.SCHEDULED if options.scheduled else JobStatus.QUEUED
    shared = options.for_rq() | {"status": status}
    jobs = [queue.create_job(call.function, call.args, dict(call.kwargs), **shared) for call in calls]
    alone = options.unique or options.depends_on is not None
    with queue.connection.pipeline(transaction=True) as pipeline:
        for job in jobs:
            if options.scheduled:
                job.enqueue_at_front = options.at_front or None
                due = options.due(datetime.now(UTC))
                queue.schedule_job(job, due, pipeline=None if alone else pipeline, unique=options.unique)
            else:
                queue.enqueue_job(job, at_front=options.at_front, unique=options.unique)
        pipeline.execute()
    return jobs
