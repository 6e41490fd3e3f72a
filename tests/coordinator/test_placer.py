"""The placer: one look at the farm, and what it says of queues without jobs."""

import pytest
import redis
import redis.asyncio

from farm.coordinator import placer
from farm.coordinator.placer import Placer
from farm.store.placement import PlacementStore
from tests.support.coordinated import KEYS, RQ_KEYS, call, lead, leader, plant_host, plant_jobs


def test_an_empty_queue_is_reserved_and_watched_by_nobody_else(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="p,q", capacity=12, dequeue_strategy="default")
    plant_jobs(redis_client, "q", *map(str, range(9)))

    async def work(client: redis.asyncio.Redis) -> frozenset[str]:
        return (await Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0).run_once(leader(client))).watch

    assert call(redis_url, work) == {"p", "q"}, "the host has room, but a job would not begin at once"
    assert not redis_client.exists(KEYS.reserved)
    redis_client.delete(RQ_KEYS.queue("q"), KEYS.inbox("a", "1-a"))
    assert call(redis_url, work) == frozenset()
    assert redis_client.hgetall(KEYS.reserved) == {b"p": b"a|1-a", b"q": b"a|1-a"}


@pytest.mark.parametrize(("capacity", "wants_room"), [(0, True), (2, False)])
def test_room_is_waited_for_where_no_host_could_take_a_job_that_comes(
    redis_url: str, redis_client: redis.Redis, capacity: int, wants_room: bool
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", capacity=capacity, dequeue_strategy="default")

    async def work(client: redis.asyncio.Redis) -> bool:
        return (await Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0).run_once(leader(client))).lacks_room

    assert call(redis_url, work) is wants_room


def test_what_redis_lost_of_the_reserved_queues_is_said_again_after_a_while_and_no_sooner(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", dequeue_strategy="default")

    async def work(client: redis.asyncio.Redis) -> None:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        await one.run_once(leader(client))
        assert redis_client.delete(KEYS.reserved)
        await one.run_once(leader(client))
        assert not redis_client.exists(KEYS.reserved)
        monkeypatch.setattr(placer, "REPEAT_SECONDS", 0.0)
        await one.run_once(leader(client))
        assert redis_client.hgetall(KEYS.reserved) == {b"default": b"a|1-a"}

    call(redis_url, work)


def test_queues_that_an_earlier_leader_reserved_for_a_host_that_is_gone_are_nobodys(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", state="draining")
    redis_client.hset(KEYS.reserved, "default", "gone|1-gone")

    async def work(client: redis.asyncio.Redis) -> None:
        await Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0).run_once(leader(client))

    call(redis_url, work)
    assert not redis_client.exists(KEYS.reserved)
