"""From the end of a job to the value that the caller gets, or the error."""

from typing import Any

from rq.serializers import resolve_serializer

from farm.errors import JobError, JobFailed, JobNotFound, ResultTimeout
from farm.store.job_status import JobStatus, Outcome


class JobNotDecodable(JobError):
    """The job ended well, but its result cannot be read with the serializer of this queue."""


def value_of(job_id: str, outcome: Outcome, serializer: Any) -> Any:
    """The return value of an ended job, decoded with `serializer` (None: RQ's pickle).

    Raises JobFailed with the traceback as its text, JobNotFound when the result is gone, JobNotDecodable.
    """
    if outcome.status == "canceled":
        raise JobFailed(f"job {job_id} was canceled before it ended")
    if outcome.status == "quarantined":
        raise JobFailed(f"job {job_id} is in quarantine and will not run: {outcome.quarantine_reason}")
    if outcome.status != "finished":
        raise JobFailed(_failure(job_id, outcome))
    if not outcome.has_value:
        raise JobNotFound(
            f"job {job_id} finished, but its result is gone: its time (result_ttl) is over, or it was deleted"
        )
    if outcome.value is None:
        return None
    try:
        return resolve_serializer(serializer).loads(outcome.value)
    except Exception as error:
        raise JobNotDecodable(
            f"the result of job {job_id} cannot be decoded: {type(error).__name__}: {error}. "
            "Client and host must use the same serializer and have the same classes."
        ) from error


def not_found(job_id: str) -> JobNotFound:
    """For a job that is not in this Redis."""
    return JobNotFound(
        f"job {job_id} is not in this Redis: it never was, it was deleted, or it ended and is not kept any longer "
        "(result_ttl, 500 seconds by default; result_ttl=0 keeps nothing of a finished job, not even its result)"
    )


def timed_out(job_id: str, seconds: float, status: JobStatus | None) -> ResultTimeout:
    """For a job that did not end in time. It says why it waits, if it does."""
    state = status.sentence() if status is not None else "gone"
    return ResultTimeout(
        f"job {job_id} did not end within {seconds:g} s: {state}. It goes on; ask again, or cancel() it."
    )


def _failure(job_id: str, outcome: Outcome) -> str:
    what = f"job {job_id} {'was stopped' if outcome.status == 'stopped' else 'failed'}"
    if not outcome.traceback:
        return f"{what}, and left no traceback"
    text = outcome.traceback.rstrip()
    return f"{what}: {text.splitlines()[-1].strip()}\n\n{text}"
