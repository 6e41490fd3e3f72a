"""Jobs that only some hosts may have: nobody takes them blindly, and named ones are placed wherever they stand."""

import pytest
import redis
import redis.asyncio

from farm.store.front import FrontReader, Look, Seen, SeenJob
from farm.store.leadership import NotLeader
from farm.store.placement import Placed, PlacementStore
from farm.store.survey import Survey
from tests.store.test_sole import ids, say_sole, start
from tests.store.test_take import reserve, take
from tests.support.coordinated import (
    KEYS,
    LEADER,
    RQ_KEYS,
    call,
    inbox_ids,
    lead,
    leader,
    plant_host,
    plant_jobs,
    queue_ids,
)

pytestmark = pytest.mark.every_engine


def survey(url: str) -> Survey:
    return call(url, lambda client: PlacementStore(client, KEYS, RQ_KEYS).survey())


def place(url: str, order: list[int]) -> Placed:
    async def work(client: redis.asyncio.Redis) -> Placed:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        return await store.place(leader(client), (await store.survey()).hosts, order, 3.0)

    return call(url, work)


def assign(url: str, *assigned: tuple[str, bytes, int], value: str = LEADER) -> list[bool]:
    async def work(client: redis.asyncio.Redis) -> list[bool]:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        return await store.assign(leader(client, value), (await store.survey()).hosts, assigned, 3.0)

    return call(url, work)


@pytest.mark.parametrize("field", ["farm_requires", "farm_memory_mb", "farm_declined"])
def test_a_blind_deal_ends_before_a_job_that_only_some_hosts_may_have(
    redis_client: redis.Redis, redis_url: str, field: str
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="default,low", capacity=9)
    plant_jobs(redis_client, "default", "1", "2")
    plant_jobs(redis_client, "default", "particular", **{field: "5"})
    plant_jobs(redis_client, "default", "4")
    plant_jobs(redis_client, "low", "low")
    assert survey(redis_url).particular == frozenset()

    placed = place(redis_url, [0] * 5)

    assert (placed.from_queue, placed.particular) == ({"default": 2}, {"default"})
    assert inbox_ids(redis_client, "a") == ["1", "2"], "nor does the host get anything of a later queue"
    assert queue_ids(redis_client) == ["particular", "4"]
    assert survey(redis_url).particular == {"default"}


def test_hosts_leave_such_jobs_to_the_coordinator_and_wake_it(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", dequeue_strategy="default")
    reserve(redis_url, {"default": "a"})
    say_sole(redis_url, "a")
    plant_jobs(redis_client, "default", "1")
    plant_jobs(redis_client, "default", "particular", farm_requires="gpu")
    redis_client.delete(KEYS.bell)

    taken = take(redis_url, 4)

    assert [job.job_id for job in taken.started] == [b"1"]
    assert queue_ids(redis_client) == ["particular"]
    assert redis_client.delete(KEYS.bell) == 1
    exchange = start(redis_url, 4)
    assert (ids(exchange), exchange.waits) == ([], True)
    assert queue_ids(redis_client) == ["particular"]
    assert redis_client.delete(KEYS.bell) == 1


def test_a_particular_job_that_was_placed_here_starts(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "particular", farm_requires="gpu")
    assert assign(redis_url, ("default", b"particular", 0)) == [True]

    assert ids(start(redis_url, 4)) == ["particular"]


def test_named_jobs_are_placed_wherever_they_stand(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="default,low")
    plant_host(redis_client, "b", queues="default", capacity=1)
    plant_jobs(redis_client, "default", "1", "2", "3", "4")
    plant_jobs(redis_client, "low", "l1", "l2")
    redis_client.zadd(KEYS.deferred("default"), {"2": 1, "3": 1})

    placed = assign(
        redis_url, ("default", b"3", 1), ("low", b"l2", 0), ("default", b"2", 0), ("default", b"4", 1), ("low", b"x", 0)
    )

    assert placed == [True, True, True, False, False], "the capacity is kept, and what is gone stays so"
    assert (inbox_ids(redis_client, "a"), inbox_ids(redis_client, "b")) == (["l2", "2"], ["3"])
    assert (queue_ids(redis_client), queue_ids(redis_client, "low")) == (["1", "4"], ["l1"])
    assert not redis_client.exists(KEYS.deferred("default"))
    assert redis_client.llen(KEYS.host_bell("a")) == redis_client.llen(KEYS.host_bell("b")) == 1


@pytest.mark.parametrize("why", ["another identity", "silent", "suspended", "no hash"])
def test_nothing_is_assigned_that_could_not_be_placed(redis_client: redis.Redis, redis_url: str, why: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", age=10.0 if why == "silent" else 0.0)
    plant_jobs(redis_client, "default", "1")
    hosts = survey(redis_url).hosts
    if why == "another identity":
        redis_client.hset(KEYS.identities, "a", "2-a")
    elif why == "suspended":
        redis_client.set(RQ_KEYS.suspended, 1, ex=60)
    elif why == "no hash":
        redis_client.delete(KEYS.host("a"))

    async def work(client: redis.asyncio.Redis) -> list[bool]:
        return await PlacementStore(client, KEYS, RQ_KEYS).assign(leader(client), hosts, [("default", b"1", 0)], 3.0)

    assert call(redis_url, work) == [False]
    assert queue_ids(redis_client) == ["1"]


def test_who_does_not_lead_assigns_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1")

    with pytest.raises(NotLeader):
        assign(redis_url, ("default", b"1", 0), value="0:other:one")
    assert queue_ids(redis_client) == ["1"]


def test_a_look_at_the_front_reads_what_is_asked_for(redis_client: redis.Redis, redis_url: str) -> None:
    plant_jobs(redis_client, "default", "1", description="shop.bill(7)")
    plant_jobs(redis_client, "default", "2", farm_requires="gpu,large", farm_memory_mb="4096", farm_declined="{}")
    redis_client.rpush(RQ_KEYS.queue("default"), "gone")
    redis_client.set(RQ_KEYS.job("text"), "no hash", ex=60)

    async def work(client: redis.asyncio.Redis) -> list[Seen]:
        looks = [("default", Look(2, 1, 9, (b"1", b"text"))), ("empty", Look(5, 0, 99)), ("default", Look(0, 0, -1))]
        return await FrontReader(client, RQ_KEYS).read(looks)

    first, empty, _ = call(redis_url, work)
    assert first.ids == (b"1", b"2")
    assert first.jobs == (SeenJob(b"2", "", "gpu,large", "4096", "{}"), SeenJob(b"gone", "", "", "", ""))
    assert first.others == (SeenJob(b"1", "shop.bill", "", "", ""), SeenJob(b"text", "", "", "", ""))
    assert (empty.ids, empty.jobs) == ((), ())
