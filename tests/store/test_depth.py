"""A queue of 200,000 jobs costs each placement what one of 200 does."""

import time

import pytest
import redis

from tests.store.test_place import place
from tests.store.test_upkeep import release_scheduled
from tests.support.coordinated import KEYS, RQ_KEYS, inbox_ids, lead, plant_host

pytestmark = pytest.mark.slow


def test_placing_takes_no_longer_from_a_long_queue(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=1000, capacity=1000)

    short = seconds_to_place(redis_client, redis_url, 200)
    long = seconds_to_place(redis_client, redis_url, 200_000)

    assert long < 3 * short + 0.005, f"{long * 1000:.1f} ms of 200,000, {short * 1000:.1f} ms of 200"


def test_a_hundred_thousand_jobs_due_at_once_go_out_in_pages(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    redis_client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    for first in range(0, 100_000, 1000):
        with redis_client.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 1000):
                record = {"status": "scheduled", "origin": "default", "data": b"x"}
                pipeline.hset(RQ_KEYS.job(str(number)), mapping=record)
            pipeline.zadd(RQ_KEYS.scheduled("default"), {str(number): 1 for number in range(first, first + 1000)})
            pipeline.execute()

    begun = time.perf_counter()
    moved, more, _ = release_scheduled(redis_url)
    seconds = time.perf_counter() - begun

    assert more
    assert 0 < moved <= 1000
    assert redis_client.llen(RQ_KEYS.queue("default")) == moved
    assert seconds < 1
    redis_client.flushall()


def seconds_to_place(client: redis.Redis, url: str, jobs: int) -> float:
    """The least of four placements of 50 jobs."""
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    client.delete(RQ_KEYS.queue("default"), KEYS.inbox("a", "1-a"))
    for first in range(0, jobs, 10_000):
        client.rpush(RQ_KEYS.queue("default"), *range(first, min(jobs, first + 10_000)))
    taken = []
    for _ in range(4):
        begun = time.perf_counter()
        placed = place(url, [0] * 50)
        taken.append(time.perf_counter() - begun)
        assert placed.on_host == {"a": 50}
        assert len(inbox_ids(client, "a")) == 50
        client.delete(KEYS.inbox("a", "1-a"))
    return min(taken)
