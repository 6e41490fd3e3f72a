"""From what happened to a job to the record that is written of it."""

import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from farm.ending import Ending, pack_ending, pack_plain_ending
from farm.records import LONGEST_SECONDS, failure_text, iso_now
from farm.store import job_usage
from farm.store.job_usage import JobUsage
from farm_worker.beginnings import acceptance, field
from farm_worker.evidence import crash_line, ends_before
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.moment import time_fields, written
from farm_worker.pool.outcome import Finished, Outcome
from farm_worker.pool.progress import to_field
from farm_worker.pool.reasons import ProcessEnd, Reason

FAILURE_TTL_SECONDS = 365 * 24 * 3600
"""RQ's default for failed jobs: a year."""

_RUN_AGAIN = {Reason.DRAINED, Reason.CLOSED, Reason.RECYCLED, Reason.SURPLUS}
"""Ends of a process that are the host's own doing: its job goes back and nobody is blamed."""


_OF_ONE_JOB = {Reason.STOPPED, Reason.JOB_TIMEOUT, Reason.LEASE_LOST}
"""Ends of a process on account of one job: those that ran beside it are not to blame."""

STOPPED_TEXT = "Job stopped by user, work-horse terminated."
"""RQ's own words."""

STOPPED_HOST_TEXT = "The host was stopped while it ran the job, which must not run twice (on_lost=fail)."

LOST_OUTCOME_TEXT = "Redis lost the outcome of the job, which must not run twice (on_lost=fail)."


def from_outcome(assignment: Assignment, outcome: Outcome) -> Ending:
    """The process said how the job ended."""
    over = outcome.repeat or not outcome.again
    return Ending(
        job_id=assignment.job_id,
        token=assignment.token,
        kind=outcome.kind,
        packed=_pack(assignment, outcome) if isinstance(outcome, Finished) else outcome.packed,
        recorded=assignment.recorded,
        fields=_host_fields(assignment, _used(assignment, outcome), is_over=over),
        seconds=outcome.seconds,
        queue=assignment.queue,
        attempt=assignment.attempt,
        called=assignment.called,
        summary=outcome.summary,
    )


def _pack(assignment: Assignment, outcome: Finished) -> bytes:
    (began, began_date), (ended, ended_date) = written(outcome.started_at), written(outcome.ended_at)
    return pack_plain_ending(
        (assignment.job_id, assignment.token),
        outcome.ttl,
        (began, ended, outcome.seconds),
        time_fields(began_date, ended_date),
        outcome.accepted,
        outcome.result,
    )


def from_process_end(assignment: Assignment, end: ProcessEnd, host: str = "") -> Ending | None:
    """The process of `host` ended while it ran the job. None if the job is to be given back: nobody is to blame.

    A job that must not run twice is not given back once it has begun.
    """
    if end.reason in _RUN_AGAIN:
        return interrupted_ending(assignment)
    if end.reason is Reason.STOPPED:
        kind, text = "stopped", STOPPED_TEXT
    elif end.reason is Reason.CONTACT_LOST:
        kind, text = "failed", end.report()
    elif end.reason is Reason.JOB_TIMEOUT:
        kind = "failed"
        text = f"Task exceeded maximum timeout value ({assignment.timeout or 0:g} seconds). {end.report()}"
    else:
        # Begins with RQ's own words, so that searches for them still find it.
        kind = "crashed"
        text = f"Work-horse terminated unexpectedly; waitpid returned {_wait_status(end)}; {end.report()}"
        return _ending(assignment, kind, text + ends_before(assignment), evidence=crash_line(assignment, end, host))
    return _ending(assignment, kind, text)


def spared(end: ProcessEnd) -> ProcessEnd:
    """The end, for a job that ran beside the one named in it. Where nobody knows which is to blame, all are."""
    return replace(end, reason=Reason.CLOSED) if end.reason in _OF_ONE_JOB else end


def stopped_ending(assignment: Assignment) -> Ending:
    """The job was stopped on request before it began."""
    return _ending(assignment, "stopped", STOPPED_TEXT)


def interrupted_ending(assignment: Assignment) -> Ending | None:
    """The job was interrupted, as the host stops. None: it is to be given back."""
    return _ending(assignment, "failed", STOPPED_HOST_TEXT) if assignment.must_not_run_twice else None


def lost_ending(assignment: Assignment) -> Ending:
    """Redis had accepted how the job ended, and came back without it."""
    return _ending(assignment, "failed", LOST_OUTCOME_TEXT)


def _ending(assignment: Assignment, kind: str, text: str, evidence: str = "") -> Ending:
    now = time.time()
    seconds = max(0.0, time.monotonic() - (assignment.begun_at or assignment.dispatched_at))
    summary, fields = text.partition("\n")[0], assignment.fields
    return Ending(
        job_id=assignment.job_id,
        token=assignment.token,
        kind=kind,
        packed=pack_ending(
            job_id=assignment.job_id,
            token=assignment.token,
            kind=kind,
            ttl=_failure_ttl(fields),
            started_at=now - seconds,
            ended_at=now,
            seconds=seconds,
            fields=_end_time(kind),
            accepted=acceptance(fields),
            has_dependencies=bool(field(fields, b"dependency_ids") or field(fields, b"dependency_id")),
            result_type=2,
            error=failure_text(text),
            rate_limit_key=field(fields, b"rate_limit_key"),
            summary=summary,
            evidence=evidence,
            unattended=True,
        ),
        recorded=assignment.recorded,
        fields=_host_fields(assignment, _used_until(assignment, seconds), is_over=kind != "crashed"),
        seconds=seconds,
        queue=assignment.queue,
        attempt=assignment.attempt,
        called=assignment.called,
        summary=summary,
    )


def _end_time(kind: str) -> Sequence[bytes]:
    """A field of the job's hash. Of a crash Redis knows whether it is the job's end."""
    return () if kind == "crashed" else (b"ended_at", iso_now().encode())


def _host_fields(assignment: Assignment, used: JobUsage | None, *, is_over: bool) -> list[bytes]:
    """Of the job's hash, what only the host knows."""
    if assignment.attempt == 1 and assignment.progress is None and used is None:
        return []
    usage = [] if used is None else [job_usage.FIELD, used.to_field()]
    return [*_last_words(assignment), *usage, *_end_of_counts(assignment, is_over=is_over)]


def _used(assignment: Assignment, outcome: Outcome) -> JobUsage | None:
    """By a run that ended by itself."""
    used = outcome.used
    if outcome.seconds < job_usage.LEAST_SECONDS or used is None:
        return None
    cpu_seconds = used.user + used.system + used.children
    return JobUsage(outcome.seconds, cpu_seconds, max(used.memory, assignment.grown))


def _used_until(assignment: Assignment, seconds: float) -> JobUsage | None:
    """By a run that ended with its process: what was sampled last."""
    if seconds < job_usage.LEAST_SECONDS or not assignment.is_sampled:
        return None
    return JobUsage(seconds, assignment.cpu_seconds, assignment.grown)


def _end_of_counts(assignment: Assignment, *, is_over: bool) -> list[bytes]:
    """Marks a job that has crashes or losses: should it be enqueued once more, they are counted anew."""
    return [b"farm_ended", b"1"] if is_over and assignment.attempt > 1 else []


def _last_words(assignment: Assignment) -> list[bytes]:
    """The progress that no beat has kept yet, as a field of the job's hash."""
    progress = assignment.progress
    return [] if progress is None or progress is assignment.kept_progress else [b"farm_progress", to_field(progress)]


def _failure_ttl(fields: Sequence[bytes]) -> int:
    try:
        return min(int(field(fields, b"failure_ttl")), LONGEST_SECONDS)
    except ValueError:
        return FAILURE_TTL_SECONDS


def _wait_status(end: ProcessEnd) -> str:
    if end.signal is None:
        return f"{(end.exit_code or 0) << 8} (exit code {end.exit_code})"
    number = getattr(signal, end.signal, 0)
    return f"{int(number)} (signal {int(number)})"
