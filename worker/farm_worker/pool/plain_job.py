"""What becomes of a plain job: the record of its end, and RQ's `Job` for those who look at it."""

import time
from collections.abc import Sequence
from contextvars import Context
from typing import Any

from rq.job import Job
from rq.serializers import DefaultSerializer
from rq.worker import Worker

from farm.entry import served_app
from farm.records import LONGEST_SECONDS
from farm_worker.pool import result
from farm_worker.pool.attempt import begin
from farm_worker.pool.call import EXECUTE, PERFORM
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.outcome import Finished
from farm_worker.pool.plain_record import Call, PlainRecord
from farm_worker.pool.protocol import RunJob
from farm_worker.pool.record import Watch, restore, to_record
from farm_worker.pool.stand_in import our_handle_exception, our_perform_job


def may_be_plain() -> bool:
    """Whether there is nothing in this process, as things are, that has to be asked of each job."""
    if Worker.perform_job is not our_perform_job or Worker.handle_exception is not our_handle_exception:
        return False  # as `stand_in.is_watched`, and below as `call.runs_as_rq_does`: after each job a call is dear
    app = served_app()
    return Job.perform is PERFORM and Job._execute is EXECUTE and (app is None or not app.around_job_hooks)  # noqa: SLF001


def finished(
    equipment: Equipment,
    message: RunJob,
    record: PlainRecord,
    value: Any,
    context: Context,
    started_at: float,
    seconds: float,
) -> Finished:
    """Of a job that returned `value`. Raises what its encoding raises, which runs in the job's context."""
    traits = record.traits
    ttl = equipment.result_ttl if traits.result_ttl is None else traits.result_ttl
    encoded = context.run(result.encode, value, DefaultSerializer) if ttl and value is not None else b""
    return Finished(
        sequence=message.sequence,
        kind="finished",
        seconds=seconds,
        packed=b"",
        started_at=started_at,
        ended_at=time.time(),
        ttl=int(min(ttl, LONGEST_SECONDS)),
        accepted=record.accepted,
        result=encoded,
    )


def look_at(
    equipment: Equipment, message: RunJob, fields: Sequence[bytes], started_at: float, decoded: Call | None
) -> tuple[Job, Watch, bytes]:
    """Somebody looks at the job: RQ's, what watches it for changes, and the payload that it had before."""
    job = restore(Job, message.job_id, to_record(fields), equipment.connection, None)
    begin(job, started_at, equipment.process.host)
    payload = job.data
    if decoded is not None:  # what the function was given, not other objects that are like it
        job._func_name, job._args, job._kwargs = decoded  # noqa: SLF001 - the public ones encode it anew
        job._instance = None  # noqa: SLF001
    return job, Watch(job), payload
