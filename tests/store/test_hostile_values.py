"""Numbers in job hashes that are none, or that Redis does not take: no duty of a coordinator is held up by them."""

from datetime import UTC, datetime

import pytest
import redis
from rq import Queue

from farm.records import LONGEST_SECONDS
from farm.store.requeueing import RequeueStore
from tests.store.test_recover import lose, recover
from tests.store.test_upkeep import release_page, release_scheduled
from tests.support.coordinated import KEYS, RQ_KEYS, lead, plant_lease, plant_record, queue_ids, status

ODD = ["", "abc", "nan", "-nan", "inf", "1e400", "1e15", "0x10", str(2**63), str(10**400), "-5", "1.5", b"\xff"]
PAST = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.every_engine


def test_jobs_of_a_lost_host_fail_whatever_their_failure_ttl_is(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    for number, ttl in enumerate(ODD):
        plant_record(redis_client, "default", f"j{number}")
        redis_client.hset(RQ_KEYS.job(f"j{number}"), mapping={"failure_ttl": ttl, "worker_name": "a"})
        plant_lease(redis_client, "a", identity, f"j{number}", number, on_lost="fail")

    recovered = recover(redis_url)

    assert recovered.left == 0
    assert {status(redis_client, f"j{number}") for number in range(len(ODD))} == {"failed"}
    times = [redis_client.ttl(RQ_KEYS.job(f"j{number}")) for number in range(len(ODD))]
    assert all(-1 <= seconds <= LONGEST_SECONDS for seconds in times)


def test_counts_that_are_no_numbers_do_not_hold_up_a_recovery(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    for number, count in enumerate(ODD):
        plant_record(redis_client, "default", f"j{number}")
        redis_client.hset(RQ_KEYS.job(f"j{number}"), mapping={"farm_losses": count, "worker_name": "a"})
        plant_lease(redis_client, "a", identity, f"j{number}", number)

    assert recover(redis_url).left == 0
    assert len(queue_ids(redis_client)) == len(ODD)


def test_due_jobs_are_queued_whatever_their_ttl_is(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    jobs = [Queue(connection=redis_client).enqueue_at(PAST, print) for _ in ODD]
    for job, ttl in zip(jobs, ODD, strict=True):
        redis_client.hset(job.key, "ttl", ttl)

    moved, more, _ = release_scheduled(redis_url)

    assert (moved, more) == (len(ODD), False)
    assert sorted(queue_ids(redis_client)) == sorted(job.id for job in jobs)


def test_dependents_are_released_whatever_their_ttl_is(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    queue = Queue(connection=redis_client)
    parent = queue.enqueue(print)
    waiting = [queue.enqueue(print, depends_on=parent) for _ in ODD]
    for job, ttl in zip(waiting, ODD, strict=True):
        redis_client.hset(job.key, "ttl", ttl)
    redis_client.hset(parent.key, "status", "finished")
    redis_client.zadd(KEYS.dependents, {f"finished:{parent.id}": 1})

    release_page(redis_url, f"finished:{parent.id}")

    assert set(queue_ids(redis_client)) == {parent.id, *(job.id for job in waiting)}
    redis_client.delete(parent.key)


def test_failed_jobs_are_requeued_whatever_their_ttl_is(redis_client: redis.Redis) -> None:
    jobs = [Queue(connection=redis_client).enqueue(print) for _ in ODD]
    redis_client.delete(RQ_KEYS.queue("default"))
    for job, ttl in zip(jobs, ODD, strict=True):
        redis_client.hset(job.key, mapping={"status": "failed", "ttl": ttl})

    assert len(RequeueStore(redis_client, RQ_KEYS).requeue([job.id for job in jobs])) == len(jobs)

    assert queue_ids(redis_client) == [job.id for job in jobs]
