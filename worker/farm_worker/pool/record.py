"""A job's hash: how it becomes RQ's `Job`, and which of its fields the attempt changed."""

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import is_
from typing import Any, cast

from rq.job import Job
from rq.utils import str_to_date

from farm.records import MAX_PAYLOAD_BYTES

Record = dict[bytes, bytes]

_DATES = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
DATE_FIELDS = tuple(name.encode() for name in _DATES)
OWN_FIELDS = (b"data", b"description", *DATE_FIELDS)
"""Of these each job has its own."""
SHARED_FIELDS = frozenset(
    name.encode()
    for name in (
        *("origin", "status", "worker_name", "group_id", "timeout", "ttl", "result_ttl", "failure_ttl"),
        *("success_callback_name", "failure_callback_name", "stopped_callback_name"),
        *("success_callback_timeout", "failure_callback_timeout", "stopped_callback_timeout"),
        *("enqueue_at_front", "enqueue_at_front_on_retry", "allow_dependency_failures", "number_of_retries"),
        *("retries_left", "repeats_left", "rate_limit_key", "rate_limit_concurrency"),
        *("farm_on_lost", "farm_crashes", "farm_losses", "farm_drains", "farm_requires", "farm_memory_mb"),
    )
)
"""What many jobs have in common: short, and read as values that nobody can change in place. Jobs with any other field
are read one by one."""
ZLIB_RATIO = 1032
"""Bytes that zlib makes of one at most."""
UNPACKED_AT_ONCE = 64 << 20
_NEVER_SENT = frozenset({"status", "worker_name", "meta", "data", "started_at", "ended_at", "last_heartbeat"})
"""Written by other hands, or sent apart."""


class UnreadableRecord(Exception):
    """The job's hash makes no job: one of its fields cannot be read. The cause says which."""


def to_record(fields: Sequence[bytes]) -> Record:
    """Name → value of a flat hash."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def restore(job_class: type[Job], job_id: bytes, record: Record, connection: Any, serializer: Any) -> Job:
    """The job of a hash. Ids that RQ would not give out today, as older versions did, are kept as they are.

    Unpickles `meta`: only for processes that may run the job's code. Raises what RQ raises for what it cannot read, and
    UnreadableRecord for a payload that would unpack to more than Redis takes.
    """
    _refuse_bomb(record.get(b"data", b""))
    shared = record.copy()
    own = [shared.pop(field, b"") for field in OWN_FIELDS]
    is_plain = job_class.__init__ is Job.__init__ and job_class.restore is Job.restore
    is_alike = bool(is_plain and own[0] and shared.keys() <= SHARED_FIELDS)
    if is_alike:
        job = _like_others(job_class, connection, tuple(shared.items()))
        _fill(job, *own)
    else:
        job = job_class(connection=connection)
    job._id = job_id.decode("utf-8", "surrogateescape")  # noqa: SLF001 - the public setter refuses some
    if serializer is not None:
        job.serializer = serializer  # resolved before; passing it in would check its interface once more, for each job
    if not is_alike:
        job.restore(record)
    return job


def _refuse_bomb(data: bytes) -> None:
    if len(data) * ZLIB_RATIO <= MAX_PAYLOAD_BYTES:
        return
    unpacking, size = zlib.decompressobj(), 0
    try:
        while data and not unpacking.eof and size <= MAX_PAYLOAD_BYTES:
            size += len(unpacking.decompress(data, UNPACKED_AT_ONCE))
            data = unpacking.unconsumed_tail
    except zlib.error:  # it was never packed, so it has the size that Redis let it have
        return
    if size > MAX_PAYLOAD_BYTES:
        raise UnreadableRecord(
            f"the payload of the job unpacks to more than {MAX_PAYLOAD_BYTES} bytes. Enqueue a reference to it instead."
        )


def _like_others(job_class: type[Job], connection: Any, shared: tuple[tuple[bytes, bytes], ...]) -> Job:
    """A job with what RQ reads from `shared`. To copy that from the last such job costs a tenth of reading it again."""
    attributes, containers = _attributes(cast("Any", job_class), connection, shared)
    job = job_class.__new__(job_class)
    vars(job).update(attributes)
    for name in containers:
        setattr(job, name, attributes[name].copy())
    return job


@lru_cache(maxsize=128)
def _attributes(
    job_class: type[Job], connection: Any, shared: tuple[tuple[bytes, bytes], ...]
) -> tuple[dict[str, Any], list[str]]:
    """A job's attributes, and the names of those that no two jobs may share; they are empty."""
    job = job_class(connection=connection)
    job.restore({**dict(shared), b"data": b""})
    attributes = vars(job)
    return attributes, [name for name, value in attributes.items() if isinstance(value, dict | list | set)]


def shared_attributes(shared: Record, connection: Any) -> dict[str, Any]:
    """What RQ reads from such fields of a hash as many jobs have in common. Raises what RQ raises."""
    return _attributes(cast("Any", Job), connection, tuple(shared.items()))[0]


def decompress(data: bytes) -> bytes:
    """A payload as it was serialized. RQ packs it; older versions did not."""
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def _fill(job: Job, data: bytes, description: bytes, *dates: bytes) -> None:
    """The fields that differ from job to job, read as RQ reads them."""
    job.data = decompress(data)
    job.description = description.decode() or None
    for name, value in zip(_DATES, dates, strict=True):
        setattr(job, name, to_date(value) if value else None)
    job.created_at = job.created_at or datetime.now(UTC)


def to_date(value: bytes) -> datetime:
    """A time as RQ writes it. RQ's own parser costs more than everything else in its `restore`."""
    date = datetime.fromisoformat(value.decode())
    return date if date.tzinfo is not None else str_to_date(value)


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
