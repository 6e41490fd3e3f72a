"""Coordinators as real processes, with hosts planted in Redis."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis
from rq import Queue

from farm.redis_server import RedisServer
from farm.store.connection import connect
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    event_names,
    inbox_ids,
    now,
    plant_host,
    plant_jobs,
    plant_lease,
    plant_record,
    queue_ids,
)
from tests.support.coordinator_process import CoordinatorProcess, coordinators
from tests.support.waiting import wait_until

FAST = {"FARM_SUSPECT_AFTER": "1.5", "FARM_HOST_TIMEOUT": "3", "FARM_LEADER_TTL": "2"}


@pytest.fixture
def environment(farm_environment: dict[str, str]) -> dict[str, str]:
    return farm_environment | FAST


class Beating:
    """Renews the beat of planted hosts, as live hosts do."""

    def __init__(self, client: redis.Redis, *names: str) -> None:
        self._client = client
        self._names = names
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> "Beating":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(0.2):
            moment = now(self._client)
            self._client.zadd(KEYS.hosts, dict.fromkeys(self._names, moment))


def leads(client: redis.Redis) -> bytes | None:
    return client.get(KEYS.coordinator)


def pid_of_leader(client: redis.Redis) -> int:
    value = wait_until(lambda: leads(client), "a coordinator leads")
    return int(value.decode().rpartition("-")[2])


def test_jobs_are_placed_by_the_event_of_their_enqueue(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    # With its slot in use it takes nothing by itself, as there is nobody who would.
    plant_host(redis_client, "a", queues="default,low", capacity=1000, slots=1)
    with Beating(redis_client, "a"), coordinators(environment, tmp_path):
        wait_until(lambda: leads(redis_client), "a coordinator leads")
        Queue("low", connection=redis_client).enqueue(print)
        wait_until(lambda: len(inbox_ids(redis_client, "a")) == 1, "the first job is placed")
        queue, delays = Queue(connection=redis_client), []
        for number in range(2, 12):
            started = time.monotonic()
            queue.enqueue(print)
            wait_until(lambda wanted=number: len(inbox_ids(redis_client, "a")) == wanted, "the next job is placed")
            delays.append(time.monotonic() - started)

    # The safety poll alone would need half a second on average.
    assert sorted(delays)[len(delays) // 2] < 0.25, delays


def test_two_coordinators_never_both_act_and_the_second_takes_over(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    plant_host(redis_client, "a", capacity=1000)
    with Beating(redis_client, "a"), coordinators(environment, tmp_path, count=2) as (one, two):
        first = pid_of_leader(redis_client)
        leading, waiting = (one, two) if first == one.process.pid else (two, one)
        leading.send(signal.SIGSTOP)
        paused = time.monotonic()
        wait_until(lambda: leads(redis_client) and pid_of_leader(redis_client) != first, "the other takes over")
        plant_jobs(redis_client, "default", "1")
        wait_until(lambda: inbox_ids(redis_client, "a") == ["1"], "the new leader places")
        assert time.monotonic() - paused < 5
        leading.send(signal.SIGCONT)
        wait_until(lambda: "leads no" in leading.says or "leads now" in leading.says, "the old leader notices")

        assert pid_of_leader(redis_client) == waiting.process.pid
        assert event_names(redis_client).count("coordinator.elected") == 2
        assert event_names(redis_client).count("host.lost") == 0


def test_a_killed_coordinator_is_replaced_within_five_seconds(
    redis_client: redis.Redis, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    with coordinators(farm_environment, tmp_path, count=2) as both:
        first = pid_of_leader(redis_client)
        next(c for c in both if c.process.pid == first).end(signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: leads(redis_client) and pid_of_leader(redis_client) != first, "the other takes over")

        assert time.monotonic() - killed < 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_coordinator_resigns_when_it_is_stopped(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    with coordinators(environment, tmp_path) as (coordinator,):
        pid_of_leader(redis_client)
        started = time.monotonic()

        assert coordinator.end(number) == 0, coordinator.says
        assert time.monotonic() - started < 3
        assert leads(redis_client) is None
        assert "Traceback" not in coordinator.says


def test_a_hosts_coordinator_ends_when_another_leads(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    redis_client.set(KEYS.coordinator, "1:token:another", ex=60)
    with coordinators(environment | {"FARM_COORDINATOR_CHILD": "1"}, tmp_path) as (coordinator,):
        assert coordinator.process.wait(10) == 0
    assert leads(redis_client) == b"1:token:another"


def test_a_hosts_coordinator_ends_with_its_host(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    starter = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'farm.coordinator'])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter],
        env=environment | {"FARM_COORDINATOR_CHILD": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert pid_of_leader(redis_client) == pid
        host.kill()
        host.wait()
        wait_until(lambda: leads(redis_client) is None, "the coordinator resigned")


def test_jobs_of_a_silent_host_go_to_another_one(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    identity = plant_host(redis_client, "dead", queues="default")
    plant_host(redis_client, "live", queues="default")
    plant_record(redis_client, "default", "running")
    plant_lease(redis_client, "dead", identity, "running", 1)
    plant_record(redis_client, "default", "placed")
    redis_client.rpush(KEYS.inbox("dead", identity), "placed")
    redis_client.zadd(KEYS.hosts, {"no-identity": 1})
    redis_client.hset(KEYS.identities, "no-beat", "1-x")

    with Beating(redis_client, "live"), coordinators(environment, tmp_path):
        wait_until(lambda: inbox_ids(redis_client, "live") == ["running", "placed"], "the jobs are placed anew", 20)
        wait_until(lambda: redis_client.hgetall(KEYS.identities) == {b"live": b"1-live"}, "all others are given up", 20)
        wait_until(lambda: not redis_client.exists(KEYS.lost), "everything is given back")

    assert redis_client.zrange(KEYS.hosts, 0, -1) == [b"live"]


def test_a_queue_is_deferred_while_every_host_is_full_and_no_longer(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    plant_host(redis_client, "a", queues="default", state="full", capacity=0, load=0.9)
    plant_jobs(redis_client, "default", "1", "2")
    plant_jobs(redis_client, "nobody", "3")
    with Beating(redis_client, "a"), coordinators(environment, tmp_path):
        wait_until(lambda: redis_client.zcard(KEYS.deferred("default")) == 2, "the queue is deferred")
        wait_until(lambda: redis_client.hget(KEYS.deferral("nobody"), "reason") == b"no host", "nobody serves it")
        assert redis_client.hget(KEYS.deferral("default"), "hosts") == b"a=0.900"
        plant_jobs(redis_client, "default", "4")
        wait_until(lambda: redis_client.zcard(KEYS.deferred("default")) == 3, "the new job is deferred too")
        assert queue_ids(redis_client) == ["1", "2", "4"]

        redis_client.hset(KEYS.host("a"), mapping={"state": "available", "capacity": 9})
        redis_client.lpush(KEYS.bell, "1")
        wait_until(lambda: inbox_ids(redis_client, "a") == ["1", "2", "4"], "all are placed")
        wait_until(lambda: not redis_client.exists(KEYS.deferral("default")), "the deferral ended")

    assert not redis_client.exists(KEYS.deferred("default"))
    assert event_names(redis_client).count("deferral.ended") == 1


def test_scheduled_jobs_reach_their_hosts(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    from datetime import timedelta

    plant_host(redis_client, "a")
    with Beating(redis_client, "a"), coordinators(environment, tmp_path):
        job = Queue(connection=redis_client).enqueue_in(timedelta(seconds=1), print)
        wait_until(lambda: inbox_ids(redis_client, "a") == [job.id], "the scheduled job is placed")


def test_a_broken_queue_is_announced_once_and_holds_nobody_up(
    redis_client: redis.Redis, environment: dict[str, str], tmp_path: Path
) -> None:
    plant_host(redis_client, "a", queues="broken,default", capacity=10)
    redis_client.set(RQ_KEYS.queue("broken"), "x")
    with Beating(redis_client, "a"), coordinators(environment, tmp_path) as (coordinator,):
        plant_jobs(redis_client, "default", "1")
        wait_until(lambda: inbox_ids(redis_client, "a") == ["1"], "the other queue is served")
        wait_until(lambda: "queue.unreadable" in event_names(redis_client), "the broken queue is announced")
        plant_jobs(redis_client, "default", "2")
        wait_until(lambda: inbox_ids(redis_client, "a") == ["1", "2"], "it goes on")

    assert event_names(redis_client).count("queue.unreadable") == 1
    assert "Traceback" not in coordinator.says


def test_a_restart_of_redis_is_survived_and_gives_nobody_up(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = farm_environment | FAST | {"FARM_REDIS_URL": own_redis.url}
    with connect(own_redis.url) as client:
        plant_host(client, "a", queues="default", capacity=10)
    with coordinators(environment, tmp_path) as (coordinator,):
        with connect(own_redis.url) as client:
            pid_of_leader(client)
        os.kill(own_redis.pid, signal.SIGKILL)
        wait_until(lambda: "Redis trouble" in coordinator.says, "the outage is told")
        own_redis.start()
        with connect(own_redis.url) as client:
            wait_until(lambda: leads(client), "it leads again", 20)
            plant_jobs(client, "default", "1")
            with Beating(client, "a"):
                wait_until(lambda: inbox_ids(client, "a") == ["1"], "it places again", 20)
            assert "host.lost" not in event_names(client)
        assert coordinator.end() == 0
    assert "Traceback" not in coordinator.says, coordinator.says


def test_bad_settings_are_told_in_one_line(farm_environment: dict[str, str], tmp_path: Path) -> None:
    coordinator = CoordinatorProcess(farm_environment | {"FARM_HOST_TIMEOUT": "soon"}, tmp_path / "log")

    assert coordinator.process.wait(20) == 2
    assert "FARM_HOST_TIMEOUT" in coordinator.says
    assert len(coordinator.says.splitlines()) <= 2
