"""What a host is told of the jobs that it starts, how many it gets at once, and what a start does to their records."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from rq import Callback, Queue
from rq.job import Job

from farm.store.execution import START_PAYLOAD_BYTES, new_batch_name
from farm.store.started import StartedJob
from farm_worker.beginnings import assign, field
from tests.store.test_execution import KEYS, RQ_KEYS, Bench, failed, finished, run, status

pytestmark = pytest.mark.every_engine

LARGE = 50_000
"""Bytes of a payload that processes read from Redis themselves. Random ones, so that they stay as many."""


def start_one(url: str, client: redis.Redis, job: Job, look: Callable[[StartedJob], Any]) -> Any:
    """What `look` says of the job, which ends then."""
    found: list[Any] = []

    async def body(bench: Bench) -> None:
        bench.place(job)
        (one,) = (await bench.start()).started
        found.append(look(one))
        await bench.finish(finished(job, one.token))

    run(url, client, body)
    return found[0]


@pytest.mark.parametrize(
    ("description", "name"),
    [
        (b"shop.bill(7, rate=1)", "shop.bill"),
        (b"farm.entrypoint({'text': 'hello'})", "farm.entrypoint"),
        (b"Bill for May", "Bill for May"),
        (b"(7)", None),
        (b"\xff(", "\N{REPLACEMENT CHARACTER}"),
        (b"x" * 1000, "x" * 200),
        (b"x" * 300 + b"(secret)", "x" * 200),
        (b"", None),
        (None, None),
    ],
)
def test_the_function_of_a_started_job_is_the_head_of_its_description(
    redis_url: str, redis_client: redis.Redis, description: bytes | None, name: str | None
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    if description is None:
        redis_client.hdel(job.key, "description")
    else:
        redis_client.hset(job.key, "description", description)
    assert start_one(redis_url, redis_client, job, lambda one: assign(one).function) == name


@pytest.mark.parametrize(
    ("options", "has_callbacks", "seconds"),
    [
        ({}, False, 0.0),
        ({"on_success": Callback("time.time", timeout=5)}, True, 5.0),
        ({"on_failure": Callback("time.time", timeout=7)}, True, 7.0),
        ({"on_success": Callback("time.time", timeout=5), "on_failure": Callback("time.time", timeout=7)}, True, 7.0),
        ({"on_success": Callback("time.time")}, True, 60.0),
        ({"on_stopped": Callback("time.time", timeout=5)}, False, 0.0),
    ],
)
def test_the_callbacks_of_a_started_job_are_told(
    redis_url: str, redis_client: redis.Redis, options: dict[str, Any], has_callbacks: bool, seconds: float
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time", **options)
    told = start_one(redis_url, redis_client, job, lambda one: (one.has_callbacks, assign(one).callback_timeout))
    assert told == (has_callbacks, seconds)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [(b"180", 180.0), (b"7", 7.0), (b"-1", None), (b"", 180.0), (b"soon", 180.0), (b"9" * 400, float("inf"))],
)
def test_the_time_limit_of_a_started_job_is_told(
    redis_url: str, redis_client: redis.Redis, limit: bytes, seconds: float | None
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    redis_client.hset(job.key, "timeout", limit)
    assert start_one(redis_url, redis_client, job, lambda one: assign(one).timeout) == seconds


@pytest.mark.parametrize("queue", ["default", "with|bar", "a|b|c", "odd: ü"])
def test_queue_attempt_and_what_its_loss_means_are_told(redis_url: str, redis_client: redis.Redis, queue: str) -> None:
    job = Queue(queue, connection=redis_client).enqueue("time.time")
    redis_client.hset(job.key, mapping={"farm_on_lost": "fail", "farm_losses": 2})
    told = start_one(redis_url, redis_client, job, lambda one: (one.queue, one.attempt, one.on_lost))
    assert told == (queue, 3, "fail")


def test_the_hash_is_told_as_it_was_with_the_fence_token_of_this_start(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time", meta={"a": 1})
    redis_client.hset(job.key, mapping={b"odd \xff": bytes(range(256)), b"empty": b""})
    before = redis_client.hgetall(job.key)

    def look(one: StartedJob) -> dict[bytes, bytes]:
        found = dict(zip(one.fields[::2], one.fields[1::2], strict=True))
        assert found.pop(b"farm_fence") == redis_client.hget(job.key, "farm_fence")
        return found

    assert start_one(redis_url, redis_client, job, look) == before


@pytest.mark.parametrize("size", [0, LARGE])
def test_fields_of_any_name_are_told(redis_url: str, redis_client: redis.Redis, size: int) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    names = [b"err", b"ok", b"map", b"", b"1", b"2", b"\xff", b"farm_own"]
    redis_client.hset(job.key, mapping={name: b"its " + name for name in names})
    if size:
        redis_client.hset(job.key, "data", os.urandom(size))
    told = start_one(redis_url, redis_client, job, lambda one: one.fields)
    assert [field(told, name) for name in names] == [b"its " + name for name in names]


def test_the_receipts_of_a_host_at_work_do_not_expire(redis_url: str, redis_client: redis.Redis) -> None:
    jobs = [Queue("default", connection=redis_client).enqueue("time.time") for _ in range(2)]

    async def body(bench: Bench) -> None:
        receipts = KEYS.receipts(bench.who.host, bench.who.identity)
        bench.place(jobs[0])
        (first,) = (await bench.start()).started
        redis_client.expire(receipts, 60)
        bench.place(jobs[1])
        (second,) = (await bench.start()).started
        assert redis_client.ttl(receipts) > 40_000
        redis_client.expire(receipts, 60)
        await bench.finish(finished(jobs[0], first.token), finished(jobs[1], second.token))
        assert redis_client.ttl(receipts) > 40_000

    run(redis_url, redis_client, body)


def test_no_more_jobs_start_than_were_asked_for_and_the_others_stay_in_order(
    redis_url: str, redis_client: redis.Redis
) -> None:
    jobs = [Queue("default", connection=redis_client).enqueue("time.time") for _ in range(250)]

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        left, seen = [job.id.encode() for job in jobs], []
        for limit in (1, 3, 100, 100, 100):
            exchange = await bench.start(limit=limit)
            seen += exchange.started
            assert len(exchange.started) == min(limit, len(left))
            del left[: len(exchange.started)]
            assert exchange.inbox == len(left)
            assert redis_client.lrange(KEYS.inbox("one", bench.who.identity), 0, -1) == left
        assert [one.job_id.decode() for one in seen] == [job.id for job in jobs]
        assert len({one.token for one in seen}) == len(jobs)
        await bench.finish(*(finished(job, one.token) for job, one in zip(jobs, seen, strict=True)))

    run(redis_url, redis_client, body)


def test_a_start_ends_with_the_job_that_makes_it_too_large(redis_url: str, redis_client: redis.Redis) -> None:
    jobs = [Queue("default", connection=redis_client).enqueue("time.time") for _ in range(5)]
    for job in jobs:
        redis_client.hset(job.key, "data", b"x" * (START_PAYLOAD_BYTES // 2))

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        seen: list[StartedJob] = []
        for count in (2, 2, 1):
            exchange = await bench.start(limit=100)
            assert len(exchange.started) == count
            seen += exchange.started
        assert [one.job_id.decode() for one in seen] == [job.id for job in jobs]
        assert all(one.is_large for one in seen)
        await bench.finish(*(finished(job, one.token) for job, one in zip(jobs, seen, strict=True)))

    run(redis_url, redis_client, body)


def test_a_large_payload_stays_in_redis_and_all_else_is_told(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time", os.urandom(LARGE), meta={"a": 1})
    redis_client.hset(job.key, mapping={b"odd \xff": bytes(range(256)), b"empty": b"", b"": b"no name"})
    before = redis_client.hgetall(job.key)

    def look(one: StartedJob) -> dict[bytes, bytes]:
        assert one.is_large
        found = dict(zip(one.fields[::2], one.fields[1::2], strict=True))
        assert found.pop(b"farm_fence") == redis_client.hget(job.key, "farm_fence")
        return found

    assert start_one(redis_url, redis_client, job, look) == before | {b"data": b""}


@pytest.mark.parametrize(("size", "seconds"), [(LARGE, 25.0), (1, 5.0)])
def test_the_time_until_its_payload_is_there_is_not_that_of_the_job(
    redis_url: str, redis_client: redis.Redis, size: int, seconds: float
) -> None:
    callback = Callback("time.time", timeout=5)
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time", os.urandom(size), on_success=callback, job_timeout=9)
    told = start_one(redis_url, redis_client, job, lambda one: (assign(one).timeout, assign(one).seconds_beside))
    assert told == (9.0, seconds)


def test_each_payload_of_a_mixed_batch_is_either_told_or_marked(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    sizes = [LARGE, LARGE, 1, 1, LARGE, LARGE, 1]
    jobs = [queue.enqueue("time.time", os.urandom(size)) for size in sizes]

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        started = (await bench.start(limit=100)).started
        told = [field(one.fields, b"data") for one in started]
        assert [one.job_id.decode() for one in started] == [job.id for job in jobs]
        for job, one, data in zip(jobs, started, told, strict=True):
            assert data == (b"" if one.is_large else redis_client.hget(job.key, "data"))
        assert [one.is_large for one in started[:4]] == [True, True, False, False]
        await bench.finish(*(finished(job, one.token) for job, one in zip(jobs, started, strict=True)))

    run(redis_url, redis_client, body)


def test_a_start_sent_again_marks_the_same_payloads(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    jobs = [queue.enqueue("time.time", os.urandom(size)) for size in (LARGE, 1)]

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        name = new_batch_name()
        for _ in range(2):
            started = (await bench.start(limit=2, name=name)).started
            assert [one.is_large for one in started] == [True, False]
            assert field(started[1].fields, b"data") == redis_client.hget(jobs[1].key, "data")
        await bench.finish(*(finished(job, one.token) for job, one in zip(jobs, started, strict=True)))

    run(redis_url, redis_client, body)


def test_a_large_payload_among_very_many_fields_is_told_like_any_other(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time", os.urandom(LARGE))
    redis_client.hset(job.key, mapping={f"field {number}": number for number in range(20_000)})
    data = redis_client.hget(job.key, "data")
    told = start_one(redis_url, redis_client, job, lambda one: (one.is_large, field(one.fields, b"data")))
    assert told == (False, data)


Make = Callable[[Queue, Bench], Awaitable[Job]]


async def requeued(queue: Queue, bench: Bench) -> Job:
    job = queue.enqueue("time.time")
    bench.place(job)
    await bench.finish(failed(job, (await bench.start()).started[0].token, ttl=60))
    await asyncio.to_thread(Job.fetch(job.id, connection=queue.connection).requeue)
    return job


async def enqueued_anew(queue: Queue, bench: Bench) -> Job:
    job = queue.enqueue("time.time", job_id="nightly")
    bench.place(job)
    await bench.finish(finished(job, (await bench.start()).started[0].token, ttl=60))
    return queue.enqueue("time.time", job_id="nightly")


async def after_a_stock_worker(queue: Queue, bench: Bench) -> Job:
    queue.connection.hset(RQ_KEYS.job("nightly"), "status", "finished")
    queue.connection.expire(RQ_KEYS.job("nightly"), 60)
    return queue.enqueue("time.time", job_id="nightly")


async def with_a_time_to_live(queue: Queue, bench: Bench) -> Job:
    return queue.enqueue("time.time", ttl=60)


@pytest.mark.parametrize("make", [requeued, enqueued_anew, after_a_stock_worker, with_a_time_to_live])
def test_a_job_does_not_expire_while_it_runs(redis_url: str, redis_client: redis.Redis, make: Make) -> None:
    queue = Queue("default", connection=redis_client)

    async def body(bench: Bench) -> None:
        job = await make(queue, bench)
        assert 0 < redis_client.ttl(job.key) <= 60, "it would"
        bench.place(job)
        (one,) = (await bench.start()).started
        assert redis_client.ttl(job.key) == -1
        assert await bench.finish(finished(job, one.token)) == ["finished"]
        assert status(job) == "finished"

    run(redis_url, redis_client, body)
