"""What is to be called of a job that ended alone: taken by one host at a time, until it is done or was tried enough."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import redis

from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.follow_ups import FollowUpStore
from tests.support.coordinated import event_names, now, plant_record

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()

T = TypeVar("T")


def ask(url: str, work: Callable[[FollowUpStore], Awaitable[T]]) -> T:
    async def run() -> T:
        client = connect_async(url)
        try:
            return await work(FollowUpStore(client, KEYS, RQ_KEYS))
        finally:
            await client.aclose()

    return asyncio.run(run())


def plant(client: redis.Redis, *members: str) -> None:
    """Due follow-ups, in this order."""
    client.zadd(KEYS.follow_ups, {member: number + 1 for number, member in enumerate(members)})
    client.expire(KEYS.follow_ups, 60)


def members(client: redis.Redis) -> list[str]:
    return [member.decode() for member in client.zrange(KEYS.follow_ups, 0, -1)]


def test_one_that_was_taken_is_not_due_for_a_while_and_gone_when_it_is_done(
    redis_url: str, redis_client: redis.Redis
) -> None:
    plant_record(redis_client, "default", "a|b")
    plant(redis_client, "stopped|0|token|a|b")

    async def work(store: FollowUpStore) -> None:
        taken = await store.take(["other", "default"])
        assert taken is not None
        assert (taken.kind, taken.token, taken.job_id, taken.queue) == ("stopped", "token", b"a|b", "default")
        assert b"data" in taken.fields
        assert members(redis_client) == ["stopped|1|token|a|b"]
        assert await store.take(["default"]) is None
        await store.done(taken)

    ask(redis_url, work)
    assert members(redis_client) == []


def test_one_whose_process_ended_is_due_at_once_three_times_at_most(redis_url: str, redis_client: redis.Redis) -> None:
    plant_record(redis_client, "default", "a")
    plant(redis_client, "failed|0||a")

    async def work(store: FollowUpStore) -> None:
        for _ in range(3):
            taken = await store.take(["default"])
            assert taken is not None
            await store.release(taken)
        assert await store.take(["default"]) is None

    ask(redis_url, work)
    assert members(redis_client) == []
    assert event_names(redis_client) == ["follow_up.given_up"]


def test_one_whose_host_is_gone_becomes_due_again(redis_url: str, redis_client: redis.Redis) -> None:
    plant_record(redis_client, "default", "a")
    plant(redis_client, "failed|0||a")

    assert ask(redis_url, lambda store: store.take(["default"])) is not None

    due = redis_client.zscore(KEYS.follow_ups, "failed|1||a")
    assert now(redis_client) + 500 < due < now(redis_client) + 700


def test_hosts_take_those_of_their_queues_and_drop_those_without_a_job(
    redis_url: str, redis_client: redis.Redis
) -> None:
    plant_record(redis_client, "other", "others")
    plant_record(redis_client, "default", "mine")
    redis_client.set(RQ_KEYS.job("no-hash"), "text", ex=60)
    plant(redis_client, "failed|0||gone", "failed|0||no-hash", "nonsense", "failed|0||others", "failed|0||mine")

    taken = ask(redis_url, lambda store: store.take(["default"]))

    assert taken is not None
    assert taken.job_id == b"mine"
    assert members(redis_client) == ["failed|0||others", "failed|1||mine"]
