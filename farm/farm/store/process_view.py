"""What a host publishes of each of its processes and of its copies of runners, and the text form in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, TypeVar

import msgspec

from farm.store.job_status import Progress

ProcessState = Literal["starting", "ready", "busy", "closing"]
RunnerState = Literal["starting", "ready", "closing", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningJob:
    """A job that a process runs. What is not known is None."""

    job_id: str
    function: str | None = None
    """What the job's description begins with: by default the path of its function."""
    job_seconds: float | None = None
    """How long it has run."""
    queue: str | None = None
    attempt: int | None = None
    """1 for the job's first run."""
    progress: Progress | None = None
    """What the job said last of how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessView:
    """One process of a host, as of the host's last beat. What is not known, or does not apply, is None."""

    number: int = 0
    """Its number within the host, from 1; the number of one that ended is not given again."""
    pid: int
    state: ProcessState
    """starting: warms up; ready: waits for a job; busy: runs one; closing: takes no more."""
    age: float
    """Seconds since it was started."""
    jobs_done: int
    memory: int | None = None
    """Bytes, with all that it started; measured every few seconds."""
    peak_memory: int | None = None
    """The most bytes that were measured."""
    job_id: str | None = None
    """The job that it runs, the oldest where several run side by side. This and what follows: see `RunningJob`."""
    function: str | None = None
    job_seconds: float | None = None
    queue: str | None = None
    attempt: int | None = None
    progress: Progress | None = None
    beside: tuple[RunningJob, ...] = ()
    """Those that it runs beside that one, oldest first; the first 19."""
    unlisted: int = 0
    """How many more it runs."""

    @property
    def running(self) -> tuple[RunningJob, ...]:
        """All jobs that it is listed with, oldest first."""
        if self.job_id is None:
            return ()
        return RunningJob(**_facts_of_job(self)), *self.beside

    def naming(self, job_id: str) -> "Self | None":
        """The same with this job in the place of the oldest. None: it runs no such job."""
        jobs = {job.job_id: job for job in self.running}
        if job_id not in jobs:
            return None
        return self.with_jobs([jobs.pop(job_id), *jobs.values()], self.unlisted)

    def with_jobs(self, jobs: Sequence[RunningJob], unlisted: int = 0) -> Self:
        """The same, at work at these."""
        if not jobs:
            return self
        return replace(self, **_facts_of_job(jobs[0]), beside=tuple(jobs[1:]), unlisted=unlisted)


def _facts_of_job(listed: RunningJob | ProcessView) -> dict[str, Any]:
    """What both say of a job."""
    return {field.name: getattr(listed, field.name) for field in fields(RunningJob)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerView:
    """One copy of a runner, as of the host's last beat."""

    runner: str
    """Name of the runner."""
    copy: int
    """Which copy it is, from 0."""
    pid: int | None
    """None while it waits to be started again."""
    state: RunnerState
    """starting: initializes; ready: takes calls; closing: takes no more; waiting: to be started again."""
    memory: int | None = None
    """Bytes of the process and all it started. None: not measured yet."""
    restarts: int = 0
    """How often it was started again since the host began."""


View = TypeVar("View")

_encoder = msgspec.json.Encoder()
_processes = msgspec.json.Decoder(ProcessView)
_runners = msgspec.json.Decoder(RunnerView)


def runner_field(runner: RunnerView) -> str:
    """Under which name the list holds it. Processes stand there under their numbers."""
    return f"{runner.runner}/{runner.copy}"


def to_line(view: ProcessView | RunnerView) -> bytes:
    """One line of JSON."""
    return _encoder.encode(view)


def from_line(line: bytes) -> ProcessView | None:
    """None for what is no process."""
    return _decoded(_processes, line)


def runner_from_line(line: bytes) -> RunnerView | None:
    """None for what is no copy of a runner."""
    return _decoded(_runners, line)


def _decoded(decoder: "msgspec.json.Decoder[View]", line: bytes) -> View | None:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        return None
