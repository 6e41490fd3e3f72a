"""What the host tells of its processes and runners: a list that is written anew when it changed, and now and then."""

from collections.abc import Sequence

from farm.store.process_view import ProcessState, ProcessView, RunnerView, RunningJob, runner_field, to_line
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.state import State

MAX_LISTED = 1000
"""Of a host with more, the oldest are told."""
MAX_JOBS_LISTED = 20
"""Of a process that runs more side by side, the oldest are told, and how many more there are."""

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
        listed = [(process, process.running) for process in processes[:MAX_LISTED]]
        copies = [(runner.runner, runner.copy, runner.pid, runner.state) for runner in runners]
        self._telling = (identity, *copies, *(_gist(process, jobs) for process, jobs in listed))
        if self._telling == self._told and now - self._told_at < RENEW_SECONDS:
            return None
        lines = {str(process.number): to_line(view(process, jobs, now)) for process, jobs in listed}
        return lines | {runner_field(runner): to_line(runner) for runner in runners}

    def written(self, now: float) -> None:
        """Redis has what `due` returned."""
        self._told, self._told_at = self._telling, now


def view(process: ProcessHandle, jobs: Sequence[Assignment], now: float) -> ProcessView:
    """What is told of one process and the jobs that it has begun. Nothing that a job carries is decoded."""
    told = ProcessView(
        number=process.number,
        pid=process.pid,
        state=_state(process),
        age=round(now - process.spawned_at, 3),
        jobs_done=process.jobs_done,
        memory=process.last_memory,
        peak_memory=process.peak_memory,
    )
    listed = [_running_job(job, now) for job in jobs[:MAX_JOBS_LISTED]]
    return told.with_jobs(listed, unlisted=len(jobs) - len(listed))


def _running_job(job: Assignment, now: float) -> RunningJob:
    return RunningJob(
        job_id=job.job_id.decode("utf-8", "replace"),
        function=job.function,
        job_seconds=None if job.begun_at is None else round(now - job.begun_at, 3),
        queue=job.queue,
        attempt=job.attempt,
        progress=job.progress,
    )


def _state(process: ProcessHandle) -> ProcessState:
    if process.state is State.STARTING:
        return "starting"
    if process.state is State.READY:
        return "busy" if process.assignments else "ready"
    return "closing"


def _gist(process: ProcessHandle, jobs: Sequence[Assignment]) -> tuple[object, ...]:
    """What is told anew at once when it is another."""
    told = [(job.token, job.progress) for job in jobs[:MAX_JOBS_LISTED]]
    return (process.number, process.pid, _state(process), len(jobs), *told)
