"""From a job that this host started to what the pool is given."""

import time
from collections.abc import Sequence

from farm.store.started import StartedJob
from farm_worker.durations import Duration
from farm_worker.pool.assignment import Assignment
from farm_worker.prefetch import is_long

DEFAULT_TIMEOUT_SECONDS = 180.0
"""RQ's, for jobs that name none."""

CALLBACK_TIMEOUT_SECONDS = 60.0
"""RQ's, for callbacks that name none."""


def assign(job: StartedJob, duration: Duration | None = None) -> Assignment:
    """The job as the pool takes it. `duration`: what is known of how long it takes."""
    assignment = Assignment(
        job_id=job.job_id,
        token=job.token,
        queue=job.queue,
        attempt=job.attempt,
        on_lost=job.on_lost,
        timeout=_timeout(job.timeout),
        callback_timeout=_callback_timeout(job.fields) if job.has_callbacks else 0.0,
        packed=job.packed,
        is_large=job.is_large,
        called=job.called,
        is_long=duration is not None and is_long(duration.seconds),
        least_seconds=0.0 if duration is None else duration.undisturbed,
        alone=job.attempt > 1 and _crashes(job.fields) > 0,
    )
    assignment.dispatched_at = time.monotonic()
    return assignment


def field(fields: Sequence[bytes], name: bytes) -> bytes:
    """The value of `name` in a flat hash, empty if it has none."""
    for index in range(0, len(fields), 2):
        if fields[index] == name:
            return fields[index + 1]
    return b""


def acceptance(fields: Sequence[bytes]) -> bytes:
    """What tells one enqueueing of a job from the next: its times of creation and of enqueueing."""
    return field(fields, b"created_at") + field(fields, b"enqueued_at")


def _crashes(fields: Sequence[bytes]) -> int:
    """How many processes ended while they ran the job."""
    try:
        return int(field(fields, b"farm_crashes") or 0)
    except ValueError:
        return 0


def _timeout(value: bytes) -> float | None:
    """Seconds that the job may run: RQ's field, its default of 180 without one, None for -1."""
    try:
        seconds = float(value or DEFAULT_TIMEOUT_SECONDS)
    except ValueError:
        return DEFAULT_TIMEOUT_SECONDS
    return seconds if seconds > 0 else None


def _callback_timeout(fields: Sequence[bytes]) -> float:
    """The longest of the limits that the job's callbacks have."""
    limits = [0.0]
    for kind in (b"success_callback", b"failure_callback"):
        if field(fields, kind + b"_name"):
            try:
                limits.append(float(field(fields, kind + b"_timeout") or CALLBACK_TIMEOUT_SECONDS))
            except ValueError:
                limits.append(CALLBACK_TIMEOUT_SECONDS)
    return max(limits)
