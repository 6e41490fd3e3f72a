"""Networks that swallow: half-open connections, partitions, a host or a coordinator that is cut off."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from farm.keys import Keys, RqKeys
from farm.store.commands import commands
from farm.store.connection import connect, connect_async
from farm.store.scripts import source
from tests.support.effects import runs, wait_for_runs
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_out, wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
NOTICE_SECONDS = 8.0
"""Two times 3 s of silence, and a little."""


@pytest.mark.slow
def test_a_host_notices_half_open_connections_and_goes_on_with_new_ones(
    farm: Farm, proxy_to: Callable[[str], FaultProxy], effects: Path
) -> None:
    proxy = proxy_to(farm.url)
    host = farm.host("one", redis_url=proxy.url)
    identity = farm.published("one")["identity"]
    job = farm.enqueue("mark_and_pause", 6.0, str(effects))
    wait_for_runs(effects, 1)

    proxy.swallow()
    began = time.monotonic()
    wait_until(lambda: "Redis is away" in host.says, "the host notices", NOTICE_SECONDS)
    proxy.forward()  # connections that lost bytes stay dead
    farm.wait_for(farm.enqueue("add", 1, 2), job)

    assert time.monotonic() - began < 20
    assert farm.published("one")["identity"] == identity
    assert runs(effects) == [1]
    wait_until(lambda: "Redis is back after" in host.says, "the host says so")
    assert host.says.count("Redis is back after") == 1


def test_commands_reach_a_host_again_after_its_subscription_went_dead_silently(
    redis_url: str, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(redis_url)

    async def scenario() -> None:
        client = connect_async(proxy.url)
        listening = asyncio.create_task(anext(commands(client, "rq:pubsub:one")))
        with connect(redis_url) as other:
            await asyncio.to_thread(
                wait_until, lambda: other.pubsub_numsub("rq:pubsub:one")[0][1] == 1, "it is subscribed"
            )
        proxy.swallow()
        with pytest.raises(redis.TimeoutError):
            await asyncio.wait_for(listening, NOTICE_SECONDS)
        await client.aclose()

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_subscription_without_commands_stays(redis_url: str) -> None:
    async def scenario() -> dict[str, object]:
        client = connect_async(redis_url)
        listening = asyncio.create_task(anext(commands(client, "rq:pubsub:one")))
        await asyncio.sleep(5.0)  # two times it asks whether somebody is there
        with connect(redis_url) as other:
            other.publish("rq:pubsub:one", '{"command": "shutdown"}')
        command = await asyncio.wait_for(listening, 5)
        await client.aclose()
        return command

    assert asyncio.run(scenario()) == {"command": "shutdown"}


@pytest.mark.slow
def test_a_partition_of_five_seconds_places_nothing_anew(
    farm: Farm, proxy_to: Callable[[str], FaultProxy], effects: Path
) -> None:
    proxy = proxy_to(farm.url)
    farm.coordinator()
    farm.host("one", redis_url=proxy.url, standby_coordinator=False)
    farm.host("two", standby_coordinator=False)
    jobs = [farm.enqueue("mark_and_pause", 3.0, str(effects)) for _ in range(2)]
    wait_for_runs(effects, 2)

    proxy.hold()
    wait_out(5)
    proxy.forward()

    farm.wait_for(*jobs)
    assert runs(effects) == [1, 1]
    assert (farm.count("recovered"), farm.count("refused")) == (0, 0)
    assert {farm.fetch(job).worker_name for job in jobs} == {"one", "two"}


@pytest.mark.slow
def test_a_partition_that_outlasts_the_lease_has_the_job_run_elsewhere_and_its_late_outcome_refused(
    farm: Farm, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(farm.url)
    farm.coordinator(**SHORT_TIMES)
    one = farm.host("one", redis_url=proxy.url, standby_coordinator=False, **SHORT_TIMES)
    job = farm.enqueue("pause", 6.0)
    wait_until(lambda: farm.status(job) == "started", "the job runs")
    before = farm.published("one")["identity"]

    proxy.hold()
    farm.host("two", standby_coordinator=False, **SHORT_TIMES)
    farm.wait_for(job, timeout=30)
    wait_out(1)
    proxy.forward()

    farm.wait_for_identity_after(before, timeout=20)
    farm.wait_for_state("one", "available")
    assert farm.fetch(job).worker_name == "two"
    assert farm.redis.xlen(RQ_KEYS.results(job.id)) == 1
    assert (farm.count("finished"), farm.count("recovered")) == (1, 1)
    wait_until(lambda: "was given up" in one.says, "the host says so")
    assert one.says.count("was given up") == 1


@pytest.mark.slow
def test_hosts_go_on_while_the_coordinator_is_cut_off_and_another_takes_over(
    farm: Farm, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(farm.url)
    farm.coordinator(redis_url=proxy.url)
    leader = farm.wait_for_leader()
    farm.host("one", processes=2)
    jobs = farm.enqueue_many("note", [(str(number), 0.02) for number in range(150)])
    wait_until(lambda: len(farm.notes()) > 10, "jobs run")

    proxy.swallow()
    began = time.monotonic()
    new = wait_until(lambda: (now := farm.redis.get(KEYS.coordinator)) and now.decode() != leader, "another leads", 12)
    took = time.monotonic() - began
    proxy.forward()

    assert new
    assert took < 8, "3 s for the key to go, the next beat, and the start of a process"
    farm.wait_for(*jobs)
    assert sorted(map(int, farm.notes())) == list(range(150))


def test_the_first_thing_that_redis_hears_after_an_outage_is_the_beat(
    farm: Farm, proxy_to: Callable[[str], FaultProxy]
) -> None:
    proxy = proxy_to(farm.url)
    farm.coordinator()
    host = farm.host("one", redis_url=proxy.url, standby_coordinator=False, processes=2)
    jobs = [farm.enqueue("pause", seconds) for seconds in (1.0, 1.5)]
    wait_until(lambda: farm.statuses(jobs) == ["started"] * 2, "both jobs run")

    proxy.refuse()
    wait_until(lambda: "Redis is away" in host.says, "the host says so")
    wait_out(2)  # both jobs end meanwhile
    proxy.requests.clear()
    proxy.record = True
    proxy.forward()
    farm.wait_for(*jobs)

    beat, finish = (proxy.requests.index(source(name, flags=True)[1].encode()) for name in ("beat", "finish"))
    assert beat < finish
    assert b"BLPOP" not in proxy.requests[:beat]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sixty_seconds_without_redis_stop_no_job(
    farm: Farm, proxy_to: Callable[[str], FaultProxy], effects: Path
) -> None:
    """All are cut off alike, as when Redis is away: nobody gives anybody up."""
    proxy = proxy_to(farm.url)
    hosts = [farm.host(name, redis_url=proxy.url) for name in ("one", "two")]
    jobs = [farm.enqueue("mark_and_pause", 120.0, str(effects)) for _ in range(2)]
    wait_for_runs(effects, 2)

    proxy.refuse()
    wait_out(60)
    proxy.forward()

    farm.wait_for(*jobs, timeout=90)
    assert runs(effects) == [1, 1]
    assert [host.says.count("was given up") for host in hosts] == [0, 0]
