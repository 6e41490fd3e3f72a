"""A Redis that has no memory left: enqueueing is refused by a clear error, and the farm drains what is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue

import farm as farm_package
from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.redis_server import binary_of, engines
from tests.support.waiting import wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
MEGABYTE = 1 << 20


def fill(client: redis.Redis) -> None:
    """From here on it holds more than it may: it refuses whatever needs memory."""
    for number in range(100):  # in pieces: what buffers hold for a while is no ballast
        client.set(f"test:ballast:{number}", b"x" * 20_000)
    client.config_set("maxmemory", client.info("memory")["used_memory"] - MEGABYTE)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if index else ()) for index, name in enumerate(engines())]
)
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """One of each engine; those after the first for `make test-all`."""
    with RedisServer(tmp_path / "own-redis", binary=binary_of(request.param)) as server:
        yield server


@pytest.fixture
def full_farm(own_farm: Farm) -> Iterator[Farm]:
    """A farm with a host; `fill(full_farm.redis)` fills its Redis."""
    yield own_farm
    own_farm.redis.config_set("maxmemory", 0)


def test_a_full_redis_refuses_jobs_by_an_error_of_ours_and_runs_those_it_has(full_farm: Farm) -> None:
    host = full_farm.host("one", processes=2)
    full_farm.redis.set("rq:suspended", 1)
    jobs = full_farm.enqueue_many("pause", [(0.01,)] * 100)
    crashing = full_farm.enqueue("die")
    fill(full_farm.redis)

    with farm_package.Client(full_farm.url) as client:
        with pytest.raises(farm_package.RedisFull, match="maxmemory") as refused:
            client.queue("default").enqueue("system_jobs.add", 1, 2)
        with pytest.raises(farm_package.RedisFull):
            client.queue("default", unique=True, job_id="one").enqueue("system_jobs.add", 1, 2)
    assert "test:" not in str(refused.value)
    assert full_farm.redis.llen(RQ_KEYS.queue("default")) == 101
    full_farm.redis.delete("rq:suspended")

    full_farm.wait_for(*jobs, timeout=30)
    full_farm.wait_for(crashing, status="failed", timeout=30)
    assert full_farm.count("finished") == 100
    assert "Redis is away" not in host.says
    assert host.says.count("Redis trouble") == 0
    wait_until(lambda: len(full_farm.events("process.ended")) == 3, "each death of a process is kept as an event")
    wait_until(lambda: full_farm.events("redis.full"), "the alarm is raised")
    wait_until(lambda: "Redis is full or nearly so" in host.says, "the coordinator says so")
    said = full_farm.command("enqueue", "system_jobs.add", "1", "2")
    assert said.returncode == 3, said
    assert "is full (maxmemory)" in said.stderr
    assert len(said.stderr.strip().splitlines()) <= 2


@pytest.mark.slow
def test_a_host_starts_and_takes_jobs_while_redis_is_full(full_farm: Farm) -> None:
    jobs = full_farm.enqueue_many("pause", [(0.01,)] * 20)
    fill(full_farm.redis)

    host = full_farm.host("one")

    full_farm.wait_for(*jobs, timeout=30)
    assert "Redis is away" not in host.says


@pytest.mark.slow
def test_jobs_of_a_lost_host_are_recovered_while_redis_is_full(full_farm: Farm) -> None:
    one = full_farm.host("one", processes=2, **SHORT_TIMES)
    full_farm.host("two", **SHORT_TIMES)
    jobs = full_farm.enqueue_many("pause", [(0.2,)] * 40)
    wait_until(lambda: full_farm.count("finished") >= 4, "jobs run")
    fill(full_farm.redis)

    one.kill_tree()

    full_farm.wait_for(*jobs, timeout=40)
    assert full_farm.count("recovered") > 0
    assert full_farm.redis.zcard(KEYS.lost) == 0


@pytest.mark.slow
def test_plain_rq_can_enqueue_again_once_there_is_room(full_farm: Farm, own_redis: RedisServer) -> None:
    full_farm.host("one")
    fill(full_farm.redis)
    queue = Queue("default", connection=full_farm.redis)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        queue.enqueue("system_jobs.add", 1, 2)

    full_farm.redis.delete(*full_farm.redis.keys("test:ballast:*"))

    assert full_farm.wait_for(queue.enqueue("system_jobs.add", 1, 2)).return_value() == 3
    assert own_redis.running
