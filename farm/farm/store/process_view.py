"""What a host publishes of each of its processes, and its text form in Redis."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from farm.store.job_status import Progress

ProcessState = Literal["starting", "ready", "busy", "closing"]


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


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ProcessView)


def to_line(process: ProcessView) -> bytes:
    """The process as one line of JSON."""
    return _encoder.encode(process)


def from_line(line: bytes) -> ProcessView | None:
    """None for what is no process."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None
