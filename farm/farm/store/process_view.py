"""What a host publishes of each of its processes and of its copies of runners, and the text form in Redis."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from farm.store.job_status import Progress

ProcessState = Literal["starting", "ready", "busy", "closing"]
RunnerState = Literal["starting", "ready", "closing", "waiting"]


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
    """The job that it runs."""
    function: str | None = None
    """What the job's description begins with: by default the path of its function."""
    job_seconds: float | None = None
    """How long it has run the job."""
    queue: str | None = None
    attempt: int | None = None
    """1 for the job's first run."""
    progress: Progress | None = None
    """What the job said last of how far it is."""


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
