"""What the host tells of its processes and runners: a list that is written anew when it changed, and now and then."""

from collections.abc import Sequence
from typing import Any

from farm.store.process_view import ProcessState, ProcessView, RunnerView, runner_field, to_line
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.state import State

MAX_LISTED = 1000
"""Of a host with more, the oldest are told."""

RENEW_SECONDS = 5.0
"""Memory and counts of jobs make no new list by themselves: they are at most this old."""


class ProcessList:
    """Knows what Redis was told last."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()
        self._told_at = 0.0
        self._telling: tuple[object, ...] = ()

    def due(
        self, identity: str, processes: Sequence[ProcessHandle], runners: Sequence[RunnerView], now: float
    ) -> dict[str, bytes] | None:
        """Name → line of each process and each copy of a runner, if that is to be written; else None.

        `identity`: under another one Redis was told nothing yet. `now`: monotonic seconds.
        """
        listed = [(process, process.begun) for process in processes[:MAX_LISTED]]
        copies = [(runner.runner, runner.copy, runner.pid, runner.state) for runner in runners]
        self._telling = (identity, *copies, *(_gist(process, job) for process, job in listed))
        if self._telling == self._told and now - self._told_at < RENEW_SECONDS:
            return None
        lines = {str(process.number): to_line(view(process, job, now)) for process, job in listed}
        return lines | {runner_field(runner): to_line(runner) for runner in runners}

    def written(self, now: float) -> None:
        """Redis has what `due` returned."""
        self._told, self._told_at = self._telling, now


def view(process: ProcessHandle, job: Assignment | None, now: float) -> ProcessView:
    """What is told of one process and the job that it has begun. Nothing that the job carries is decoded."""
    about_job: dict[str, Any] = {}
    if job is not None:
        about_job = {
            "job_id": job.job_id.decode("utf-8", "replace"),
            "function": job.function,
            "job_seconds": None if job.begun_at is None else round(now - job.begun_at, 3),
            "queue": job.queue,
            "attempt": job.attempt,
            "progress": job.progress,
        }
    return ProcessView(
        number=process.number,
        pid=process.pid,
        state=_state(process),
        age=round(now - process.spawned_at, 3),
        jobs_done=process.jobs_done,
        memory=process.last_memory,
        peak_memory=process.peak_memory,
        **about_job,
    )


def _state(process: ProcessHandle) -> ProcessState:
    if process.state is State.STARTING:
        return "starting"
    if process.state is State.READY:
        return "busy" if process.assignments else "ready"
    return "closing"


def _gist(process: ProcessHandle, job: Assignment | None) -> tuple[object, ...]:
    """What is told anew at once when it is another."""
    return (process.number, process.pid, _state(process), job and job.token, job and job.progress)
