"""`Event`: what a handler of `App.on` is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farm.app import HostEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened on a host. What does not belong to the event, or is not known, is None."""

    name: "HostEvent"
    at: datetime
    """When it happened, in UTC."""
    host: str
    """Name of the host."""
    pid: int | None = None
    """The process that the event is about. Not known yet for `process_created`."""
    process: int | None = None
    """The number of that process within its host, from 1. None for a copy of a runner."""
    job: str | None = None
    """Id of the job that began or ended; for a process that ended, of the job that it was running."""
    queue: str | None = None
    attempt: int | None = None
    """1 when the job runs for the first time."""
    function: str | None = None
    """What the job says it calls, without the arguments."""
    outcome: str | None = None
    """For `job_finished`: `finished` or `failed`."""
    seconds: float | None = None
    """For `process_ready` how long the process took to become warm, for `job_finished` how long the job ran."""
    reason: str | None = None
    """Why a process ended (`crashed`, `memory_limit` …), or why the host is full or drains."""
    load: float | None = None
    """For events of the host: its load, 0 to 1."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is known. For a process that ended: `phase`, `exit_code`, `signal`, `memory` (bytes), `age` (seconds),
    `jobs_done`, `job`, `job_seconds`, `error`, `stack`, `last_lines` and more; each is there, None where not known."""
