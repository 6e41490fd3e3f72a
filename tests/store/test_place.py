"""Placing: order, capacity, and what is never placed on."""

import asyncio

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.coordinator.placement import plan
from farm.coordinator.waiting import dealt_blind
from farm.store.leadership import NotLeader
from farm.store.placement import PlacementStore
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    call,
    inbox_ids,
    lead,
    leader,
    plant_host,
    plant_jobs,
    queue_ids,
)

SUSPECT_AFTER = 3.0


def place(url: str, order: list[int] | None = None, value: str = "1:token:planted"):
    """Places by a plan over all hosts, sorted by name; without one by the policy's own plan."""

    async def work(client):
        store = PlacementStore(client, KEYS, RQ_KEYS)
        survey = await store.survey()
        chosen = plan(survey.hosts, dealt_blind(survey.waiting)).order if order is None else order
        return await store.place(leader(client, value), survey.hosts, chosen, SUSPECT_AFTER)

    return call(url, work)


@pytest.mark.every_engine
def test_ids_are_dealt_in_the_order_of_the_queue(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_host(redis_client, "b")
    plant_jobs(redis_client, "default", "1", "2", "3", "4")

    placed = place(redis_url, [0, 1, 0])

    assert placed.on_host == {"a": 2, "b": 1}
    assert placed.from_queue == {"default": 3}
    assert (inbox_ids(redis_client, "a"), inbox_ids(redis_client, "b")) == (["1", "3"], ["2"])
    assert queue_ids(redis_client) == ["4"]
    assert redis_client.llen(KEYS.host_bell("a")) == 1
    assert 0 < redis_client.ttl(KEYS.host_bell("a")) <= 60


def test_a_host_is_served_from_the_first_queue_of_its_own_list(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="high,low")
    plant_host(redis_client, "b", queues="low,high")
    plant_jobs(redis_client, "high", "h1", "h2")
    plant_jobs(redis_client, "low", "l1")

    place(redis_url, [0, 1, 0, 0])

    assert inbox_ids(redis_client, "a") == ["h1", "h2"]
    assert inbox_ids(redis_client, "b") == ["l1"]


def test_the_same_plan_again_does_not_exceed_the_capacity(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a", capacity=3)
    redis_client.hset(KEYS.running("a", identity), "running", "t|default|1|1|rerun|1")
    plant_jobs(redis_client, "default", *map(str, range(10)))

    first, second = place(redis_url, [0] * 5), place(redis_url, [0] * 5)

    assert (first.total, second.total) == (2, 0)
    assert inbox_ids(redis_client, "a") == ["0", "1"]
    assert queue_ids(redis_client) == [str(i) for i in range(2, 10)]


@pytest.mark.parametrize("why", ["silent", "fenced", "renamed", "full", "unpublished", "broken hash", "broken inbox"])
def test_nothing_is_placed_on_a_host_that_cannot_take_it(redis_client: redis.Redis, redis_url: str, why: str) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1")

    async def work(client):
        store = PlacementStore(client, KEYS, RQ_KEYS)
        survey = await store.survey()
        match why:
            case "silent":
                redis_client.zincrby(KEYS.hosts, -SUSPECT_AFTER, "a")
            case "fenced":
                redis_client.hdel(KEYS.identities, "a")
            case "renamed":
                redis_client.hset(KEYS.identities, "a", "2-other")
            case "full":
                redis_client.hset(KEYS.host("a"), "capacity", 0)
            case "unpublished":
                redis_client.delete(KEYS.host("a"))
            case "broken hash":
                redis_client.set(KEYS.host("a"), "x", ex=60)
            case "broken inbox":
                redis_client.set(KEYS.inbox("a", identity), "x", ex=60)
        return await store.place(leader(client), survey.hosts, [0], SUSPECT_AFTER)

    assert call(redis_url, work).total == 0
    assert queue_ids(redis_client) == ["1"]


def test_a_suspended_farm_places_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1")
    redis_client.set(RQ_KEYS.suspended, 1, ex=60)

    assert place(redis_url, [0]).total == 0
    assert queue_ids(redis_client) == ["1"]


def test_a_queue_of_the_wrong_type_is_skipped_and_named(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="broken,default")
    redis_client.set(RQ_KEYS.queue("broken"), "x")
    plant_jobs(redis_client, "default", "1")

    placed = place(redis_url, [0])

    assert placed.unreadable == ("broken",)
    assert inbox_ids(redis_client, "a") == ["1"]


def test_placed_jobs_leave_the_index_of_deferred_ones(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1", "2")
    redis_client.hset(KEYS.deferral("default"), "since", 1)
    redis_client.zadd(KEYS.deferred("default"), {"1": 1, "2": 1})

    place(redis_url, [0])

    assert redis_client.zrange(KEYS.deferred("default"), 0, -1) == [b"2"]


def test_a_coordinator_that_was_replaced_places_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client, "2:other:two")
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1")

    with pytest.raises(NotLeader):
        place(redis_url, [0])

    assert queue_ids(redis_client) == ["1"]


def test_a_survey_sees_hosts_and_queues_come_and_go(redis_client: redis.Redis, redis_url: str) -> None:
    async def work(client):
        store = PlacementStore(client, KEYS, RQ_KEYS)
        empty = await store.survey()
        plant_host(redis_client, "a", queues="one,two", load=0.25, boot_id="b")
        plant_jobs(redis_client, "three", "1")
        redis_client.zadd(KEYS.hosts, {"no-identity": 1})
        both = await store.survey()
        redis_client.zrem(KEYS.hosts, "a")
        gone = await store.survey()
        return empty, both, gone

    empty, both, gone = call(redis_url, work)

    assert (empty.hosts, empty.waiting) == ((), {})
    assert [(host.name, host.queues, host.load, host.room) for host in both.hosts] == [("a", ("one", "two"), 0.25, 4)]
    assert both.waiting == {"one": 0, "two": 0, "three": 1}
    assert (gone.hosts, gone.waiting) == ((), {"three": 1})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    capacities=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    jobs=st.integers(0, 30),
    plans=st.lists(st.lists(st.integers(0, 3), max_size=20), min_size=1, max_size=6),
)
def test_concurrent_plans_keep_order_and_capacity(
    redis_client: redis.Redis, redis_url: str, capacities: list[int], jobs: int, plans: list[list[int]]
) -> None:
    redis_client.flushdb()
    lead(redis_client)
    for number, capacity in enumerate(capacities):
        plant_host(redis_client, f"host{number}", capacity=capacity)
    ids = [f"{number:03}" for number in range(jobs)]
    for job_id in ids:
        redis_client.rpush(RQ_KEYS.queue("default"), job_id)

    async def work(client):
        store = PlacementStore(client, KEYS, RQ_KEYS)
        survey = await store.survey()
        valid = [[index for index in order if index < len(capacities)] for order in plans]
        calls = [store.place(leader(client), survey.hosts, order, SUSPECT_AFTER) for order in valid if order]
        return await asyncio.gather(*calls)

    placed = call(redis_url, work)

    inboxes = [inbox_ids(redis_client, f"host{number}") for number in range(len(capacities))]
    assert all(len(inbox) <= capacity for inbox, capacity in zip(inboxes, capacities, strict=True))
    assert all(inbox == sorted(inbox) for inbox in inboxes)
    total = sum(answer.total for answer in placed)
    assert sorted(job_id for inbox in inboxes for job_id in inbox) == ids[:total]
    assert queue_ids(redis_client) == ids[total:]
