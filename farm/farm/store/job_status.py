"""What is told of one job: where it is, and how it ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from farm.store.evidence import Evidence
from farm.store.job_usage import JobUsage

ENDED = frozenset({"finished", "failed", "stopped", "canceled", "quarantined"})
"""States in which a job will not run by itself any more."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, as its code said last."""

    fraction: float | None
    """0 to 1; None if it said only words."""
    text: str
    at: datetime
    """When it said so, by the host's clock."""

    def __str__(self) -> str:
        share = "" if self.fraction is None else f"{self.fraction:.0%}"
        return " ".join(filter(None, (share, self.text)))


@dataclass(frozen=True, slots=True)
class Decline:
    """A host said of a job: not me. While it holds, the job is offered to others."""

    host: str
    reason: str
    until: datetime
    """By Redis's clock."""

    def __str__(self) -> str:
        return f"{self.host}: {self.reason}, until {self.until.isoformat(timespec='seconds')}"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job is. Times are aware UTC; what does not apply is None.

    `status`: queued, deferred (waits while every host is at its threshold), started, finished, failed, stopped,
    canceled, scheduled, dependent (waits for other jobs), ready, rate_limited, created or quarantined.
    """

    id: str
    status: str
    queue: str
    description: str = ""
    position: int | None = None
    """Jobs ahead of it in its queue; None when it is not there, or deeper than 100,000."""
    deferred_since: datetime | None = None
    deferred_reason: str | None = None
    host: str | None = None
    """Who runs it, ran it last, or has it in its inbox."""
    attempt: int | None = None
    """Which run this is, from 1; while it runs on a host of the farm."""
    running_since: datetime | None = None
    created_at: datetime | None = None
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    due_at: datetime | None = None
    """When a scheduled job is due."""
    progress: Progress | None = None
    """What its code said last of how far it is: of the run under way, else of the last one."""
    used: JobUsage | None = None
    """What its last run used, if that took a second or more and is over."""
    timeout: int | None = None
    result_ttl: int | None = None
    retries_left: int | None = None
    depends_on: tuple[str, ...] = ()
    on_lost: str | None = None
    requires: tuple[str, ...] = ()
    """Labels that it requires of its host, beside what its queue says."""
    memory_mb: int | None = None
    """Megabytes that it requires of its host, beside what its queue says."""
    declined: tuple[Decline, ...] = ()
    """Hosts that declined it a short while ago."""
    crashes: int = 0
    """How many processes ended under it."""
    losses: int = 0
    """How many hosts were lost under it."""
    evidence: tuple[Evidence, ...] = ()
    """What is known of these processes and hosts, the last ten, oldest first."""
    quarantine_reason: str | None = None

    @property
    def ended(self) -> bool:
        """True when it will not run by itself any more."""
        return self.status in ENDED

    def sentence(self) -> str:
        """The state in words, as in `deferred since 2026-01-02T03:04:05+00:00 (…), 3 jobs ahead of it`."""
        parts = [self.status]
        if self.deferred_since is not None:
            parts[0] += f" since {self.deferred_since.isoformat(timespec='seconds')}"
        if self.deferred_reason:
            parts[0] += f" ({self.deferred_reason})"
        if self.host and not self.ended:
            parts.append(f"{'on' if self.status == 'started' else 'placed on'} {self.host}")
        if self.position is not None:
            parts.append(f"{self.position} jobs ahead of it" if self.position != 1 else "1 job ahead of it")
        if self.quarantine_reason:
            parts.append(self.quarantine_reason)
        return ", ".join(parts)


class Outcome(NamedTuple):
    """How a job ended, or that it did not. `status` is None when there is no such job."""

    status: str | None
    entry: str | None = None
    """Id of the latest entry of its results; to wait for a newer one."""
    has_value: bool = False
    """The latest entry tells of a success."""
    value: bytes | None = None
    """The return value as RQ's serializer wrote it; None stands for None."""
    traceback: str | None = None
    quarantine_reason: str | None = None

    @property
    def ended(self) -> bool:
        """True when it will not run by itself any more."""
        return self.status in ENDED
