"""A host's life in Redis: one identity a name, a beat that renews only what is its own, a clean goodbye."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis
from rq import Worker

from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.records import Lease, iso_now
from farm.store.connection import connect_async
from farm.store.hosts import HostStore, NameTaken, Registration

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()
RECORD = {"load": 0.25, "capacity": 2, "state": "available", "pid": 4711, "hostname": "box", "boot_id": "boot"}


def run(url: str, body: Callable[[HostStore], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as client:
            await body(HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0))

    asyncio.run(scenario())


async def registered(store: HostStore, name: str = "one") -> Registration:
    who = await store.register(name)
    assert isinstance(who, Registration)
    return who


def grow_old(client: redis.Redis, name: str = "one") -> None:
    client.zincrby(KEYS.hosts, -11, name)


def test_a_name_that_beats_is_taken_and_its_holder_is_told(redis_url: str) -> None:
    async def body(store: HostStore) -> None:
        await store.beat(await registered(store), RECORD, "idle", campaigns=False)
        taken = await store.register("one")
        assert isinstance(taken, NameTaken)
        assert (taken.pid, taken.hostname, taken.boot_id) == (4711, "box", "boot")

    run(redis_url, body)


def test_a_name_whose_process_is_known_to_be_dead_is_taken_over_at_once(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        first = await registered(store)
        await store.beat(first, RECORD, "idle", campaigns=False)
        assert isinstance(await store.register("one", dead_pid=1), NameTaken), "another pid proves nothing"
        second = await store.register("one", dead_pid=4711)
        assert isinstance(second, Registration)
        assert second.identity.split("-")[0] == "2"
        assert redis_client.zrange(KEYS.lost, 0, -1) == [f"one:{first.identity}".encode()]

    run(redis_url, body)


def test_a_silent_name_is_given_anew_and_the_old_identity_is_lost(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        first = await registered(store)
        grow_old(redis_client)
        second = await registered(store)
        assert first.identity != second.identity
        with pytest.raises(HostFenced):
            await store.beat(first, RECORD, "idle", campaigns=False)

    run(redis_url, body)


def test_a_beat_publishes_the_host_and_counts_what_is_assigned(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        redis_client.rpush(KEYS.inbox("one", who.identity), "a", "b")
        redis_client.hset(KEYS.running("one", who.identity), "c", "lease")
        answer = await store.beat(who, RECORD, "busy", campaigns=False)
        assert (answer.inbox, answer.leader, answer.campaign_won) == (2, "", False)
        assert redis_client.hget(KEYS.host("one"), "assigned") == b"3"
        assert redis_client.zrange(KEYS.load, 0, -1, withscores=True) == [(b"one", 0.25)]
        assert 0 < redis_client.ttl(KEYS.host("one")) <= 60

    run(redis_url, body)


def test_a_beat_renews_a_lease_that_nobody_took_away_however_late_it_comes(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        grow_old(redis_client)
        before = redis_client.zscore(KEYS.hosts, "one")
        await store.beat(who, RECORD, "idle", campaigns=False)
        assert redis_client.zscore(KEYS.hosts, "one") > before + 10

    run(redis_url, body)


def test_a_beat_of_a_lease_that_was_taken_away_is_refused_and_writes_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        redis_client.hdel(KEYS.identities, "one")
        before = redis_client.zscore(KEYS.hosts, "one")
        with pytest.raises(HostFenced):
            await store.beat(who, RECORD, "idle", campaigns=False)
        assert redis_client.zscore(KEYS.hosts, "one") == before
        assert not redis_client.exists(KEYS.host("one"))

    run(redis_url, body)


def test_one_of_many_hosts_wins_the_campaign_while_nobody_leads(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        hosts = [await registered(store, f"host-{number}") for number in range(5)]
        answers = [await store.beat(who, RECORD, "idle", campaigns=True) for who in hosts]
        assert [answer.campaign_won for answer in answers].count(True) == 1
        redis_client.set(KEYS.coordinator, "1:token:leader", px=3000)
        redis_client.delete(KEYS.campaign)
        answer = await store.beat(hosts[0], RECORD, "idle", campaigns=True)
        assert (answer.leader, answer.campaign_won) == ("leader", False)

    run(redis_url, body)


def test_a_beat_rings_for_room_only_while_there_is_some(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        await store.beat(who, RECORD | {"capacity": 0}, "idle", campaigns=False)
        assert redis_client.llen(KEYS.room) == 0
        redis_client.rpush(KEYS.inbox("one", who.identity), "a", "b")
        await store.beat(who, RECORD, "busy", campaigns=False)
        assert redis_client.llen(KEYS.room) == 0, "it holds as much as it may"
        redis_client.delete(KEYS.inbox("one", who.identity))
        for _ in range(3):
            await store.beat(who, RECORD, "idle", campaigns=False)
        assert redis_client.llen(KEYS.room) == 1

    run(redis_url, body)


def test_a_beat_rings_the_coordinator_when_the_state_changed_and_not_again(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        for state in ("available", "draining", "available"):
            await store.beat(who, RECORD | {"state": state}, "idle", campaigns=False)
            assert redis_client.llen(KEYS.bell) == 1, state
            redis_client.delete(KEYS.bell)
            await store.beat(who, RECORD | {"state": state}, "idle", campaigns=False)
            assert redis_client.llen(KEYS.bell) == 0, f"it was {state} before"

    run(redis_url, body)


def test_a_beat_says_which_queues_are_reserved_for_this_registration(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        owners = {"mine": f"one|{who.identity}", "of-an-older-one": "one|0-old", "of-another": f"two|{who.identity}"}
        redis_client.hset(KEYS.reserved, mapping=owners)
        redis_client.expire(KEYS.reserved, 60)
        answer = await store.beat(who, RECORD, "idle", campaigns=False)
        assert answer.own.reserved == {"mine"}

    run(redis_url, body)


def test_a_beat_goes_on_where_the_key_of_the_reserved_queues_is_of_the_wrong_type(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        redis_client.set(KEYS.reserved, "x", ex=60)
        answer = await store.beat(await registered(store), RECORD, "idle", campaigns=False)
        assert answer.own.reserved == frozenset()

    run(redis_url, body)


def test_what_operators_want_comes_back_with_the_beat(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore) -> None:
        who = await registered(store)
        redis_client.hset(KEYS.desired("one"), "drain", "1")
        answer = await store.beat(who, RECORD, "idle", campaigns=False)
        assert answer.desired == {"drain": "1"}

    run(redis_url, body)


def test_rq_sees_the_host_as_a_worker_until_it_leaves(redis_url: str, redis_client: redis.Redis) -> None:
    record = {"birth": iso_now(), "last_heartbeat": iso_now(), "queues": "high,low", "pid": 1, "state": "idle"}

    async def body(store: HostStore) -> None:
        who = await registered(store)
        await store.write_rq_record("one", ["high", "low"], record)
        answer = await store.beat(who, RECORD, "busy", campaigns=False)
        assert answer.rq_record_present
        (worker,) = Worker.all(connection=redis_client)
        assert (worker.name, worker.get_state(), sorted(worker.queue_names())) == ("one", "busy", ["high", "low"])
        await store.leave(who)
        await store.remove_rq_record("one", ["high", "low"])
        assert Worker.all(connection=redis_client) == []

    run(redis_url, body)


def test_a_clean_goodbye_leaves_nothing_and_one_with_jobs_leaves_them_to_be_recovered(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        clean, laden = await registered(store, "clean"), await registered(store, "laden")
        redis_client.rpush(KEYS.inbox("laden", laden.identity), "job")
        for who in (clean, laden):
            await store.beat(who, RECORD, "idle", campaigns=False)
            await store.leave(who)
        assert redis_client.zrange(KEYS.lost, 0, -1) == [f"laden:{laden.identity}".encode()]
        assert (
            redis_client.hlen(KEYS.identities) == redis_client.zcard(KEYS.hosts) == redis_client.zcard(KEYS.load) == 0
        )

    run(redis_url, body)


@pytest.mark.parametrize("queue", ["default", "a|b", "odd|", "|", "ü"])
def test_a_lease_is_read_back_as_it_was_written_whatever_its_queue_is_called(queue: str) -> None:
    assert Lease.parse(f"{'a' * 32}|{queue}|2|1700000000|fail|9") == Lease("a" * 32, queue, 2, 1700000000, "fail", 9)


def test_a_registration_whose_reply_was_lost_is_repeated(redis_url: str, redis_client: redis.Redis) -> None:
    async def scenario() -> None:
        async with connect_async(redis_url) as client:
            store = HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0)
            await registered(store, "zero")  # loads the script
            send = client.evalsha

            async def lose_the_reply(*arguments: object) -> None:
                await send(*arguments)
                raise redis.TimeoutError("no reply")

            client.evalsha = lose_the_reply  # type: ignore[method-assign]
            with pytest.raises(redis.TimeoutError):
                await store.register("one")
            client.evalsha = send  # type: ignore[method-assign]
            who = await registered(store)
            assert redis_client.hget(KEYS.identities, "one") == who.identity.encode()
            assert redis_client.hget(KEYS.epochs, "one") == b"1"
            assert isinstance(await store.register("one"), NameTaken), "only the one that is in doubt is repeated"

    asyncio.run(scenario())


def test_a_beat_is_accepted_by_a_full_server_that_knows_no_script_flags(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore) -> None:
        store._scripts._flags = False
        who = await registered(store)
        await store.beat(who, RECORD, "idle", campaigns=False)
        redis_client.config_set("maxmemory", 1)
        try:
            await store.beat(who, RECORD, "idle", campaigns=False)
        finally:
            redis_client.config_set("maxmemory", 0)

    run(redis_url, body)
