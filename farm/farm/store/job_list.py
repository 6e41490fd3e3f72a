"""Lists jobs: where each is, who has it, and what it waits for. From raw fields, in pages of bounded reads.

Nothing is changed and nothing decoded. The answers are not taken in one step: a job on its way may be told of as it was
a moment ago, but never twice.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args

import redis

from farm.aside import group_of
from farm.keys import Keys, RqKeys
from farm.store.inspect import snapshot
from farm.store.job_places import Found, Places
from farm.store.raw_fields import function_of, id_to, job_ids, last_line, moment, shown, text, traceback_of
from farm.store.snapshot import FarmSnapshot, QueueView

ListedStatus = Literal[
    "running",
    "queued",
    "deferred",
    "ready",
    "rate_limited",
    "scheduled",
    "dependent",
    "quarantined",
    "failed",
    "stopped",
    "canceled",
    "finished",
]
"""In the order in which they are listed."""

STATUSES: tuple[ListedStatus, ...] = get_args(ListedStatus)

PAGE_SIZE = 100

LOOKED_AT = 10_000
"""Records that are read for one list at most."""

UNREADABLE = "its record cannot be read"


class Wanted(NamedTuple):
    """Which jobs to list. What is empty restricts nothing."""

    statuses: Collection[ListedStatus] = ()
    queues: Collection[str] = ()
    host: str | None = None


@dataclass(frozen=True, slots=True)
class ListedJob:
    """One job. What is not known, or does not apply, is None."""

    id: str
    function: str
    """What its description begins with: by default the path of its function."""
    queue: str
    status: ListedStatus
    reason: str | None
    """Why it waits; how it failed; why it is in quarantine."""
    host: str | None
    """Who runs it, ran it last, or has it in its inbox."""
    attempt: int | None
    """Which run this is, from 1; while it runs on a host of the farm."""
    since: datetime | None
    """Since when it is so: it runs, waits, has ended."""
    age: float | None
    """Seconds since then, by Redis's clock."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, and whether there are more."""

    jobs: tuple[ListedJob, ...]
    more: bool
    """The limit was reached, or so many records were looked at that the search ended."""


class JobLister:
    """The jobs of one farm. Raises redis-py's errors."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        rq_keys: RqKeys,
        suspect_after: float = 3.0,
        host_timeout: float = 10.0,
    ) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys
        self._ages = (suspect_after, host_timeout)

    def jobs(self, wanted: Wanted | None = None, limit: int = 100) -> JobPage:
        """At most `limit` jobs, by status; within one in the order of their turn, ended ones the latest first."""
        wanted = wanted or Wanted()
        farm = snapshot(self._client, self._keys, self._rq_keys, *self._ages)
        places = Places(self._client, self._keys, self._rq_keys, farm)
        listed: list[ListedJob] = []
        seen: set[str] = set()
        looked_at = 0
        for page in _pages(places.find(wanted.statuses or STATUSES, wanted.queues, wanted.host)):
            new = [found for found in page if found.id not in seen]
            seen.update(found.id for found in new)
            looked_at += len(page)
            listed += (job for job in self._read(new, farm) if _is_wanted(job, wanted))
            if len(listed) > limit or looked_at >= LOOKED_AT:
                return JobPage(tuple(listed[:limit]), more=True)
        return JobPage(tuple(listed), more=False)

    def _read(self, page: Sequence[Found], farm: FarmSnapshot) -> Iterator[ListedJob]:
        """Those of the page that are where they were found."""
        records = self._records([found.id for found in page])
        queues = {queue.name: queue for queue in farm.queues}
        jobs = [_listed(found, record, farm, queues) for found, record in zip(page, records, strict=True)]
        present = [job for job in jobs if job is not None]
        errors = self._errors([job.id for job in present if job.status in ("failed", "stopped")])
        for job in present:
            yield replace(job, reason=errors[job.id]) if job.id in errors else job

    def _records(self, ids: Sequence[str]) -> list[dict[str, bytes | None]]:
        if not ids:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(self._rq_keys.job("").encode() + id_to(job_id), _FIELDS)
            answers = pipeline.execute(raise_on_error=False)
        return [
            {} if isinstance(answer, Exception) else dict(zip(_FIELDS, answer, strict=True))
            for answer in map(_raised, answers)
        ]

    def _errors(self, ids: Sequence[str]) -> dict[str, str]:
        """The last line of why each failed, where something is told."""
        if not ids:
            return {}
        with self._client.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.xrevrange(self._rq_keys.results("").encode() + id_to(job_id), count=1)
            answers = [_raised(answer) for answer in pipeline.execute(raise_on_error=False)]
        told = {}
        for job_id, answer in zip(ids, answers, strict=True):
            if answer and not isinstance(answer, Exception):
                told[job_id] = last_line(traceback_of(answer[0][1].get(b"exc_string")))
        return {job_id: line for job_id, line in told.items() if line}


_FIELDS = (
    "status",
    "origin",
    "description",
    "worker_name",
    "created_at",
    "enqueued_at",
    "started_at",
    "ended_at",
    "dependency_ids",
    "rate_limit_key",
    "farm_requires",
    "farm_memory_mb",
    "farm_declined",
)


def _pages(found: Iterable[Found]) -> Iterator[list[Found]]:
    page: list[Found] = []
    for each in found:
        page.append(each)
        if len(page) == PAGE_SIZE:
            yield page
            page = []
    if page:
        yield page


def _raised(answer: Any) -> Any:
    """An answer, or the error that concerns its key alone. Raises every other."""
    if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
        raise answer
    return answer


def _is_wanted(job: ListedJob, wanted: Wanted) -> bool:
    return (
        job.status in (wanted.statuses or STATUSES)
        and job.queue in (wanted.queues or (job.queue,))
        and wanted.host in (None, job.host)
    )


def _listed(
    found: Found, record: dict[str, bytes | None], farm: FarmSnapshot, queues: dict[str, QueueView]
) -> ListedJob | None:
    """The job as it was found; None when its record says that it is not there any more."""
    fields = {name: text(value) for name, value in record.items()}
    queue = found.queue or fields.get("origin", "")
    status, reason = _status(found, fields, farm, queues.get(queue))
    if status is None:
        return None
    since = _since(found, status, fields)
    return ListedJob(
        id=found.id,
        function=function_of(fields.get("description", "")),
        queue=queue,
        status=status,
        reason=reason,
        host=found.host or _ran_on(status, fields),
        attempt=found.attempt,
        since=since,
        age=None if since is None else max(0.0, round(farm.at - since.timestamp(), 3)),
    )


def _status(
    found: Found, fields: dict[str, str], farm: FarmSnapshot, queue: QueueView | None
) -> tuple[ListedStatus | None, str | None]:
    """The status, and why. None for what is another now."""
    if found.place == "quarantined":
        return "quarantined", found.reason
    recorded = shown(fields.get("status", "")) if any(fields.values()) else ""
    if found.place == "running":
        return ("running", found.reason) if found.host or recorded == "started" else (None, None)
    if found.place == "line":
        if recorded not in ("queued", ""):
            return None, None  # canceled, or twice in line: it is passed over when its turn comes
        return _in_line(found, fields, farm, queue) if recorded else ("queued", UNREADABLE)
    if found.place == "failed":
        return (recorded, None) if recorded in ("failed", "stopped") else (None, None)  # type: ignore[return-value]
    if recorded != found.place:
        return None, None
    return found.place, _waits_for(found, fields)


def _in_line(
    found: Found, fields: dict[str, str], farm: FarmSnapshot, queue: QueueView | None
) -> tuple[ListedStatus, str | None]:
    if found.host is not None:
        return "queued", found.reason or f"placed on {found.host}"
    if queue is not None and queue.deferral is not None:
        return "deferred", queue.deferral.reason or None
    others = queue is not None and queue.other_workers > 0
    if not others and not any(host.standing != "lost" and found.queue in host.queues for host in farm.hosts):
        return "deferred", "no host"
    needs = ("farm_requires", "farm_memory_mb", "farm_declined")
    group = group_of(queue.aside if queue else (), *(fields.get(name, "") for name in needs))
    if group is not None:
        return "deferred", group.reason
    if farm.suspended:
        return "queued", "RQ is suspended"
    if farm.leader is None and not others:
        return "queued", "no coordinator leads"
    return "queued", None


def _waits_for(found: Found, fields: dict[str, str]) -> str | None:
    if found.place == "scheduled" and found.score is not None:
        due = datetime.fromtimestamp(found.score, UTC)
        return f"due {due.isoformat(timespec='seconds')}"
    if found.place == "dependent":
        return "waits for " + ", ".join(job_ids(fields.get("dependency_ids", "").encode()) or ("other jobs",))
    if found.place == "rate_limited":
        return f"rate limit {fields.get('rate_limit_key', '')}"
    return None


def _since(found: Found, status: ListedStatus, fields: dict[str, str]) -> datetime | None:
    if found.since is not None:
        return datetime.fromtimestamp(found.since, UTC)
    names = {"running": ("started_at",), "queued": ("enqueued_at", "created_at")}.get(status)
    if status in ("finished", "failed", "stopped", "canceled"):
        names = ("ended_at", "enqueued_at", "created_at")
    elif status in ("deferred", "ready"):
        names = ("enqueued_at", "created_at")
    return next(filter(None, (moment(fields.get(name)) for name in names or ("created_at",))), None)


def _ran_on(status: ListedStatus, fields: dict[str, str]) -> str | None:
    """Who runs or ran it. Of one that waits again it tells of a run that is over."""
    return fields.get("worker_name") or None if status in ("running", "finished", "failed", "stopped") else None
