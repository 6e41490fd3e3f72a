"""What RQ's own workers do beside running jobs, done by scripts. Records are made by RQ itself."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
import rq
from rq import Queue
from rq.job import Dependency, Job, JobStatus
from rq.rate_limit import RateLimit

from farm.store import upkeep
from farm.store.leadership import SCHEDULER_TOKEN
from farm.store.upkeep import LOCKED, UpkeepStore
from tests.support.coordinated import KEYS, RQ_KEYS, call, lead, leader, now, queue_ids, status

PAST = datetime(2026, 1, 1, tzinfo=UTC)


def store_call(url: str, work):
    return call(url, lambda client: work(UpkeepStore(client, KEYS, RQ_KEYS), leader(client)))


def release_scheduled(url: str, *queues: str):
    return store_call(url, lambda store, leader: store.release_scheduled(leader, queues or ("default",)))


def release_page(url: str, member: str, cursor: str = "0"):
    return store_call(url, lambda store, leader: store.release_dependents(leader, member, cursor))


@pytest.mark.every_engine
def test_due_jobs_go_to_their_queues_as_rq_would_move_them(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    due = queue.enqueue_at(PAST, print)
    front = queue.enqueue_at(PAST + timedelta(seconds=1), print, at_front=True)
    later = queue.enqueue_in(timedelta(hours=1), print)

    first, second = release_scheduled(redis_url), release_scheduled(redis_url)

    assert first == (2, False, {"default": 2})
    assert second == (0, False, {"default": 0})
    assert queue_ids(redis_client) == [front.id, due.id]
    assert redis_client.zrange(RQ_KEYS.scheduled("default"), 0, -1) == [later.id.encode()]
    moved = Job.fetch(due.id, connection=redis_client)
    assert (moved.get_status(), moved.origin, moved.timeout) == (JobStatus.QUEUED, "default", 180)
    assert abs(moved.enqueued_at.timestamp() - now(redis_client)) < 30
    assert redis_client.get(RQ_KEYS.scheduler_lock("default")) == SCHEDULER_TOKEN.encode()
    assert 0 < redis_client.ttl(RQ_KEYS.scheduler_lock("default")) <= 61


def test_a_queue_that_a_stock_scheduler_serves_is_left_to_it(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    Queue("theirs", connection=redis_client).enqueue_at(PAST, print)
    Queue("ours", connection=redis_client).enqueue_at(PAST, print)
    redis_client.set(RQ_KEYS.scheduler_lock("theirs"), "stock", ex=60)

    assert release_scheduled(redis_url, "theirs", "ours") == (1, False, {"theirs": LOCKED, "ours": 1})
    assert queue_ids(redis_client, "theirs") == []


def test_scheduled_ids_without_a_scheduled_job_are_removed(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    job = Queue(connection=redis_client).enqueue_at(PAST, print)
    redis_client.hset(job.key, "status", "canceled")
    redis_client.zadd(RQ_KEYS.scheduled("default"), {"gone": 1})

    assert release_scheduled(redis_url) == (0, False, {"default": 0})
    assert redis_client.zcard(RQ_KEYS.scheduled("default")) == 0
    assert queue_ids(redis_client) == []


def test_keys_of_the_wrong_type_do_not_stop_the_other_queues(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    redis_client.set(RQ_KEYS.scheduled("text"), "x")
    stranded = Queue("stranded", connection=redis_client).enqueue_at(PAST, print)
    redis_client.set(RQ_KEYS.queue("stranded"), "x")
    Queue("fine", connection=redis_client).enqueue_at(PAST, print)

    moved, _, each = release_scheduled(redis_url, "text", "stranded", "fine")

    assert (moved, each) == (1, {"text": -1, "stranded": -1, "fine": 1})
    assert status(redis_client, stranded.id) == "scheduled"
    assert redis_client.zcard(RQ_KEYS.scheduled("stranded")) == 1


def test_one_call_moves_a_bounded_number(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SCHEDULED_AT_ONCE", 3)
    lead(redis_client)
    queue = Queue(connection=redis_client)
    ids = [queue.enqueue_at(PAST + timedelta(seconds=number), print).id for number in range(5)]

    assert release_scheduled(redis_url)[:2] == (3, True)
    assert release_scheduled(redis_url)[:2] == (2, False)
    assert queue_ids(redis_client) == ids


def test_a_due_job_with_a_rate_limit_waits_for_its_slot(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    holder = queue.enqueue(print, rate_limit=RateLimit("api", 1))
    job = queue.enqueue_at(PAST, print, rate_limit=RateLimit("api", 1))

    assert release_scheduled(redis_url)[0] == 1
    assert status(redis_client, job.id) == "rate_limited"
    assert queue_ids(redis_client) == [holder.id]
    assert redis_client.zrange("rq:rl:api:rate_limited", 0, -1) == [job.id.encode()]


def test_jobs_left_as_ready_are_queued(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    job = queue.create_job(print)
    job.save()
    job.set_status(JobStatus.READY_TO_ENQUEUE)
    redis_client.zadd(RQ_KEYS.ready("default"), {job.id: 1, "gone": 1})
    redis_client.set(RQ_KEYS.ready("text"), "x")

    def ready() -> int:
        return store_call(redis_url, lambda store, leader: store.release_ready(leader, ["text", "default"]))

    assert [ready(), ready()] == [1, 0]
    assert queue_ids(redis_client) == [job.id]
    assert not redis_client.exists(RQ_KEYS.ready("default"))


def test_entries_whose_time_is_over_leave_the_registries(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "EXPIRED_AT_ONCE", 2)
    lead(redis_client)
    for registry in (RQ_KEYS.finished("default"), RQ_KEYS.failed("default"), RQ_KEYS.finished("cleaned")):
        redis_client.zadd(registry, {"a": 1, "b": 2, "c": 3, "kept": -1, "live": 9e9, "for-ever": float("inf")})
    redis_client.set(RQ_KEYS.finished("text"), "x")
    redis_client.set(RQ_KEYS.cleaning_lock("cleaned"), 1, ex=60)

    def expire():
        queues = ["text", "cleaned", "default"]
        return store_call(redis_url, lambda store, leader: store.expire_registries(leader, queues))

    assert [expire(), expire(), expire()] == [(4, True), (2, False), (0, False)]
    kept = [b"kept", b"live", b"for-ever"]
    assert redis_client.zrange(RQ_KEYS.finished("default"), 0, -1) == kept
    assert redis_client.zrange(RQ_KEYS.failed("default"), 0, -1) == kept
    assert redis_client.zcard(RQ_KEYS.finished("cleaned")) == 6


@pytest.mark.every_engine
def test_dependents_are_released_when_all_their_parents_have_ended(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    one, two, missing = (queue.enqueue(print) for _ in range(3))
    only = Queue("other", connection=redis_client).enqueue(print, depends_on=one)
    both = queue.enqueue(print, depends_on=[one, two])
    with_missing = queue.enqueue(print, depends_on=[one, missing], at_front=True)
    canceled = queue.enqueue(print, depends_on=one)
    canceled.cancel()
    redis_client.delete(missing.key, RQ_KEYS.queue("default"))
    _finish(redis_client, one)

    first = release_page(redis_url, f"finished:{one.id}")
    waiting_after_first = status(redis_client, both.id)
    _finish(redis_client, two)
    second = release_page(redis_url, f"finished:{two.id}")

    assert (first, waiting_after_first, second) == (("0", 2), "deferred", ("0", 1))
    assert queue_ids(redis_client, "other") == [only.id]
    assert queue_ids(redis_client) == [with_missing.id, both.id]
    assert [status(redis_client, job.id) for job in (only, both, with_missing, canceled)] == [
        "queued",
        "queued",
        "queued",
        "canceled",
    ]
    assert redis_client.zcard(RQ_KEYS.dependent("default")) == redis_client.zcard(RQ_KEYS.dependent("other")) == 0


def _finish(client: redis.Redis, job: Job) -> None:
    client.hset(job.key, "status", "finished")
    client.expire(job.key, 60)


def test_a_failed_parent_releases_only_those_that_allow_it(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    parent = queue.enqueue(print)
    strict = queue.enqueue(print, depends_on=parent)
    tolerant = queue.enqueue(print, depends_on=Dependency(parent, allow_failure=True))
    redis_client.zadd(KEYS.dependents, {f"failed:{parent.id}": 1})

    assert release_page(redis_url, f"failed:{parent.id}") == ("0", 1)
    assert release_page(redis_url, f"failed:{parent.id}") == ("0", 0)
    assert (status(redis_client, strict.id), status(redis_client, tolerant.id)) == ("deferred", "queued")
    assert redis_client.smembers(parent.dependents_key) == {strict.id.encode()}
    assert not redis_client.exists(KEYS.dependents)


def test_many_dependents_are_released_in_pages(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    parent = queue.create_job(print)
    parent.save()
    ids = [f"d{number}" for number in range(1000)]
    with redis_client.pipeline() as pipeline:
        for job_id in ids:
            pipeline.hset(RQ_KEYS.job(job_id), mapping={"status": "deferred", "origin": "default", "timeout": 60})
        pipeline.sadd(parent.dependents_key, *ids)
        pipeline.zadd(RQ_KEYS.dependent("default"), dict.fromkeys(ids, 1))
        pipeline.zadd(KEYS.dependents, {f"finished:{parent.id}": 1})
        pipeline.execute()

    cursor, pages = "0", 0
    while pages == 0 or cursor != "0":
        assert store_call(redis_url, lambda store, _: store.ended_with_dependents()) == [f"finished:{parent.id}"]
        cursor, released = release_page(redis_url, f"finished:{parent.id}", cursor)
        pages += 1
        assert released < 400

    assert pages > 3
    assert sorted(queue_ids(redis_client)) == sorted(ids)
    assert redis_client.exists(KEYS.dependents, RQ_KEYS.dependent("default"), parent.dependents_key) == 0


def test_rq_still_reads_what_the_scripts_wrote(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    job = queue.enqueue_at(PAST, print, "hello")
    release_scheduled(redis_url)

    rq.SimpleWorker([queue], connection=redis_client).work(burst=True)

    assert job.get_status() == JobStatus.FINISHED
