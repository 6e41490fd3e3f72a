"""Redis that dies, stands still, or forgets: jobs go on, nothing is lost, and work resumes within seconds."""

import time
from pathlib import Path

import pytest

from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from tests.support.effects import jobs_begun, runs
from tests.support.farm import Farm
from tests.support.killed_redis import kill, standing_still
from tests.support.planted import plant_host
from tests.support.waiting import wait_out, wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
RESUME_SECONDS = 5.0


def seconds_until_more(own_farm: Farm, effects: Path) -> float:
    """How long it takes until another job has taken effect."""
    began, before = time.monotonic(), jobs_begun(effects)
    wait_until(lambda: jobs_begun(effects) > before, "work resumes", 30)
    return time.monotonic() - began


def run_through_kills(own_farm: Farm, server: RedisServer, effects: Path, jobs: int, kills: int) -> list[float]:
    """Kills Redis while jobs run; returns how long it took each time until work went on."""
    server_client = own_farm.redis
    server_client.config_set("appendfsync", "always")
    own_farm.enqueue_many("mark_and_pause", [(0.01, str(effects))] * jobs)
    resumed = []
    for number in range(1, kills + 1):
        wait_until(
            lambda n=number: jobs_begun(effects) >= n * jobs / (kills + 2), f"a share of jobs before kill {number}", 60
        )
        kill(server)
        server.start()
        resumed.append(seconds_until_more(own_farm, effects))
        own_farm.redis.config_set("appendfsync", "always")
    wait_until(lambda: own_farm.count("finished") >= jobs, "all jobs are finished", 90)
    return resumed


def check_nothing_is_lost(own_farm: Farm, effects: Path, jobs: int) -> None:
    assert own_farm.count("finished") == jobs
    assert jobs_begun(effects) == jobs
    assert sum(runs(effects)) <= jobs + own_farm.count("recovered")
    assert own_farm.redis.zcard(RQ_KEYS.finished("default")) == jobs
    assert own_farm.waiting() == []


def test_work_resumes_within_seconds_after_redis_was_killed(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    host = own_farm.host("one", processes=2)

    resumed = run_through_kills(own_farm, own_redis, effects, jobs=400, kills=1)

    assert max(resumed) < RESUME_SECONDS
    check_nothing_is_lost(own_farm, effects, 400)
    assert "was given up" not in host.says


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_five_deaths_of_redis_amid_5000_jobs_lose_none(own_farm: Farm, own_redis: RedisServer, effects: Path) -> None:
    for name in ("one", "two"):
        own_farm.host(name, processes=4)

    resumed = run_through_kills(own_farm, own_redis, effects, jobs=5000, kills=5)

    assert max(resumed) < RESUME_SECONDS, resumed
    check_nothing_is_lost(own_farm, effects, 5000)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_nothing_is_stuck_or_lost_when_the_tail_of_the_append_only_file_is_gone(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    own_farm.host("one", processes=2)
    jobs = own_farm.enqueue_many("mark_and_pause", [(0.02, str(effects))] * 300)
    wait_until(lambda: own_farm.count("finished") >= 100, "100 jobs are done", 30)

    kill(own_redis)
    (file,) = (own_redis.folder / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as stream:
        stream.truncate(file.stat().st_size - 20_000)  # some tens of jobs
    own_redis.start()

    own_farm.wait_for(*jobs, timeout=90)
    assert jobs_begun(effects) == own_farm.count("finished") == 300
    assert {own_farm.redis.xlen(RQ_KEYS.results(job.id)) for job in jobs} == {1}
    assert not own_farm.redis.keys("farm:host:one:*:running")
    assert max(runs(effects)) <= 2


@pytest.mark.slow
def test_redis_that_stands_still_for_five_seconds_gives_up_nobody(own_farm: Farm, own_redis: RedisServer) -> None:
    host = own_farm.host("one", processes=2)
    job = own_farm.enqueue("count_and_pause", 3.0)
    wait_until(lambda: own_farm.redis.hlen("test:effects"), "the job runs")
    identity = own_farm.published("one")["identity"]

    with standing_still(own_redis):
        wait_until(lambda: "Redis is away" in host.says, "the host says so")
        wait_out(1.5)
    own_farm.wait_for(job)

    assert own_farm.fetch(job).return_value() == 3.0
    assert own_farm.redis.hvals("test:effects") == [b"1"]
    assert own_farm.published("one")["identity"] == identity
    wait_until(lambda: "Redis is back after" in host.says, "the host says so")
    assert host.says.count("Redis is away") == 1


@pytest.mark.slow
def test_an_outage_is_told_of_once_when_it_begins_and_once_when_it_ends(own_farm: Farm, own_redis: RedisServer) -> None:
    host = own_farm.host("one")
    kill(own_redis)
    wait_until(lambda: "Redis is away" in host.says, "the host says so")
    wait_out(3)
    own_redis.start()
    wait_until(lambda: "Redis is back after" in host.says, "the host says so")
    own_farm.wait_for(own_farm.enqueue("add", 1, 2))

    assert host.says.count("Redis is away") == host.says.count("Redis is back after") == 1


def test_a_host_gets_all_its_time_to_beat_again_after_redis_stood_still(own_farm: Farm, own_redis: RedisServer) -> None:
    own_farm.coordinator(suspect_after=1.5, host_timeout=3)
    own_farm.wait_for_leader()
    wait_out(2)  # a coordinator that has just begun gives up nobody
    plant_host(own_farm.redis, "one")

    with standing_still(own_redis):
        wait_out(4)
    wait_until(lambda: own_farm.events("host.lost"), "the silent host is given up", 20)

    (event,) = own_farm.events("host.lost")
    assert float(event["silent"]) > 4 + 3 - 0.1
