"""How jobs are enqueued: the options of `client.queue(...)`, apart from the arguments of the function."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypedDict, cast

from rq import Retry
from rq.exceptions import TimeoutFormatError
from rq.job import Dependency
from rq.utils import parse_timeout

from farm.client.calls import InvalidCall, check_job_id
from farm.requirements import check_memory_mb, check_requires

Seconds = float | str
"""Seconds, rounded up to whole ones, or RQ's text: `"90s"`, `"5m"`, `"1h"`, `"2d"`."""


class HasId(Protocol):
    """A job handle, or RQ's own job."""

    @property
    def id(self) -> str:
        """The job's id."""


OneJob = HasId | str
JobsToWaitFor = OneJob | Sequence[OneJob] | Dependency


class QueueOptions(TypedDict, total=False):
    """Options of `client.queue(name, ...)`. They hold for each job that is enqueued through it."""

    timeout: Seconds
    """A job that runs longer is ended; default 180 seconds, -1 for no end."""
    result_ttl: Seconds
    """How long the result is kept; default 500 seconds, 0 keeps nothing, -1 for ever."""
    failure_ttl: Seconds
    """How long a failed job is kept; default a year."""
    ttl: Seconds
    """A job that did not start by then is given up."""
    at_front: bool
    """Before the jobs that wait already."""
    meta: Mapping[str, Any]
    """Anything that should travel with the job."""
    retry: int | Retry
    """How often it runs again after an exception; `rq.Retry(max=3, interval=[10, 60])` with pauses."""
    depends_on: JobsToWaitFor
    """Jobs (handles or ids) that must finish first."""
    job_id: str
    """An id of your own, letters, digits, `_` and `-`; for one job only."""
    description: str
    """Text for people; default the call."""
    on_lost: Literal["rerun", "fail"]
    """What happens when host or process is lost while it runs; default as its host is set."""
    requires: Sequence[str]
    """Labels that the host that runs it must have; default what its queue requires."""
    memory_mb: int
    """Megabytes (of 1,000,000 bytes) that must be free on the host that runs it; default what its queue requires."""
    unique: bool
    """Refuse the job while one of the same `job_id` exists."""
    delay: float | timedelta
    """Not before so many seconds from now."""
    at: datetime
    """Not before this time; without a zone it is local time."""
    serializer: Any
    """`"pickle"`, `"json"`, or an object with `dumps` and `loads`; default the setting SERIALIZER, else pickle."""


@dataclass(frozen=True, slots=True)
class Options:
    """Checked options, as RQ takes them."""

    timeout: int | None = None
    result_ttl: int | None = None
    failure_ttl: int | None = None
    ttl: int | None = None
    at_front: bool = False
    meta: Mapping[str, Any] | None = None
    retry: Retry | None = None
    depends_on: Dependency | list[str] | None = None
    job_id: str | None = None
    description: str | None = None
    on_lost: str | None = None
    requires: tuple[str, ...] = ()
    """Sorted."""
    memory_mb: int | None = None
    unique: bool = False
    delay: timedelta | None = None
    at: datetime | None = None

    @property
    def fields(self) -> dict[str, str]:
        """Our own fields of the job's hash."""
        given = {
            "farm_on_lost": self.on_lost,
            "farm_requires": ",".join(self.requires),
            "farm_memory_mb": None if self.memory_mb is None else str(self.memory_mb),
        }
        return {name: value for name, value in given.items() if value}

    @property
    def scheduled(self) -> bool:
        """True when the jobs wait for a time."""
        return self.delay is not None or self.at is not None

    @property
    def by_rq(self) -> bool:
        """True when more is to be done than to write a record and its place in the queue: RQ does that."""
        return self.unique or self.depends_on is not None or self.scheduled

    def alike(self, other: "Options") -> bool:
        """True when they differ at most in what is one job's own: its id and its description."""
        own: dict[str, Any] = {"job_id": None, "description": None, "meta": None}
        # What users put into `meta` may not be comparable.
        return self is other or (self.meta is other.meta and replace(self, **own) == replace(other, **own))

    def due(self, now: datetime) -> datetime:
        """When a scheduled job is due. RQ keeps whole seconds: rounded up, so that it is never early."""
        moment = self.at if self.at is not None else now + (self.delay or timedelta())
        if moment.tzinfo is None:
            moment = moment.astimezone()
        return datetime.fromtimestamp(math.ceil(moment.timestamp()), UTC)

    def for_rq(self) -> dict[str, Any]:
        """Keyword arguments of `Queue.create_job`."""
        names = ("timeout", "result_ttl", "failure_ttl", "ttl", "retry", "depends_on", "job_id", "description")
        return {name: getattr(self, name) for name in names} | {"meta": dict(self.meta) if self.meta else None}


def check_options(given: QueueOptions) -> Options:
    """What was given, in RQ's types. Raises InvalidCall, naming the option."""
    known = dict(given)
    unknown = known.keys() - set(QueueOptions.__annotations__)
    if unknown:
        raise InvalidCall(f"queue() has no option {', '.join(sorted(unknown))}; arguments of the job go to enqueue()")
    known.pop("serializer", None)
    for name in ("timeout", "result_ttl", "failure_ttl", "ttl"):
        if known.get(name) is not None:
            known[name] = _whole_seconds(name, known[name])
    _check_requirements(known)
    if isinstance(known.get("retry"), int):
        known["retry"] = _retry(given["retry"])
    if known.get("depends_on") is not None:
        known["depends_on"] = _dependency(given["depends_on"])
    if isinstance(known.get("delay"), (int, float)):
        known["delay"] = timedelta(seconds=known["delay"])  # type: ignore[arg-type]
    options = Options(**known)  # type: ignore[arg-type]
    _check_together(options)
    return options


def _check_together(options: Options) -> None:
    if options.job_id is not None:
        check_job_id(options.job_id)
    if options.on_lost not in (None, "rerun", "fail"):
        raise InvalidCall(f"on_lost={options.on_lost!r}: say rerun or fail")
    if options.timeout == 0 or (options.timeout or 1) < -1:
        raise InvalidCall("timeout: give seconds above 0, or -1 for no end")
    if options.ttl is not None and options.ttl <= 0:
        raise InvalidCall("ttl: give seconds above 0")
    if options.delay is not None and options.at is not None:
        raise InvalidCall("give delay or at, not both")
    if options.depends_on is not None and (options.scheduled or options.unique):
        raise InvalidCall("depends_on does not go together with delay, at or unique: RQ knows no such job")
    if options.unique and options.job_id is None:
        raise InvalidCall("unique=True needs a job_id: it refuses a second job of the same id")


def _check_requirements(known: dict[str, Any]) -> None:
    try:
        if known.get("requires") is None:
            known.pop("requires", None)
        else:
            known["requires"] = check_requires(known["requires"])
        if known.get("memory_mb") is not None:
            known["memory_mb"] = check_memory_mb(known["memory_mb"])
    except ValueError as error:
        raise InvalidCall(str(error)) from error


def _whole_seconds(name: str, value: Any) -> int:
    try:
        seconds = parse_timeout(math.ceil(value) if isinstance(value, float) else value)
    except (TimeoutFormatError, ValueError, TypeError, OverflowError):
        seconds = None
    if seconds is None:
        raise InvalidCall(f"{name}={value!r} is no duration: give seconds, or text as in 90s, 5m, 1h, 2d")
    return seconds


def _retry(times: int | Retry) -> Retry | None:
    if not isinstance(times, int):
        return times
    if times < 0:
        raise InvalidCall(f"retry={times}: give how often a job runs again, 0 or more")
    return Retry(max=times) if times else None


def _dependency(jobs: JobsToWaitFor) -> Dependency | list[str] | None:
    if isinstance(jobs, Dependency):
        return jobs
    listed: Sequence[OneJob] = jobs if isinstance(jobs, (list, tuple)) else [cast("OneJob", jobs)]
    ids = [job if isinstance(job, str) else job.id for job in listed]
    for job_id in ids:
        check_job_id(job_id)
    return ids or None
