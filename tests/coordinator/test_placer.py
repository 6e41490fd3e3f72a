"""The placer: one look at the farm, and what it says of queues without jobs."""

import asyncio
from contextlib import suppress

import pytest
import redis
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as some

from farm.coordinator import placer
from farm.coordinator.placer import PACE_SECONDS, SLOWEST_PACE_SECONDS, Placer, Round, pace
from farm.coordinator.trouble import Trouble
from farm.coordinator.waking import Waking
from farm.store.placement import PlacementStore
from farm.store.waking import WakeUps
from tests.support.coordinated import KEYS, RQ_KEYS, call, inbox_ids, lead, leader, plant_host, plant_jobs


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
        assert redis_client.delete(KEYS.reserved, KEYS.sole) == 2
        await one.run_once(leader(client))
        assert not redis_client.exists(KEYS.reserved, KEYS.sole)
        monkeypatch.setattr(placer, "REPEAT_SECONDS", 0.0)
        await one.run_once(leader(client))
        assert redis_client.hgetall(KEYS.reserved) == {b"default": b"a|1-a"}
        assert redis_client.hgetall(KEYS.sole) == {b"a": b"1-a"}

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


def test_more_than_a_sole_host_has_room_for_is_left_to_it_and_less_is_placed(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=1, capacity=4, dequeue_strategy="default")
    plant_jobs(redis_client, "default", *map(str, range(9)))

    async def work(client: redis.asyncio.Redis) -> None:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        first = await one.run_once(leader(client))
        assert (first.placed, inbox_ids(redis_client, "a")) == (4, ["0", "1", "2", "3"]), "nobody was sole before"
        assert redis_client.hgetall(KEYS.sole) == {b"a": b"1-a"}

        assert (await one.run_once(leader(client))).placed == 0, "there is no room"
        redis_client.ltrim(KEYS.inbox("a", "1-a"), 0, 0)
        third = await one.run_once(leader(client))
        assert (third.placed, third.backlog, third.lacks_room) == (0, False, False)

        redis_client.ltrim(RQ_KEYS.queue("default"), 0, 2)
        assert (await one.run_once(leader(client))).placed == 3

    call(redis_url, work)


def test_a_burst_for_a_busy_sole_host_is_placed_as_far_as_it_has_room(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=1, capacity=4, dequeue_strategy="default")
    redis_client.rpush(KEYS.inbox("a", "1-a"), "held")

    async def work(client: redis.asyncio.Redis) -> list[int]:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        await one.run_once(leader(client))
        plant_jobs(redis_client, "default", *map(str, range(9)))
        placed = [(await one.run_once(leader(client))).placed]
        redis_client.ltrim(KEYS.inbox("a", "1-a"), 0, 0)
        return [*placed, (await one.run_once(leader(client))).placed]

    assert call(redis_url, work) == [3, 0], "what is left then, the host asks for"


def test_a_sole_host_with_an_idle_process_gets_what_there_is(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=2, capacity=4, dequeue_strategy="default")

    async def work(client: redis.asyncio.Redis) -> int:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        await one.run_once(leader(client))
        plant_jobs(redis_client, "default", *map(str, range(9)))
        redis_client.rpush(KEYS.inbox("a", "1-a"), redis_client.lpop(RQ_KEYS.queue("default")))
        return (await one.run_once(leader(client))).placed

    assert call(redis_url, work) == 3


def test_a_host_is_sole_no_more_once_another_one_serves_its_queue(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=1, dequeue_strategy="default")
    redis_client.hset(KEYS.sole, "gone", "1-gone")

    async def work(client: redis.asyncio.Redis) -> None:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        await one.run_once(leader(client))
        assert redis_client.hgetall(KEYS.sole) == {b"a": b"1-a"}, "what an earlier leader said is gone"
        assert redis_client.ttl(KEYS.sole) > 0
        plant_host(redis_client, "b", queues="other,default", dequeue_strategy="default")
        plant_jobs(redis_client, "default", *map(str, range(20)))
        outcome = await one.run_once(leader(client))
        assert not redis_client.exists(KEYS.sole)
        assert (outcome.placed, len(inbox_ids(redis_client, "b"))) == (8, 4)

    call(redis_url, work)


counts = some.integers(min_value=1, max_value=10_000)
seconds = some.floats(min_value=0, max_value=100)


def a_round(placed: int, ahead: int, *, backlog: bool = True) -> Round:
    return Round(placed=placed, more=False, backlog=backlog, ahead=ahead, watch=frozenset())


@given(counts, counts, seconds)
def test_the_next_round_comes_before_hosts_have_used_up_what_they_have(placed: int, ahead: int, since: float) -> None:
    rest = pace(a_round(placed, ahead), since)
    assert PACE_SECONDS <= rest <= SLOWEST_PACE_SECONDS
    assert rest == PACE_SECONDS or rest * placed / max(since, 1e-9) <= ahead


@given(counts, counts, seconds)
def test_the_next_round_comes_soon_when_no_jobs_are_left_or_nothing_is_known_of_what_hosts_use_up(
    placed: int, ahead: int, since: float
) -> None:
    assert pace(a_round(placed, ahead, backlog=False), since) == PACE_SECONDS
    assert pace(a_round(placed, ahead), None) == PACE_SECONDS


def test_a_job_for_a_host_that_has_room_ends_the_rest_between_two_rounds(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placer, "PACE_SECONDS", 60.0)
    lead(redis_client)
    plant_host(redis_client, "busy", queues="many", slots=1, capacity=4)
    plant_host(redis_client, "idle", queues="few")
    plant_jobs(redis_client, "many", *map(str, range(9)))

    async def work(client: redis.asyncio.Redis) -> None:
        one = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        async with Waking(WakeUps(client, KEYS, RQ_KEYS), Trouble()) as waking:
            placing = asyncio.create_task(one.run(leader(client), waking, lambda: None))
            async with asyncio.timeout(10):
                while len(inbox_ids(redis_client, "busy")) < 4:
                    await asyncio.sleep(0)
                plant_jobs(redis_client, "few", "wanted")
                while inbox_ids(redis_client, "idle") != ["wanted"]:
                    await asyncio.sleep(0)
            placing.cancel()
            with suppress(asyncio.CancelledError):
                await placing

    call(redis_url, work)
