"""A sole host's start goes on with its queues: what it gets of them, and when it gets nothing."""

import pytest
import redis
import redis.asyncio

from farm.store.execution import START_PAYLOAD_BYTES, Exchange, ExecutionStore, StartBatch, new_batch_name
from farm.store.hosts import HostStore, OwnQueues, Registration
from farm.store.leadership import NotLeader
from farm.store.placement import PlacementStore
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

WHO = Registration("a", "1-a")


def say_sole(url: str, *names: str, value: str = LEADER) -> None:
    async def work(client: redis.asyncio.Redis) -> None:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        hosts = [host for host in (await store.survey()).hosts if host.name in names]
        await store.reserve(leader(client, value), {}, hosts)

    call(url, work)


def start(url: str, limit: int, *queues: str, name: str = "") -> Exchange:
    async def work(client: redis.asyncio.Redis) -> Exchange:
        store = ExecutionStore(
            client,
            KEYS,
            RQ_KEYS,
            max_crashes=3,
            on_lost="rerun",
            on_lost_of_queues={},
            queues=queues or ("default",),
        )
        return await store.exchange(WHO, None, StartBatch(name or new_batch_name(), limit, from_queues=True), 0)

    return call(url, work)


def ids(exchange: Exchange) -> list[str]:
    return [job.job_id.decode() for job in exchange.started]


@pytest.fixture
def sole(redis_client: redis.Redis, redis_url: str) -> str:
    """The address of a farm whose only host, `a`, is sole, and holds four jobs at most."""
    lead(redis_client)
    plant_host(redis_client, "a")
    say_sole(redis_url, "a")
    return redis_url


def test_what_was_placed_comes_first_and_then_the_heads_of_the_queues(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "placed", "1", "2", "3", "4")
    redis_client.rpush(KEYS.inbox("a", "1-a"), redis_client.lpop(RQ_KEYS.queue("default")))

    first = start(sole, 3)

    assert ids(first) == ["placed", "1", "2"]
    assert first.waits
    assert queue_ids(redis_client) == ["3", "4"]
    assert set(redis_client.hkeys(KEYS.running("a", "1-a"))) == {b"placed", b"1", b"2"}


def test_a_host_that_is_full_with_what_was_placed_takes_nothing_before_that(
    sole: str, redis_client: redis.Redis
) -> None:
    plant_jobs(redis_client, "default", "placed 1", "placed 2", "1")
    for _ in range(2):
        redis_client.rpush(KEYS.inbox("a", "1-a"), redis_client.lpop(RQ_KEYS.queue("default")))

    one = start(sole, 1)

    assert (ids(one), one.inbox, one.waits) == (["placed 1"], 1, False)
    assert queue_ids(redis_client) == ["1"]


def test_no_more_is_held_than_the_host_published(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", *map(str, range(9)))

    first, second = start(sole, 3), start(sole, 3)

    assert (ids(first), ids(second)) == (["0", "1", "2"], ["3"])
    assert second.waits


def test_the_queues_come_in_the_order_of_the_host(sole: str, redis_client: redis.Redis) -> None:
    for queue in ("p", "q", "r"):
        plant_jobs(redis_client, queue, f"{queue}1", f"{queue}2")

    assert ids(start(sole, 3, "r", "p", "q")) == ["r1", "r2", "p1"]
    last = start(sole, 1, "r", "p", "q")
    assert (ids(last), last.waits) == (["p2"], True)


def test_who_took_all_is_told_that_nothing_waits(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2")

    assert not start(sole, 2).waits


def test_the_same_request_again_brings_the_same_jobs_and_takes_no_others(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2", "3")
    name = new_batch_name()

    first, again = start(sole, 1, name=name), start(sole, 1, name=name)

    assert [job.token for job in again.started] == [job.token for job in first.started]
    assert queue_ids(redis_client) == ["2", "3"]


def test_what_is_taken_is_no_longer_in_the_index_of_a_deferred_queue(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2")
    redis_client.hset(KEYS.deferral("default"), "since", 1)
    redis_client.zadd(KEYS.deferred("default"), {"1": 1, "2": 1})

    start(sole, 1)

    assert redis_client.zrange(KEYS.deferred("default"), 0, -1) == [b"2"]


def test_a_start_ends_after_so_many_bytes_and_leaves_the_rest_where_it_was(
    sole: str, redis_client: redis.Redis
) -> None:
    plant_jobs(redis_client, "default", "1", "2", "3", data=b"x" * (START_PAYLOAD_BYTES * 2 // 3))

    exchange = start(sole, 3)

    assert ids(exchange) == ["1", "2"]
    assert exchange.waits
    assert queue_ids(redis_client) == ["3"]


@pytest.mark.parametrize(
    ("field", "value"), [("state", "full"), ("state", "draining"), ("capacity", "0"), ("capacity", "")]
)
def test_a_host_that_takes_nothing_now_gets_nothing(
    sole: str, redis_client: redis.Redis, field: str, value: str
) -> None:
    redis_client.hset(KEYS.host("a"), field, value)
    plant_jobs(redis_client, "default", "1")

    assert ids(start(sole, 1)) == []
    assert queue_ids(redis_client) == ["1"]


def test_a_suspended_farm_gives_nothing(sole: str, redis_client: redis.Redis) -> None:
    redis_client.set(RQ_KEYS.suspended, 1)
    plant_jobs(redis_client, "default", "1")

    exchange = start(sole, 1)

    assert (ids(exchange), exchange.waits) == ([], False)


def test_a_host_that_is_not_sole_gets_nothing_of_its_queues(sole: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1")

    for owner in (None, "1-before"):
        redis_client.delete(KEYS.sole)
        if owner:
            redis_client.hset(KEYS.sole, "a", owner)
        exchange = start(sole, 1)
        assert (ids(exchange), exchange.waits) == ([], False)
    redis_client.delete(KEYS.sole)


@pytest.mark.parametrize("is_list", [True, False])
def test_a_key_that_is_no_list_is_passed_over(sole: str, redis_client: redis.Redis, is_list: bool) -> None:
    redis_client.set(RQ_KEYS.queue("p"), "text")
    if not is_list:
        redis_client.delete(KEYS.sole)
        redis_client.set(KEYS.sole, "text", ex=60)
    plant_jobs(redis_client, "q", "1")

    assert ids(start(sole, 2, "p", "q")) == (["1"] if is_list else [])


def test_hosts_that_are_sole_and_those_that_were_are_told(sole: str, redis_client: redis.Redis) -> None:
    async def work(client: redis.asyncio.Redis) -> list[bool]:
        placement, hosts = PlacementStore(client, KEYS, RQ_KEYS), HostStore(client, KEYS, RQ_KEYS, 10.0)
        views = list((await placement.survey()).hosts)
        told = []
        for sole_hosts in (views, []):
            redis_client.delete(KEYS.host_bell("a"))
            await placement.reserve(leader(client), {}, sole_hosts)
            assert redis_client.lrange(KEYS.host_bell("a"), 0, -1) == [b"reserved"]
            own = await hosts.own_queues(WHO)
            answer = await hosts.beat(WHO, {"load": 0.0, "state": "available", "capacity": 4}, "idle", campaigns=False)
            assert answer.own == own
            told.append(own.is_sole)
        assert own == OwnQueues()
        return told

    assert call(sole, work) == [True, False]
    assert not redis_client.exists(KEYS.sole)


def test_a_host_that_is_sole_as_before_is_not_told_again(sole: str, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "b", queues="other")

    async def work(client: redis.asyncio.Redis) -> None:
        placement = PlacementStore(client, KEYS, RQ_KEYS)
        first, second = (await placement.survey()).hosts
        await placement.reserve(leader(client), {}, [first])
        redis_client.delete(KEYS.host_bell("a"))
        await placement.reserve(leader(client), {}, [first, second])

    call(sole, work)
    assert not redis_client.exists(KEYS.host_bell("a"))
    assert redis_client.lrange(KEYS.host_bell("b"), 0, -1) == [b"reserved"]


def test_who_leads_no_more_says_nothing(sole: str, redis_client: redis.Redis) -> None:
    lead(redis_client, "2:token:another")
    plant_host(redis_client, "b", queues="other")

    with pytest.raises(NotLeader):
        say_sole(sole, "b")

    assert redis_client.hgetall(KEYS.sole) == {b"a": b"1-a"}
    assert inbox_ids(redis_client, "a") == []
