"""A job's hash is read as RQ reads it, however many jobs that are alike were read before."""

import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus, Retry
from rq.repeat import Repeat
from rq.serializers import JSONSerializer

from farm_worker.pool import record as reading
from farm_worker.pool.record import Record, UnreadableRecord, _attributes, restore

CONNECTION = Redis()
"""Never used: nothing here asks Redis."""


class OwnJob(Job):
    """Like users write them."""


class ReadingJob(Job):
    """Reads its hash in its own way."""

    def restore(self, raw_data: Any) -> Any:
        super().restore(raw_data)
        self.description = "read by its own class"


def as_record(job: Job) -> Record:
    encoder = CONNECTION.get_encoder()
    return {name.encode(): bytes(encoder.encode(value)) for name, value in job.to_dict().items()}


def as_rq_reads(kind: type[Job], job_id: str, record: Record) -> dict[str, Any]:
    job = kind(job_id, connection=CONNECTION)
    job.restore(record)
    return attributes(job)


def attributes(job: Job) -> dict[str, Any]:
    """What the job is made of. RQ takes the present time where the record has none."""
    found = dict(vars(job))
    found["created_at"] = found["created_at"].replace(microsecond=0) if found["created_at"] else None
    return found


def read(record: Record, job_id: str = "an-id", kind: type[Job] = Job, serializer: Any = None) -> Job:
    return restore(kind, job_id.encode(), record, CONNECTION, serializer)


MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
SECONDS = st.none() | st.integers(-1, 10**6)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Jobs with much of what RQ can be told of one, and fields of attempts that they had before."""
    job = Job.create(
        draw(st.sampled_from(["os.getpid", "a.b.c"])),
        args=draw(st.just(()) | st.tuples(st.text(max_size=5))),
        connection=CONNECTION,
        origin=draw(st.sampled_from(["default", "häufig"])),
        timeout=draw(st.none() | st.integers(1, 1000)),
        result_ttl=draw(SECONDS),
        failure_ttl=draw(SECONDS),
        description=draw(st.none() | st.text(max_size=9)),
        meta=draw(st.just({}) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
        depends_on=draw(st.none() | st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2)),
        group_id=draw(st.none() | st.just("a-group")),
    )
    if (retry := draw(st.none() | st.just(Retry(3)) | st.just(Retry(2, [1, 5])))) is not None:
        job.retries_left, job.retry_intervals = retry.max, retry.intervals
        job.enqueue_at_front_on_retry = draw(st.booleans())
    if draw(st.booleans()):
        repeat = Repeat(times=2, interval=[3, 4])
        job.repeats_left, job.repeat_intervals = repeat.times, repeat.intervals
    for name in ("enqueued_at", "started_at", "ended_at", "last_heartbeat"):
        setattr(job, name, draw(st.none() | MOMENTS))
    job.created_at = draw(MOMENTS)
    job.worker_name = draw(st.none() | st.just("a-worker"))
    job.number_of_retries = draw(st.none() | st.integers(0, 3))
    job._status = draw(st.sampled_from(list(JobStatus)))
    return job


@settings(max_examples=40)
@given(st.lists(jobs(), min_size=1, max_size=6))
def test_any_jobs_are_read_as_rq_reads_them(several: list[Job]) -> None:
    for number, job in enumerate(several):
        record = as_record(job)
        assert attributes(read(record, f"job-{number}")) == as_rq_reads(Job, f"job-{number}", record)


@given(jobs(), st.data())
def test_records_that_lack_fields_are_read_as_rq_reads_them(job: Job, data: st.DataObject) -> None:
    record = as_record(job)
    missing = data.draw(st.sets(st.sampled_from(sorted(record.keys() - {b"data"}))))
    rest = {name: value for name, value in record.items() if name not in missing}
    assert attributes(read(rest)) == as_rq_reads(Job, "an-id", rest)


def test_jobs_that_are_alike_share_nothing_that_one_could_change() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    first, second = read(record, "first"), read(record, "second")
    first.meta["seen"] = True
    first._dependency_ids.append("another")
    first.webhooks.append("changed")  # type: ignore[arg-type]
    assert (second.meta, second._dependency_ids, second.webhooks) == ({}, [], [])
    third = read(record, "third")
    assert (third.meta, third._dependency_ids, third.webhooks) == ({}, [], [])


def test_an_uncompressed_payload_is_taken_as_it_is() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    record[b"data"] = zlib.decompress(record[b"data"])
    assert read(record).func_name == "os.getpid"


def test_a_serializer_of_the_host_reads_the_payload() -> None:
    job = Job.create("os.getpid", args=(1,), connection=CONNECTION, origin="default", serializer=JSONSerializer)
    assert read(as_record(job), serializer=JSONSerializer).args == [1]


@pytest.mark.parametrize("kind", [OwnJob, ReadingJob])
def test_the_users_job_classes_read_their_hash(kind: type[Job]) -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    job = read(record, kind=kind)
    assert type(job) is kind
    assert attributes(job) == as_rq_reads(kind, "an-id", record)


def test_a_date_of_an_older_version_of_rq_is_read() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    record[b"enqueued_at"] = b"2020-05-04T03:02:01Z"
    assert read(record).enqueued_at == datetime(2020, 5, 4, 3, 2, 1, tzinfo=UTC)


def test_a_job_without_a_time_of_creation_is_as_old_as_this_moment() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    del record[b"created_at"]
    created_at = read(record).created_at
    assert created_at is not None
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"timeout", b"soon"), (b"enqueued_at", b"yesterday"), (b"status", b"fine"), (b"description", b"\xff")],
)
def test_a_field_that_makes_no_sense_is_an_error_each_time(field: bytes, value: bytes) -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default")) | {field: value}
    for _ in range(2):
        with pytest.raises((ValueError, TypeError, AssertionError)):
            read(record)


@pytest.mark.parametrize("record", [{}, {b"origin": b"default"}])
def test_a_record_without_a_payload_is_no_job(record: Record) -> None:
    with pytest.raises(NoSuchJobError):
        read(record)


def test_a_large_field_that_rq_does_not_know_is_kept_by_no_process() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    before = _attributes.cache_info().currsize
    read(record | {b"theirs": b"x" * 100_000})
    assert _attributes.cache_info().currsize == before


def test_intervals_of_one_job_are_not_those_of_the_next() -> None:
    record = as_record(Job.create("os.getpid", connection=CONNECTION, origin="default"))
    record[b"repeat_intervals"] = json.dumps([1, 2]).encode()
    first = read(record)
    assert first.repeat_intervals is not None
    first.repeat_intervals.pop()
    assert read(record).repeat_intervals == [1, 2]


@pytest.mark.parametrize("size", [999, 1000, 1001, 300_000])
def test_a_payload_that_unpacks_to_more_than_redis_takes_is_refused(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(reading, "MAX_PAYLOAD_BYTES", 1000)
    monkeypatch.setattr(reading, "UNPACKED_AT_ONCE", 64)
    record = {b"data": zlib.compress(b"x" * size), b"origin": b"default", b"created_at": b"2026-01-01T00:00:00.000000Z"}

    if size <= 1000:
        assert read(record).data == b"x" * size
    else:
        with pytest.raises(UnreadableRecord, match="unpacks to more than 1000 bytes"):
            read(record)


def test_a_large_payload_that_was_never_packed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_PAYLOAD_BYTES", 1000)
    assert read({b"data": b"x" * 5000, b"origin": b"default"}).data == b"x" * 5000
