"""A job's hash: how it becomes RQ's `Job`, and which of its fields the attempt changed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import is_
from typing import Any, cast

from rq.job import Job
from rq.utils import str_to_date

Record = dict[bytes, bytes]

_DATES = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
_DATE_FIELDS = [(name, name.encode()) for name in _DATES]
_WITHOUT_ZONE = len("2026-01-01T00:00:00.000000")
_NEVER_SENT = frozenset({"status", "worker_name", "meta", "data", "started_at", "ended_at", "last_heartbeat"})
"""Written by other hands, or sent apart."""


class UnreadableRecord(Exception):
    """The job's hash makes no job: one of its fields cannot be read. The cause says which."""


def to_record(fields: Sequence[bytes]) -> Record:
    """Name → value of a flat hash."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def new_job(job_class: type[Job], job_id: bytes, connection: Any, serializer: Any) -> Job:
    """An empty job. Ids that RQ would not give out today, as older versions did, are kept as they are."""
    if job_class.__init__ is Job.__init__:
        job = job_class.__new__(job_class)
        attributes, containers = _blank(cast("Any", job_class), connection)
        vars(job).update(attributes)
        for name in containers:
            setattr(job, name, attributes[name].copy())
        job.created_at = datetime.now(UTC)
    else:
        job = job_class(connection=connection)
    job._id = job_id.decode("utf-8", "surrogateescape")  # noqa: SLF001 - the public setter refuses some
    if serializer is not None:
        job.serializer = serializer  # resolved before; passing it in would check its interface once more, for each job
    return job


@lru_cache(maxsize=4)
def _blank(job_class: type[Job], connection: Any) -> tuple[dict[str, Any], list[str]]:
    """The attributes of an empty job, and the names of those that no two jobs may share. To copy them costs a third."""
    attributes = vars(job_class(connection=connection))
    return attributes, [name for name, value in attributes.items() if isinstance(value, dict | list | set)]


def restore(job: Job, record: Record) -> None:
    """Fills `job`. Unpickles `meta`: only for processes that may run the job's code. Raises what RQ raises."""
    if type(job).restore is not Job.restore:
        job.restore(record)
        return
    undated = record.copy()
    dates = [(name, undated.pop(field, b"")) for name, field in _DATE_FIELDS]
    job.restore(undated)  # its parser of dates costs more than everything else in it
    for name, value in dates:
        if value:
            setattr(job, name, _to_date(value))


def _to_date(value: bytes) -> datetime:
    date = datetime.fromisoformat(value.decode())
    return date if date.tzinfo is not None else str_to_date(value)


def time_fields(started_at: datetime, ended_at: datetime) -> list[bytes]:
    """Flat fields of an attempt's times, which are in UTC."""
    ended = stamp(ended_at)
    return [b"started_at", stamp(started_at), b"ended_at", ended, b"last_heartbeat", ended]


def stamp(moment: datetime) -> bytes:
    """A time as RQ writes it. `moment` is in UTC."""
    return moment.isoformat(timespec="microseconds").encode()[:_WITHOUT_ZONE] + b"Z"


class Watch:
    """Tells whether anything of a job was changed since. Costs a fraction of comparing its fields."""

    __slots__ = ("_before", "_job")

    def __init__(self, job: Job) -> None:
        self._job = job
        self._before = vars(job).copy()

    def untouched(self) -> bool:
        """True when no attribute was replaced, and none is of a kind that could have been changed in place."""
        job = self._job
        if job.retry_intervals or job.repeat_intervals or job.webhooks:
            return False
        now = vars(job)
        return len(now) == len(self._before) and all(map(is_, now.values(), self._before.values()))


def changed_fields(job: Job, record: Record, data: bytes) -> list[bytes]:
    """Flat fields of `job` that differ from `record`. `data` is the payload as it was restored."""
    changed: list[bytes] = []
    for name, value in job.to_dict(include_meta=False, include_result=False).items():
        if name not in _NEVER_SENT:
            field, text = name.encode(), _to_bytes(value)
            if record.get(field, b"") != text:
                changed += (field, text)
    if job.data != data:
        changed += (b"data", _to_bytes(job.to_dict(include_meta=False, include_result=False)["data"]))
    return changed


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")
