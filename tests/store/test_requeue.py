"""Failed jobs enqueued anew: as RQ does it, once, and from raw fields."""

import pytest
import redis
from rq import Queue
from rq.job import Job
from rq.rate_limit import RateLimit

from farm.keys import RqKeys
from farm.store.requeueing import PAGE_SIZE, Requeued, RequeueStore
from tests.client import sample_jobs
from tests.client.running import run_all

pytestmark = pytest.mark.every_engine

RQ_KEYS = RqKeys()


@pytest.fixture
def store(redis_client: redis.Redis) -> RequeueStore:
    return RequeueStore(redis_client, RQ_KEYS)


def fail(client: redis.Redis, count: int = 1, **options: object) -> list[Job]:
    """Jobs that failed, run by RQ's own worker."""
    queue = Queue(connection=client)
    jobs = [queue.enqueue(sample_jobs.fail, "no money", failure_ttl=600, **options) for _ in range(count)]
    run_all(client)
    assert {job.get_status() for job in jobs} == {"failed"}
    return jobs


def plant_failed(client: redis.Redis, *job_ids: str, status: str = "failed") -> None:
    with client.pipeline() as pipeline:
        for number, job_id in enumerate(job_ids):
            fields = {"status": status, "origin": "default", "data": b"x", "created_at": "2026-01-02T03:04:05Z"}
            pipeline.hset(RQ_KEYS.job(job_id), mapping=fields)
            pipeline.zadd(RQ_KEYS.failed("default"), {job_id: 9_000_000_000 + number})
        pipeline.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
        pipeline.execute()


def waiting(client: redis.Redis) -> list[str]:
    return [job_id.decode() for job_id in client.lrange(RQ_KEYS.queue("default"), 0, -1)]


def test_a_failed_job_is_what_rq_makes_of_it(store: RequeueStore, redis_client: redis.Redis) -> None:
    ours, theirs = fail(redis_client, 2)
    others = Queue(connection=redis_client).enqueue("time.time")

    assert store.requeue([ours.id]) == [Requeued(ours.id, "requeued", "default")]
    theirs.requeue()

    assert waiting(redis_client) == [others.id, ours.id, theirs.id]
    assert redis_client.zcard(RQ_KEYS.failed("default")) == 0
    one, other = (Job.fetch(job.id, connection=redis_client) for job in (ours, theirs))
    for name in ("_status", "started_at", "ended_at", "origin", "timeout", "data", "retries_left", "failure_ttl"):
        assert getattr(one, name) == getattr(other, name), name
    assert one.enqueued_at is not None
    assert one.enqueued_at > (ours.enqueued_at or one.enqueued_at)
    assert redis_client.ttl(RQ_KEYS.job(ours.id)) == -1, "what waits does not expire for having failed once"


def test_a_requeued_job_runs(store: RequeueStore, redis_client: redis.Redis) -> None:
    (job,) = fail(redis_client)
    store.requeue([job.id])
    run_all(redis_client)

    assert job.get_status() == "failed", "it ran, and failed again"
    assert redis_client.zscore(RQ_KEYS.failed("default"), job.id)


def test_crashes_and_losses_are_forgotten(store: RequeueStore, redis_client: redis.Redis) -> None:
    plant_failed(redis_client, "a")
    counts = {"farm_crashes": 3, "farm_losses": 10, "farm_evidence": "[]", "farm_on_lost": "rerun"}
    redis_client.hset(RQ_KEYS.job("a"), mapping=counts)
    store.requeue(["a"])

    left = [name for name in redis_client.hkeys(RQ_KEYS.job("a")) if name.startswith(b"farm_")]
    assert left == [b"farm_on_lost"]


def test_the_time_to_live_of_a_job_that_waits_begins_anew(store: RequeueStore, redis_client: redis.Redis) -> None:
    plant_failed(redis_client, "a")
    redis_client.hset(RQ_KEYS.job("a"), "ttl", 50)
    redis_client.expire(RQ_KEYS.job("a"), 5000)
    store.requeue(["a"])

    assert 0 < redis_client.ttl(RQ_KEYS.job("a")) <= 50


def test_a_rate_limited_job_waits_for_its_slot(store: RequeueStore, redis_client: redis.Redis) -> None:
    limit = RateLimit("bank", 1)
    (first,) = fail(redis_client, rate_limit=limit)
    (second,) = fail(redis_client, rate_limit=limit)

    assert [answer.outcome for answer in store.requeue([first.id, second.id])] == ["requeued", "requeued"]
    assert waiting(redis_client) == [first.id]
    assert [job.get_status() for job in (first, second)] == ["queued", "rate_limited"]


@pytest.mark.parametrize("status", ["queued", "started", "finished", "canceled", "deferred", "scheduled"])
def test_what_has_not_failed_is_left_alone(store: RequeueStore, redis_client: redis.Redis, status: str) -> None:
    plant_failed(redis_client, "a", status=status)
    redis_client.expire(RQ_KEYS.job("a"), 60)
    before = redis_client.hgetall(RQ_KEYS.job("a"))

    (answer,) = store.requeue(["a"])
    assert (answer.outcome, answer.detail) == ("not failed", status)
    assert redis_client.hgetall(RQ_KEYS.job("a")) == before
    assert waiting(redis_client) == []


def test_a_job_is_requeued_once_however_many_ask(store: RequeueStore, redis_client: redis.Redis) -> None:
    plant_failed(redis_client, "a")

    assert [answer.outcome for answer in store.requeue(["a", "a"])] == ["requeued", "not failed"]
    assert waiting(redis_client) == ["a"]


def test_records_that_cannot_be_used_stay_where_they_are(store: RequeueStore, redis_client: redis.Redis) -> None:
    plant_failed(redis_client, "no data", "no queue", "list")
    redis_client.hdel(RQ_KEYS.job("no data"), "data")
    redis_client.hdel(RQ_KEYS.job("no queue"), "origin")
    redis_client.delete(RQ_KEYS.job("list"))
    redis_client.rpush(RQ_KEYS.job("list"), "x")

    answers = store.requeue(["no data", "no queue", "list", "nowhere"])
    assert [answer.outcome for answer in answers] == ["unreadable", "unreadable", "unreadable", "gone"]
    assert all(answer.id in answer.refusal() for answer in answers)
    assert redis_client.zcard(RQ_KEYS.failed("default")) == 3


def test_a_queue_whose_key_is_no_list_keeps_its_failed_jobs(store: RequeueStore, redis_client: redis.Redis) -> None:
    plant_failed(redis_client, "a")
    redis_client.set(RQ_KEYS.queue("default"), "text", ex=60)

    assert store.requeue(["a"])[0].outcome == "unreadable"
    assert redis_client.hget(RQ_KEYS.job("a"), "status") == b"failed"
    assert redis_client.zcard(RQ_KEYS.failed("default")) == 1


def test_all_failed_jobs_of_a_queue_go_in_pages_and_in_order(store: RequeueStore, redis_client: redis.Redis) -> None:
    names = [f"job-{number:04}" for number in range(2 * PAGE_SIZE + 50)]
    plant_failed(redis_client, *names)
    redis_client.hset(RQ_KEYS.job(names[3]), "status", "stopped")
    redis_client.hdel(RQ_KEYS.job(names[110]), "data")
    redis_client.delete(RQ_KEYS.job(names[120]))

    pages = list(store.requeue_failed("default"))
    assert [len(page) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 50]
    kept = [names[3], names[110]]
    assert waiting(redis_client) == [name for name in names if name not in [*kept, names[120]]]
    assert redis_client.zrange(RQ_KEYS.failed("default"), 0, -1) == [name.encode() for name in kept]


def test_a_job_that_fails_again_meanwhile_is_not_requeued_without_end(
    store: RequeueStore, redis_client: redis.Redis
) -> None:
    plant_failed(redis_client, *(f"job-{number:04}" for number in range(PAGE_SIZE)), "last")
    pages = store.requeue_failed("default")
    next(pages)
    plant_failed(redis_client, "again-1", "again-2")
    redis_client.zadd(RQ_KEYS.failed("default"), {"again-1": 9_900_000_000, "again-2": 9_900_000_001})

    assert [answer.id for page in pages for answer in page] == ["last"]
    assert redis_client.zcard(RQ_KEYS.failed("default")) == 2


def test_a_registry_of_another_type_counts_as_empty(store: RequeueStore, redis_client: redis.Redis) -> None:
    redis_client.set(RQ_KEYS.failed("default"), "text", ex=60)

    assert list(store.requeue_failed("default")) == []
