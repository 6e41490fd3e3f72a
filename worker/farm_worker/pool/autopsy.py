"""From how a process ended to the one reason for it, its phase, and what is told of its job."""

import time
from typing import Any

from farm_worker.pool.assignment import Assignment, function_name
from farm_worker.pool.reasons import Phase, Reason


def end_reason(
    kill: Reason | None, close: Reason | None, *, initialize_error: bool, code: int, begun: Assignment | None
) -> Reason:
    """What the host did on purpose comes first. `code` is that of `subprocess`: below 0 it is a signal."""
    if kill is not None:
        return kill
    if initialize_error:
        return Reason.INITIALIZE_ERROR
    if close is not None and code == 0 and begun is None:
        return close
    return Reason.CRASHED if code < 0 else Reason.EXITED


def end_phase(begun: Assignment | None, *, starting: bool, idle: bool) -> Phase:
    """What it was doing."""
    if begun is not None:
        return Phase.JOB
    if starting:
        return Phase.INITIALIZE
    return Phase.IDLE if idle else Phase.CLOSING


def job_facts(begun: Assignment | None) -> dict[str, Any]:
    """Of the job that had begun and not ended."""
    if begun is None:
        return {}
    return {
        "job_id": begun.job_id.decode("utf-8", "replace"),
        "job_seconds": None if begun.begun_at is None else time.monotonic() - begun.begun_at,
        "function": function_name(begun.fields),
        "queue": begun.queue,
        "attempt": begun.attempt,
    }
