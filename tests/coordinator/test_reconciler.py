"""The duty that mends what nobody answers for, and leftovers as stock workers really leave them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from rq import Queue

from farm.coordinator.freeze import Freeze
from farm.coordinator.placer import Placer
from farm.coordinator.reconciler import INTERVAL_SECONDS, Reconciler
from farm.coordinator.reconciliation import SECOND_LOOK_SECONDS, Suspicion, pause_after
from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm.store.leadership import NotLeader, ServerLife
from farm.store.placement import PlacementStore
from farm.store.reconcile import Leftover, LeftoverReader, MendingStore
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    call,
    lead,
    leader,
    now,
    plant_jobs,
    plant_record,
    queue_ids,
    status,
)
from tests.support.coordinator_process import coordinators
from tests.support.waiting import wait_until

WORKER = """
import os, signal, sys
from redis import Redis
from rq import Worker

class Killed(Worker):
    def prepare_execution(self, job):
        if sys.argv[2] == "before the start":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().prepare_execution(job)

Killed(sys.argv[3:], connection=Redis.from_url(sys.argv[1]), name="stock").work(burst=True)
"""
"""A stock worker that is killed between its pop and its start, as by the kernel."""


FAST = {"FARM_SUSPECT_AFTER": "1.5", "FARM_HOST_TIMEOUT": "3", "FARM_LEADER_TTL": "2"}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A reconciler with a clock of its own; each look is a whole pass."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.clock = Clock()
        self.freeze = Freeze(host_timeout=10.0, suspect_after=3.0, clock=self.clock)
        self.live("one")
        self.clock.now += 3600
        self._parts: tuple[Reconciler, Placer] | None = None

    def live(self, run_id: str) -> None:
        self.freeze.note_contact()
        self.freeze.note_server(ServerLife(run_id, 10_000))

    def go_on(self, seconds: float = 0.0, turns: int = 12) -> None:
        """Lets time pass, then gives the duty some turns."""
        self.clock.now += seconds
        call(self._url, lambda client: self._take_turns(client, turns))

    async def _take_turns(self, client, turns: int) -> None:
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        reader, store = LeftoverReader(client, KEYS, RQ_KEYS), MendingStore(KEYS, RQ_KEYS, 10, "rerun")
        if self._parts is None:
            self._parts = (Reconciler(reader, store, self.freeze, placer, self.clock), placer)
        reconciler, placer = self._parts
        reconciler._reader, reconciler._store = reader, store
        placer.queues = ("default", "high")
        for _ in range(turns):
            await reconciler.run_once(leader(client))


@pytest.fixture
def bench(redis_url: str, redis_client: redis.Redis) -> Bench:
    lead(redis_client)
    return Bench(redis_url)


def plant_abandoned(client: redis.Redis, job_id: str) -> None:
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    plant_record(client, "default", job_id, status="started", worker_name="gone")


def plant_missing(client: redis.Redis, job_id: str) -> None:
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    plant_record(client, "default", job_id)


def test_a_pass_begins_with_the_lead_and_once_a_minute(bench: Bench, redis_client: redis.Redis) -> None:
    plant_abandoned(redis_client, "first")
    bench.go_on()
    assert queue_ids(redis_client) == ["first"]

    plant_abandoned(redis_client, "second")
    bench.go_on(INTERVAL_SECONDS - 1)
    assert queue_ids(redis_client) == ["first"]
    bench.go_on(1)
    assert queue_ids(redis_client) == ["second", "first"]


def test_what_may_be_on_its_way_is_mended_at_the_second_look_alone(bench: Bench, redis_client: redis.Redis) -> None:
    plant_missing(redis_client, "lost")
    plant_missing(redis_client, "late")
    redis_client.rpush(RQ_KEYS.intermediate("default"), "popped")
    plant_record(redis_client, "default", "popped")
    bench.go_on()
    bench.go_on(SECOND_LOOK_SECONDS - 1)
    assert queue_ids(redis_client) == []

    redis_client.hset(RQ_KEYS.job("late"), "status", "finished")
    redis_client.expire(RQ_KEYS.job("late"), 60)
    bench.go_on(1)
    assert sorted(queue_ids(redis_client)) == ["lost", "popped"]
    assert redis_client.hgetall(KEYS.mended) == {b"queued": b"1", b"popped": b"1"}


def test_a_new_life_of_redis_begins_a_pass_once_hosts_had_time_to_renew(
    bench: Bench, redis_client: redis.Redis
) -> None:
    bench.go_on()
    plant_abandoned(redis_client, "job")
    bench.live("two")

    bench.go_on()
    assert queue_ids(redis_client) == []
    bench.go_on(11)
    assert queue_ids(redis_client) == ["job"]


def test_one_who_leads_no_more_mends_nothing(bench: Bench, redis_client: redis.Redis) -> None:
    plant_abandoned(redis_client, "job")
    lead(redis_client, "2:other:one")

    with pytest.raises(NotLeader):
        bench.go_on()
    assert status(redis_client, "job") == "started"


def test_a_running_coordinator_mends_what_it_finds_at_its_start(
    redis_client: redis.Redis, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    plant_abandoned(redis_client, "job")
    plant_jobs(redis_client, "default", "waiting")

    with coordinators(farm_environment | FAST, tmp_path) as (coordinator,):
        wait_until(lambda: queue_ids(redis_client) == ["job", "waiting"], "the job is back")
        wait_until(lambda: "mended what was left over (started): 1" in coordinator.says, "it says so")


@pytest.mark.slow
def test_a_running_coordinator_looks_at_everything_anew_when_redis_was_restarted(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    own_redis.start()
    environment = farm_environment | FAST | {"FARM_REDIS_URL": own_redis.url}
    with connect(own_redis.url) as client, coordinators(environment, tmp_path) as (coordinator,):
        plant_abandoned(client, "first")
        wait_until(lambda: queue_ids(client) == ["first"], "the first look is taken")
        plant_abandoned(client, "second")
        os.kill(own_redis.pid, signal.SIGKILL)
        wait_until(lambda: not own_redis.running, "Redis is gone")
        own_redis.start()
        wait_until(lambda: queue_ids(client) == ["second", "first"], "the second look is taken", 30)
        wait_until(lambda: coordinator.says.count("mended what was left over") == 2, "each look says so")


def run_stock_worker(url: str, tmp_path: Path, killed: str, *queues: str) -> None:
    environment = dict(os.environ) | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", WORKER, url, killed, *queues]
    subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def pass_time(client: redis.Redis) -> None:
    """What a dead stock worker leaves for a while is over: its own record, and its records of runs."""
    client.delete(RQ_KEYS.worker("stock"))
    for queue in ("default", "high"):
        for member in client.zrange(RQ_KEYS.started(queue), 0, -1):
            client.zadd(RQ_KEYS.started(queue), {member: now(client) - 1})


@pytest.mark.parametrize("queues", [("high", "default"), ("default",)], ids=["several queues", "one queue"])
def test_a_job_whose_stock_worker_was_killed_between_pop_and_start_runs(
    bench: Bench, redis_client: redis.Redis, redis_url: str, tmp_path: Path, queues: tuple[str, ...]
) -> None:
    job = Queue(connection=redis_client).enqueue(os.getpid)
    run_stock_worker(redis_url, tmp_path, "before the start", *queues)
    assert (queue_ids(redis_client), status(redis_client, job.id)) == ([], "queued")
    pass_time(redis_client)

    bench.go_on()
    assert queue_ids(redis_client) == []
    bench.go_on(SECOND_LOOK_SECONDS)
    assert queue_ids(redis_client) == [job.id]
    run_stock_worker(redis_url, tmp_path, "never", "default")
    assert status(redis_client, job.id) == "finished"


def test_a_job_whose_stock_worker_was_killed_while_it_ran_runs_again(
    bench: Bench, redis_client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\ndef kill_worker():\n    os.kill(os.getppid(), 9)\n    os.kill(os.getpid(), 9)\n"
    )
    job = Queue(connection=redis_client).enqueue("deadly.kill_worker")
    run_stock_worker(redis_url, tmp_path, "never", "high", "default")
    assert status(redis_client, job.id) == "started"

    bench.go_on()
    assert status(redis_client, job.id) == "started"  # RQ's record of the run is not over
    pass_time(redis_client)
    bench.go_on(INTERVAL_SECONDS)
    assert (queue_ids(redis_client), status(redis_client, job.id)) == ([job.id], "queued")
    assert redis_client.hget(RQ_KEYS.job(job.id), "farm_losses") == b"1"
    assert redis_client.zcard(RQ_KEYS.started("default")) == 0


def due(suspicion: Suspicion) -> list[str]:
    return [leftover.id for leftover in suspicion.take_due()]


def test_a_suspicion_is_due_once_and_dates_from_the_first_look() -> None:
    clock = Clock()
    suspicion = Suspicion(clock)
    certain = suspicion.note([Leftover("queued", "a"), Leftover("started", "b")])
    clock.now += SECOND_LOOK_SECONDS - 1
    suspicion.note([Leftover("queued", "a"), Leftover("queued", "c")])

    assert [leftover.id for leftover in certain] == ["b"]
    assert due(suspicion) == []
    clock.now += 1
    assert due(suspicion) == ["a"]
    assert due(suspicion) == []


def test_looking_takes_a_bounded_share_of_the_time() -> None:
    assert pause_after(0.01) == pytest.approx(0.49)
    assert 0 < pause_after(0.0) < pause_after(60) < 10
