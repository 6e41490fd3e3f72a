"""From the end of a process to what is kept of it on the job that it crashed with."""

from datetime import UTC, datetime

from farm.store import evidence
from farm.store.evidence import Evidence
from farm_worker.beginnings import field
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import ProcessEnd


def crash_line(assignment: Assignment, end: ProcessEnd, host: str) -> str:
    """One line for the job's field `farm_evidence`."""
    return Evidence(
        at=datetime.now(UTC),
        host=host,
        reason=end.reason.value,
        attempt=assignment.attempt,
        signal=end.signal,
        exit_code=end.exit_code,
        memory=end.last_memory,
        peak_memory=end.peak_memory,
        detail=end.sentence(),
        last_lines=tuple(end.last_lines),
    ).to_line()


def ends_before(assignment: Assignment) -> str:
    """What is known of the processes and hosts that ended under the job in earlier attempts. Empty if none did."""
    ends = evidence.parse(field(assignment.fields, evidence.FIELD.encode()))
    return f"\n\nBefore that:\n{evidence.reports(ends)}" if ends else ""
