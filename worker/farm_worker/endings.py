"""From what happened to a job to the record that is written of it."""

import signal
import time

from farm.records import LONGEST_SECONDS, failure_text
from farm.store.execution import Ending
from farm_worker.beginnings import acceptance, field
from farm_worker.evidence import crash_line, ends_before
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.progress import to_field
from farm_worker.pool.protocol import Outcome
from farm_worker.pool.reasons import ProcessEnd, Reason

FAILURE_TTL_SECONDS = 365 * 24 * 3600
"""RQ's default for failed jobs: a year."""

_RUN_AGAIN = {Reason.DRAINED, Reason.CLOSED, Reason.RECYCLED, Reason.SURPLUS}
"""Ends of a process that are the host's own doing: its job goes back and nobody is blamed."""


STOPPED_TEXT = "Job stopped by user, work-horse terminated."
"""RQ's own words."""

STOPPED_HOST_TEXT = "The host was stopped while it ran the job, which must not run twice (on_lost=fail)."

LOST_OUTCOME_TEXT = "Redis lost the outcome of the job, which must not run twice (on_lost=fail)."


def from_outcome(assignment: Assignment, outcome: Outcome) -> Ending:
    """The process said how the job ended."""
    return Ending(
        job_id=assignment.job_id,
        token=assignment.token,
        kind=outcome.kind,
        recorded=assignment.recorded,
        result_type=outcome.result_type,
        result=outcome.result,
        error=outcome.error,
        ttl=outcome.ttl,
        started_at=repr(outcome.started_at),
        ended_at=repr(outcome.ended_at),
        seconds=outcome.seconds,
        again=outcome.again,
        delay=outcome.delay,
        rate_limit_key=outcome.rate_limit_key,
        group=outcome.group,
        summary=outcome.summary,
        queue=assignment.queue,
        attempt=assignment.attempt,
        record=assignment.fields,
        fields=[
            *outcome.fields,
            *_last_words(assignment),
            *_end_of_counts(assignment, is_over=outcome.repeat or not outcome.again),
        ],
        accepted=acceptance(assignment.fields),
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
    return Ending(
        job_id=assignment.job_id,
        token=assignment.token,
        kind=kind,
        recorded=assignment.recorded,
        result_type=2,
        error=failure_text(text),
        ttl=_failure_ttl(assignment),
        started_at=repr(now - seconds),
        ended_at=repr(now),
        seconds=seconds,
        rate_limit_key=field(assignment.fields, b"rate_limit_key"),
        summary=text.partition("\n")[0],
        queue=assignment.queue,
        attempt=assignment.attempt,
        record=assignment.fields,
        fields=[*_last_words(assignment), *_end_of_counts(assignment, is_over=kind != "crashed")],
        evidence=evidence,
        accepted=acceptance(assignment.fields),
    )


def _end_of_counts(assignment: Assignment, *, is_over: bool) -> list[bytes]:
    """Marks a job that has crashes or losses: should it be enqueued once more, they are counted anew."""
    return [b"farm_ended", b"1"] if is_over and assignment.attempt > 1 else []


def _last_words(assignment: Assignment) -> list[bytes]:
    """The progress that no beat has kept yet, as a field of the job's hash."""
    progress = assignment.progress
    return [] if progress is None or progress is assignment.kept_progress else [b"farm_progress", to_field(progress)]


def _failure_ttl(assignment: Assignment) -> int:
    try:
        return min(int(field(assignment.fields, b"failure_ttl")), LONGEST_SECONDS)
    except ValueError:
        return FAILURE_TTL_SECONDS


def _wait_status(end: ProcessEnd) -> str:
    if end.signal is None:
        return f"{(end.exit_code or 0) << 8} (exit code {end.exit_code})"
    number = getattr(signal, end.signal, 0)
    return f"{int(number)} (signal {int(number)})"
