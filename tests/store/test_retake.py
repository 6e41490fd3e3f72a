"""Leases that Redis lost are taken again only on jobs that wait where their host could have had them from."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis
from rq import Queue
from rq.job import Job

from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.records import Lease
from farm.store.connection import connect_async
from farm.store.hosts import HostStore, Registration

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()


def run(url: str, body: Callable[[HostStore, Registration], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as client:
            store = HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0)
            who = await store.register("one")
            assert isinstance(who, Registration)
            await body(store, who)

    asyncio.run(scenario())


def lease(name: str = "a") -> Lease:
    return Lease(name.ljust(32, "0"), "de|fault", 2, 1_700_000_000, "rerun", 0)


def enqueue(client: redis.Redis, count: int = 1) -> list[Job]:
    queue = Queue("de|fault", connection=client)
    return [queue.enqueue("time.time") for _ in range(count)]


def test_a_job_at_the_head_of_its_queue_is_taken_out_of_it(redis_url: str, redis_client: redis.Redis) -> None:
    first, second = enqueue(redis_client, 2)

    async def body(store: HostStore, who: Registration) -> None:
        assert await store.retake(who, {second.id.encode(): lease()}) == {second.id.encode(): True}
        assert await store.leases(who) == {second.id.encode(): lease()}
        assert redis_client.lrange(RQ_KEYS.queue("de|fault"), 0, -1) == [first.id.encode()]
        assert second.get_status(refresh=True) == "started"
        second.refresh()
        assert second.worker_name == "one"
        assert await store.retake(who, {second.id.encode(): lease()}) == {second.id.encode(): True}, "twice is once"

    run(redis_url, body)


def test_a_job_in_the_own_inbox_is_taken_out_of_that(redis_url: str, redis_client: redis.Redis) -> None:
    (job,) = enqueue(redis_client)

    async def body(store: HostStore, who: Registration) -> None:
        redis_client.rpoplpush(RQ_KEYS.queue("de|fault"), KEYS.inbox("one", who.identity))
        assert await store.retake(who, {job.id.encode(): lease()}) == {job.id.encode(): True}
        assert redis_client.llen(KEYS.inbox("one", who.identity)) == 0

    run(redis_url, body)


@pytest.mark.parametrize("status", ["started", "finished", "canceled", "deferred", None])
def test_a_job_that_does_not_wait_is_others(redis_url: str, redis_client: redis.Redis, status: str | None) -> None:
    (job,) = enqueue(redis_client)
    if status is None:
        job.delete()
    else:
        redis_client.hset(job.key, "status", status)
        redis_client.expire(job.key, 500)

    async def body(store: HostStore, who: Registration) -> None:
        assert await store.retake(who, {job.id.encode(): lease()}) == {job.id.encode(): False}
        assert await store.leases(who) == {}

    run(redis_url, body)


def test_a_job_that_is_placed_elsewhere_or_runs_anew_here_stays_there(
    redis_url: str, redis_client: redis.Redis
) -> None:
    placed, anew = enqueue(redis_client, 2)

    async def body(store: HostStore, who: Registration) -> None:
        redis_client.lrem(RQ_KEYS.queue("de|fault"), 1, placed.id)
        redis_client.rpush(KEYS.inbox("two", "1-b"), placed.id)
        redis_client.expire(KEYS.inbox("two", "1-b"), 60)
        redis_client.hset(KEYS.running("one", who.identity), anew.id, str(lease("b")))
        wanted = {placed.id.encode(): lease(), anew.id.encode(): lease()}
        assert await store.retake(who, wanted) == dict.fromkeys(wanted, False)
        assert await store.leases(who) == {anew.id.encode(): lease("b")}

    run(redis_url, body)


def test_many_are_taken_in_pages_and_none_by_a_host_that_was_given_up(
    redis_url: str, redis_client: redis.Redis
) -> None:
    jobs = enqueue(redis_client, 250)

    async def body(store: HostStore, who: Registration) -> None:
        held = await store.retake(who, {job.id.encode(): lease() for job in jobs[:-1]})
        assert (len(held), set(held.values())) == (249, {True})
        redis_client.hdel(KEYS.identities, "one")
        with pytest.raises(HostFenced):
            await store.retake(who, {jobs[-1].id.encode(): lease()})

    run(redis_url, body)
