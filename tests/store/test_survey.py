"""Looks at the farm: each reads what changed since the one before, and sees what a look at everything sees."""

import math
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from farm.keys import Keys
from farm.redis_server import RedisServer
from farm.store import survey
from farm.store.connection import connect
from farm.store.placement import PlacementStore
from tests.store.test_model import HOSTS, QUEUES, hosts
from tests.store.test_model_of_losses import FarmWithLosses
from tests.support.coordinated import KEYS, RQ_KEYS, call, lead, leader, now, plant_host, plant_jobs, plant_lease
from tests.support.shifted_clock import ShiftedClock, build_library
from tests.support.state_machine import run_model
from tests.support.waiting import wait_until

STATES = ("starting", "available", "full", "draining", "unhealthy")


@pytest.fixture
def only_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look reads everything only because the last one that did is old."""
    monkeypatch.setattr(survey, "WHOLE_SECONDS", math.inf)


def looks(url: str, *changes: Callable[[], Any]) -> list[survey.Survey]:
    """What one store sees before and after each of the changes."""

    async def work(client: redis.asyncio.Redis) -> list[survey.Survey]:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        seen = [await store.survey()]
        for change in changes:
            if isinstance(done := change(), Awaitable):
                await done
            seen.append(await store.survey())
        return seen

    return call(url, work)


def beat(client: redis.Redis, name: str, **fields: Any) -> None:
    """As a host's own beat: fields and time together."""
    client.hset(KEYS.host(name), mapping=fields)
    client.zadd(KEYS.hosts, {name: now(client)})


@pytest.mark.every_engine
@pytest.mark.usefixtures("only_news")
def test_a_beat_a_loss_and_a_return_are_seen_by_the_next_look(redis_client: redis.Redis, redis_url: str) -> None:
    plant_host(redis_client, "a")
    plant_host(redis_client, "b")

    def return_as_another() -> None:
        plant_host(redis_client, "b", queues="other")
        redis_client.hset(KEYS.identities, "b", "2-b")

    seen = looks(
        redis_url,
        lambda: beat(redis_client, "a", state="full", load=0.9),
        lambda: (redis_client.zrem(KEYS.hosts, "b"), redis_client.hdel(KEYS.identities, "b")),
        return_as_another,
        lambda: plant_host(redis_client, "aa"),
    )

    assert [[(host.name, host.identity, host.state) for host in one.hosts] for one in seen] == [
        [("a", "1-a", "available"), ("b", "1-b", "available")],
        [("a", "1-a", "full"), ("b", "1-b", "available")],
        [("a", "1-a", "full")],
        [("a", "1-a", "full"), ("b", "2-b", "available")],
        [("a", "1-a", "full"), ("aa", "1-aa", "available"), ("b", "2-b", "available")],
    ]
    assert seen[3].hosts[1].queues == ("other",)


@pytest.mark.usefixtures("only_news")
def test_one_that_leaves_while_another_joins_is_gone(redis_client: redis.Redis, redis_url: str) -> None:
    plant_host(redis_client, "a")

    seen = looks(redis_url, lambda: (redis_client.zrem(KEYS.hosts, "a"), plant_host(redis_client, "b")))

    assert [host.name for host in seen[1].hosts] == ["b"]


@pytest.mark.usefixtures("only_news")
def test_how_many_jobs_a_host_holds_is_known_between_its_beats(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_host(redis_client, "b")
    plant_jobs(redis_client, "default", "1", "2")
    held: list[list[int]] = []

    async def work(client: redis.asyncio.Redis) -> None:
        store = PlacementStore(client, KEYS, RQ_KEYS)

        async def look() -> survey.Survey:
            seen = await store.survey()
            held.append([host.held for host in seen.hosts])
            return seen

        first = await look()
        await store.place(leader(client), first.hosts[:1], [0, 0], 3.0)
        await look()
        redis_client.lpop(KEYS.inbox("a", "1-a"))
        await look()
        plant_lease(redis_client, "a", "1-a", "2", 1)
        redis_client.delete(KEYS.inbox("a", "1-a"))
        await look()
        redis_client.delete(KEYS.running("a", "1-a"))
        await store.reserve(leader(client), {"default": first.hosts[1]}, [])
        await look()
        redis_client.rpush(KEYS.inbox("b", "1-b"), "3")
        await look()
        redis_client.delete(KEYS.inbox("b", "1-b"))
        await look()
        redis_client.rpush(KEYS.inbox("b", "1-b"), "4")
        await store.reserve(leader(client), {"default": first.hosts[0]}, [])
        await look()

    call(redis_url, work)
    assert held == [[0, 0], [2, 0], [1, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 1]]


@pytest.mark.usefixtures("only_news")
def test_a_placement_whose_answer_is_lost_is_seen(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_jobs(redis_client, "default", "1")

    async def work(client: redis.asyncio.Redis) -> list[int]:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        scripts, first = leader(client), await store.survey()
        run = scripts.run

        async def run_and_lose(*given: Any) -> None:
            await run(*given)
            raise redis.ConnectionError("lost")

        scripts.run = run_and_lose  # type: ignore[method-assign]
        with pytest.raises(redis.ConnectionError):
            await store.place(scripts, first.hosts, [0], 3.0)
        return [host.held for host in (await store.survey()).hosts]

    assert call(redis_url, work) == [1]


@pytest.mark.usefixtures("only_news")
def test_a_host_that_did_not_beat_is_not_read_again(redis_client: redis.Redis, redis_url: str) -> None:
    """Or a look would cost as much as the farm is large."""
    plant_host(redis_client, "a")
    plant_host(redis_client, "b")

    def change_and_beat_one() -> None:
        redis_client.hset(KEYS.host("b"), "load", 0.5)
        beat(redis_client, "a", load=0.5)

    seen = looks(redis_url, change_and_beat_one)

    assert [host.load for host in seen[1].hosts] == [0.5, 0.0]


def test_what_no_beat_told_is_seen_after_a_while(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "WHOLE_SECONDS", 0.0)
    plant_host(redis_client, "a")

    seen = looks(redis_url, lambda: redis_client.hset(KEYS.host("a"), "load", 0.5))

    assert [one.hosts[0].load for one in seen] == [0.0, 0.5]


@pytest.mark.usefixtures("only_news")
def test_one_who_leads_again_looks_at_everything(redis_client: redis.Redis, redis_url: str) -> None:
    plant_host(redis_client, "a")

    async def work(client: redis.asyncio.Redis) -> list[tuple[float, int]]:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        await store.survey()
        redis_client.hset(KEYS.host("a"), "load", 0.5)
        redis_client.rpush(KEYS.inbox("a", "1-a"), "1")
        store.begin()
        first = await store.survey()
        redis_client.delete(KEYS.inbox("a", "1-a"))
        second = await store.survey()
        return [(host.load, host.held) for host in (*first.hosts, *second.hosts)]

    assert call(redis_url, work) == [(0.5, 1), (0.5, 0)]


@pytest.mark.skipif(sys.platform != "linux", reason="the clock is shifted by LD_PRELOAD")
@pytest.mark.usefixtures("only_news")
def test_a_clock_of_redis_that_is_set_back_hides_no_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ShiftedClock(tmp_path, "redis", build_library(tmp_path))
    server = RedisServer(tmp_path / "shifted-redis")
    with monkeypatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        server.start()
    with server, connect(server.url) as client:
        plant_host(client, "a")

        def set_back_and_beat() -> None:
            before = now(client)
            clock.shift(-3600)
            wait_until(lambda: now(client) < before - 3000, "the clock of Redis is set back")
            beat(client, "a", load=0.5)

        seen = looks(server.url, set_back_and_beat, lambda: beat(client, "a", load=0.6))

    assert seen[1].now < seen[0].now - 3000
    assert [one.hosts[0].load for one in seen] == [0.0, 0.5, 0.6]


class LookedAtFarm(FarmWithLosses):
    """The model of the farm, whose coordinator looks after each of its steps."""

    jobs = FarmWithLosses.jobs

    def __init__(self) -> None:
        super().__init__()
        self.news = 0

    @rule(name=hosts, state=st.sampled_from(STATES), load=st.floats(0, 1), capacity=st.integers(0, 3))
    def beat(self, name: str, state: str, load: float, capacity: int) -> None:
        who = self.who[name]
        if who not in self.given_up:
            record = {"load": round(load, 3), "state": state, "slots": 2, "capacity": capacity}
            self.wait(self.host_store.beat(who, record | {"queues": ",".join(QUEUES)}, "idle", campaigns=False))

    @rule(name=hosts)
    def take_leases_again(self, name: str) -> None:
        """What a host without jobs took again is told by its beat."""
        super().take_leases_again(name)
        self.beat(name, "available", 0.0, 3)

    @invariant()
    def a_look_sees_what_a_look_at_everything_sees(self) -> None:
        seen = self.wait(self.placement.survey())
        everything = self.wait(PlacementStore(self.client, Keys(), RQ_KEYS).survey())
        assert seen.hosts == everything.hosts
        assert seen.waiting == everything.waiting
        assert len(seen.hosts) <= len(HOSTS)


@pytest.mark.keys_without_ttl("*")
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("only_news")
def test_a_look_at_what_changed_sees_what_a_look_at_everything_sees(redis_url: str) -> None:
    class Here(LookedAtFarm):
        url = redis_url

    run_model(Here, 15)
