"""Connections cut at any byte, replies that come late, in drops, or not at all: each effect is there exactly once."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import redis
from rq import Queue

from farm.keys import Keys, RqKeys
from farm.store.connection import CONNECTION_LOST, LOOP_ANSWER_TIMEOUT_SECONDS, connect, connect_async
from farm.store.execution import ExecutionStore, FinishBatch, StartBatch
from farm.store.hosts import HostStore, Registration
from tests.support.farm import Farm
from tests.support.fault_proxy import FaultProxy
from tests.support.outcomes import ending
from tests.support.waiting import wait_out, wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
BATCHES = tuple(f"{number:024x}" for number in range(1, 4))


async def until_answered(call: Callable[[], Awaitable[Any]]) -> Any:
    """As the host does: the same call again, until Redis answers."""
    while True:
        try:
            return await call()
        except CONNECTION_LOST:
            continue


async def session(client: redis.asyncio.Redis) -> None:
    """All that a host does with jobs: starts three, ends two and starts a fourth, hands the rest back, leaves."""
    hosts = HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0)
    store = ExecutionStore(client, KEYS, RQ_KEYS, max_crashes=3, on_lost="rerun", on_lost_of_queues={})
    who = await until_answered(lambda: hosts.register("one"))
    assert isinstance(who, Registration)
    with connect(client.direct_url) as direct:  # type: ignore[attr-defined]  # what the coordinator does meanwhile
        for _ in range(5):
            direct.lmove(RQ_KEYS.queue("default"), KEYS.inbox(who.host, who.identity), "LEFT", "RIGHT")
    begun = await until_answered(lambda: store.exchange(who, None, StartBatch(BATCHES[0], 3), 5))
    first, second, third = begun.started
    endings = [
        ending(first.job_id, first.token, result=b"1", ttl=500),
        ending(second.job_id, second.token, "failed", result_type=2, error=b"eJwDAAAAAAE=", ttl=500),
    ]
    finish = FinishBatch(1, BATCHES[1], endings)
    more = await until_answered(lambda: store.exchange(who, finish, StartBatch(BATCHES[2], 1), 2))
    assert list(more.answers) == ["finished", "failed"]
    (fourth,) = more.started
    held = [(job.job_id, job.token) for job in (third, fourth)]
    await until_answered(lambda: store.hand_back(who, held, 10))
    await until_answered(lambda: hosts.leave(who))


def state(client: redis.Redis) -> dict[str, Any]:
    """All that may not depend on whether a connection was cut."""
    jobs = sorted(key for key in client.keys("rq:job:*"))
    return {
        "queue": client.lrange(RQ_KEYS.queue("default"), 0, -1),
        "jobs": {key: client.hmget(key, "status", "worker_name", "farm_losses", "farm_crashes") for key in jobs},
        "results": {key: client.xlen(key) for key in client.keys("rq:results:*")},
        "counts": client.hgetall(KEYS.counts("default")),
        "finished": client.zrange(RQ_KEYS.finished("default"), 0, -1),
        "failed": client.zrange("rq:failed:default", 0, -1),
        "left": sorted(client.keys("farm:host:*")),
        "identities": client.hkeys(KEYS.identities),
        "lost": client.zrange(KEYS.lost, 0, -1),
        "epoch": client.hget(KEYS.epochs, "one"),
        "events": [fields[b"event"] for _, fields in client.xrange(KEYS.events)],
    }


class Bench:
    """Runs the session again and again, each time with another fault."""

    def __init__(self, url: str, client: redis.Redis, proxy: FaultProxy) -> None:
        self._url = url
        self._client = client
        self.proxy = proxy

    def run(self, fault: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """The state after a session in which `fault` was planned at its beginning."""
        self._client.flushdb()
        queue = Queue("default", connection=self._client)
        queue.enqueue_many([Queue.prepare_data("time.time", (), job_id=f"job-{number}") for number in range(5)])

        async def scenario() -> None:
            client = connect_async(self.proxy.url)
            client.direct_url = self._url  # type: ignore[attr-defined]
            fault()
            try:
                async with asyncio.timeout(20):
                    await session(client)
            finally:
                await client.aclose()

        asyncio.run(scenario())
        return state(self._client)


@pytest.fixture
def bench(redis_url: str, redis_client: redis.Redis) -> Iterator[Bench]:
    with FaultProxy(redis_url) as proxy:
        yield Bench(redis_url, redis_client, proxy)


def offsets(count: int, samples: int) -> Sequence[int]:
    return sorted({0, count - 1, *random.Random(34).sample(range(count), min(count, samples))})


def cut_everywhere(bench: Bench, samples: int) -> None:
    """At `samples` bytes of requests, and as many of replies; all of them if there are fewer."""
    bench.run()  # from here on the server knows the scripts
    replied_before, bench.proxy.record = bench.proxy.replied, True
    expected = bench.run()
    requests, replies = len(bench.proxy.requests), bench.proxy.replied - replied_before
    bench.proxy.record = False
    assert expected["counts"] == {b"finished": b"1", b"failed": b"1"}
    assert [len(expected[name]) for name in ("queue", "left", "lost")] == [3, 0, 0]
    for plan, length in ((bench.proxy.cut_request_at, requests), (bench.proxy.cut_reply_at, replies)):
        for offset in offsets(length, samples):
            found = bench.run(lambda plan=plan, offset=offset: plan(offset))  # type: ignore[misc]
            assert found == expected, f"{plan.__name__}({offset}) of {length}"
    assert bench.proxy.cuts > 0


def test_a_cut_at_any_byte_leaves_each_effect_exactly_once(bench: Bench) -> None:
    cut_everywhere(bench, samples=40)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cut_at_any_of_a_thousand_bytes_leaves_each_effect_exactly_once(bench: Bench) -> None:
    """With `samples=10**6` it is every single byte, and takes some minutes more."""
    cut_everywhere(bench, samples=500)


def test_a_dripping_connection_gets_the_same_answers(bench: Bench) -> None:
    expected = bench.run()
    bench.proxy.drip = 0.00001
    assert bench.run() == expected


def test_a_reply_that_comes_too_late_is_never_taken_for_that_of_the_next_command(bench: Bench) -> None:
    async def scenario() -> list[Any]:
        client = connect_async(bench.proxy.url)
        await client.set("test:first", "first")
        await client.set("test:second", "second")
        bench.proxy.reply_delay = LOOP_ANSWER_TIMEOUT_SECONDS + 0.5
        with pytest.raises(redis.TimeoutError):
            await client.get("test:first")
        bench.proxy.reply_delay = 0.0
        answers = [await client.get("test:second") for _ in range(5)]
        await asyncio.sleep(1)
        answers += await asyncio.gather(*(client.get("test:second") for _ in range(5)))
        await client.aclose()
        return answers

    assert asyncio.run(scenario()) == [b"second"] * 10


def test_no_client_repeats_a_command_by_itself(bench: Bench, redis_client: redis.Redis) -> None:
    bench.proxy.cut_reply_at(0, containing=b"test:once")
    with connect(bench.proxy.url) as client, pytest.raises(CONNECTION_LOST):
        client.rpush("test:once", 1)

    async def scenario() -> None:
        client = connect_async(bench.proxy.url)
        bench.proxy.cut_reply_at(0, containing=b"test:once")
        with pytest.raises(CONNECTION_LOST):
            await client.rpush("test:once", 2)
        pipeline = client.pipeline(transaction=False)
        pipeline.rpush("test:once", 3)
        bench.proxy.cut_reply_at(0, containing=b"test:once")
        with pytest.raises(CONNECTION_LOST):
            await pipeline.execute()
        await client.aclose()

    asyncio.run(scenario())
    assert redis_client.lrange("test:once", 0, -1) == [b"1", b"2", b"3"]


def hosts_after_random_cuts(farm: Farm, proxy: FaultProxy, cuts: int) -> float:
    """Cuts all connections again and again amid jobs. Returns how long the next job waits at most."""
    farm.host("one", processes=2, redis_url=proxy.url)
    drawn = random.Random(36)
    total = 0
    for _ in range(cuts):
        if farm.redis.llen(RQ_KEYS.queue("default")) < 20:
            farm.enqueue_many("pause", [(0.005,)] * 40)
            total += 40
        proxy.cut()
        wait_out(drawn.uniform(0, 0.15))
    wait_until(lambda: farm.count("finished") == total, "all jobs are finished", 40)
    assert farm.redis.zcard(RQ_KEYS.finished("default")) == total
    assert not farm.redis.keys("farm:host:one:*:running")
    began = time.monotonic()
    farm.wait_for(farm.enqueue("add", 1, 2))
    return time.monotonic() - began


@pytest.mark.slow
def test_two_hundred_cuts_at_random_moments_lose_nothing_and_the_host_claims_at_once_after_them(
    farm: Farm, proxy_to: Callable[[str], FaultProxy]
) -> None:
    assert hosts_after_random_cuts(farm, proxy_to(farm.url), cuts=200) < 2
