"""Finding what nobody answers for, and mending it."""

import random

import pytest
import redis

from farm.store.reconcile import KINDS, MENDED_AT_ONCE, Leftover, LeftoverReader, MendingStore
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    call,
    event_names,
    lead,
    leader,
    now,
    plant_host,
    plant_jobs,
    plant_lease,
    plant_record,
    queue_ids,
    status,
)


def look(url: str, queues: tuple[str, ...] = ("default",)) -> list[Leftover]:
    """Everything that one pass finds."""

    async def work(client):
        reader = LeftoverReader(client, KEYS, RQ_KEYS)
        found = await reader.look_over_queues(queues)
        cursor = 0
        while True:
            page = await reader.page(cursor)
            found += await reader.look_over(page)
            cursor = page.cursor
            if cursor == 0:
                return found

    return sorted(set(call(url, work)))


def mend(url: str, *leftovers: Leftover, on_lost: str = "rerun", max_host_losses: int = 10) -> int:
    async def work(client):
        store = MendingStore(KEYS, RQ_KEYS, max_host_losses, on_lost)
        return await store.mend(leader(client), leftovers[0].kind, leftovers)

    return call(url, work)


def mended(client: redis.Redis) -> dict[bytes, int]:
    return {kind: int(count) for kind, count in client.hgetall(KEYS.mended).items() if int(count)}


def plant_started(client: redis.Redis, job_id: str, worker: str = "gone", wip: float | None = None, **fields) -> None:
    """A job that counts as started, its record of the run ending `wip` seconds from now."""
    plant_record(client, "default", job_id, status="started", worker_name=worker, **fields)
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    if wip is not None:
        client.zadd(RQ_KEYS.started("default"), {f"{job_id}:x1": now(client) + wip})
        client.zadd(f"rq:executions:{job_id}", {"x1": now(client) + wip + 60})
        client.hset(f"rq:execution:{job_id}:x1", mapping={"id": "x1", "job_id": job_id, "worker_name": worker})
        client.expire(f"rq:execution:{job_id}:x1", 90)
        client.expire(f"rq:executions:{job_id}", 90)


@pytest.mark.every_engine
def test_a_started_job_that_nobody_runs_goes_to_the_head_of_its_queue(
    redis_client: redis.Redis, redis_url: str
) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "waiting")
    plant_started(redis_client, "a", wip=-1)

    found = look(redis_url)

    assert found == [Leftover("started", "a", "default")]
    assert mend(redis_url, *found) == 1
    assert queue_ids(redis_client) == ["a", "waiting"]
    assert status(redis_client, "a") == "queued"
    assert redis_client.hget(RQ_KEYS.job("a"), "farm_losses") == b"1"
    assert redis_client.exists(RQ_KEYS.started("default"), "rq:executions:a", "rq:execution:a:x1") == 0
    assert redis_client.hget(KEYS.counts("default"), "recovered") == b"1"
    assert mended(redis_client) == {b"started": 1}
    assert event_names(redis_client) == ["jobs.mended"]
    assert look(redis_url) == []


def test_a_started_job_is_left_alone_as_long_as_anybody_may_run_it(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a")
    for number, job_id in enumerate(("leased", "leased-elsewhere")):
        plant_record(redis_client, "default", job_id)
        plant_lease(redis_client, "a", identity, job_id, number)
    redis_client.hset(RQ_KEYS.job("leased-elsewhere"), "worker_name", "gone")
    redis_client.zadd(KEYS.lost, {"b:1-b": 1})
    plant_record(redis_client, "default", "being-recovered")
    plant_lease(redis_client, "b", "1-b", "being-recovered", 7)
    redis_client.delete(RQ_KEYS.started("default"))
    redis_client.hset(RQ_KEYS.worker("stock"), "state", "busy")
    redis_client.expire(RQ_KEYS.worker("stock"), 60)
    plant_started(redis_client, "of-a-live-worker", worker="stock", wip=-1)
    plant_started(redis_client, "ahead", wip=30)
    plant_started(redis_client, "in-process", worker="sync")
    redis_client.zadd(KEYS.quarantine, {"set-aside": 1})
    plant_started(redis_client, "set-aside")

    assert look(redis_url) == []
    ids = ("leased", "leased-elsewhere", "being-recovered", "of-a-live-worker", "ahead", "in-process", "set-aside")
    assert mend(redis_url, *(Leftover("started", job_id) for job_id in ids)) == 0
    assert queue_ids(redis_client) == []
    assert all(status(redis_client, job_id) == "started" for job_id in ids)


def test_a_job_of_a_live_host_that_has_no_lease_is_mended(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a")
    plant_started(redis_client, "job", worker="a")

    assert mend(redis_url, *look(redis_url)) == 1
    assert queue_ids(redis_client) == ["job"]


def test_a_started_job_that_must_not_run_twice_is_failed(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_started(redis_client, "own", farm_on_lost="fail")
    plant_started(redis_client, "against-the-setting", farm_on_lost="rerun")
    plant_started(redis_client, "by-setting")

    assert mend(redis_url, *look(redis_url), on_lost="fail") == 3

    assert status(redis_client, "own") == status(redis_client, "by-setting") == "failed"
    assert queue_ids(redis_client) == ["against-the-setting"]
    assert redis_client.zcard(RQ_KEYS.failed("default")) == 2
    assert redis_client.hget(KEYS.counts("default"), "failed") == b"2"


def test_a_started_job_that_was_lost_too_often_is_poisoned(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_started(redis_client, "a", farm_losses=2)

    assert mend(redis_url, *look(redis_url), max_host_losses=2) == 1

    assert status(redis_client, "a") == "failed"
    assert redis_client.hget(KEYS.counts("default"), "poisoned") == b"1"
    assert "job.poisoned" in event_names(redis_client)


def test_nothing_is_mended_while_a_stock_worker_cleans_up(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_started(redis_client, "a", wip=-1)
    redis_client.set(RQ_KEYS.cleaning_lock("default"), 1, ex=60)

    assert mend(redis_url, *look(redis_url)) == 0
    assert status(redis_client, "a") == "started"


@pytest.mark.every_engine
def test_a_queued_job_in_no_list_goes_to_the_tail(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "lost", enqueued_at="2026-01-02T03:04:05.000000Z")
    redis_client.lpop(RQ_KEYS.queue("default"))
    plant_jobs(redis_client, "default", "later", enqueued_at="2026-01-02T03:04:06.000000Z")

    found = look(redis_url)

    assert found == [Leftover("queued", "lost", "default")]
    assert mend(redis_url, *found) == 1
    assert mend(redis_url, *found) == 0
    assert queue_ids(redis_client) == ["later", "lost"]
    assert mended(redis_client) == {b"queued": 1}
    assert look(redis_url) == []


def test_a_queued_job_that_is_anywhere_is_left_alone(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a", queues="default,other")
    plant_jobs(redis_client, "default", "listed", "older", enqueued_at="2026-01-02T03:04:05.000000Z")
    redis_client.hset(RQ_KEYS.job("older"), "enqueued_at", "2026-01-02T03:04:01.000000Z")
    for job_id in ("placed", "popped", "leased", "executed", "set-aside"):
        plant_record(redis_client, "default", job_id, enqueued_at="2020-01-02T03:04:05.000000Z")
    redis_client.rpush(KEYS.inbox("a", identity), "placed")
    redis_client.rpush(RQ_KEYS.intermediate("default"), "popped")
    redis_client.hset(KEYS.running("a", identity), "leased", f"{'0' * 32}|default|1|1|rerun|1")
    redis_client.zadd(RQ_KEYS.started("default"), {"executed:x": now(redis_client) + 30})
    redis_client.zadd(KEYS.quarantine, {"set-aside": 1})
    plant_record(redis_client, "never-used", "in-process")  # RQ with is_async=False

    assert [leftover for leftover in look(redis_url) if leftover.kind != "popped"] == []
    ids = ("listed", "older", "placed", "popped", "leased", "executed", "set-aside", "in-process")
    assert mend(redis_url, *(Leftover("queued", job_id, "default") for job_id in ids)) == 0
    assert queue_ids(redis_client) == ["listed", "older"]


def test_a_long_list_is_not_searched_for_each_job_in_it(redis_client: redis.Redis, redis_url: str) -> None:
    plant_host(redis_client, "a")
    redis_client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"))
    with redis_client.pipeline() as pipeline:
        for number in range(3000):
            moment = f"2026-01-02T03:04:05.{number:06}Z"
            record = {"status": "queued", "origin": "default", "data": "x", "enqueued_at": moment}
            pipeline.hset(RQ_KEYS.job(f"job-{number}"), mapping=record)
            pipeline.rpush(RQ_KEYS.queue("default"), f"job-{number}")
        pipeline.execute()
    redis_client.config_resetstat()

    assert look(redis_url) == []
    assert redis_client.info("commandstats").get("cmdstat_lpos", {"calls": 0})["calls"] < 50


@pytest.mark.every_engine
def test_what_a_stock_worker_popped_and_never_started_goes_back(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "waiting", "popped-and-listed")
    plant_record(redis_client, "default", "popped")
    plant_record(redis_client, "default", "canceled", status="canceled")
    plant_record(redis_client, "default", "begun")
    plant_started(redis_client, "running", wip=30)
    redis_client.zadd(RQ_KEYS.started("default"), {"begun:x": now(redis_client) + 30})
    ids = ("popped", "gone", "canceled", "popped-and-listed", "begun", "running")
    redis_client.rpush(RQ_KEYS.intermediate("default"), *ids)

    found = look(redis_url)
    assert [leftover.id for leftover in found] == ["canceled", "gone", "popped", "popped-and-listed"]
    assert {leftover.kind for leftover in found} == {"popped"}
    assert mend(redis_url, *found) == 4

    assert queue_ids(redis_client) == ["waiting", "popped-and-listed", "popped"]
    assert redis_client.lrange(RQ_KEYS.intermediate("default"), 0, -1) == [b"begun", b"running"]
    assert mended(redis_client) == {b"popped": 4}


@pytest.mark.every_engine
def test_records_of_runs_whose_job_is_gone_are_removed(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_started(redis_client, "gone", wip=-1)
    redis_client.delete(RQ_KEYS.job("gone"))
    plant_started(redis_client, "ended", wip=-1)
    redis_client.hset(RQ_KEYS.job("ended"), "status", "finished")
    redis_client.expire(RQ_KEYS.job("ended"), 60)
    plant_started(redis_client, "ended-just-now", wip=30)
    redis_client.hset(RQ_KEYS.job("ended-just-now"), "status", "finished")
    redis_client.expire(RQ_KEYS.job("ended-just-now"), 60)
    redis_client.set("rq:worker:live", 1, ex=60)
    plant_started(redis_client, "deleted-while-it-runs", worker="live", wip=30)
    redis_client.delete(RQ_KEYS.job("deleted-while-it-runs"))

    found = look(redis_url)

    assert {(leftover.kind, leftover.id) for leftover in found} == {("execution", "gone"), ("execution", "ended")}
    assert mend(redis_url, *found) >= 2
    assert redis_client.exists("rq:execution:gone:x1", "rq:execution:ended:x1", "rq:executions:gone") == 0
    left = {member.partition(b":")[0] for member in redis_client.zrange(RQ_KEYS.started("default"), 0, -1)}
    assert left == {b"ended-just-now", b"deleted-while-it-runs"}
    assert look(redis_url) == []


@pytest.mark.every_engine
def test_stumps_are_deleted_and_what_holds_anything_is_set_aside(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    redis_client.hset(RQ_KEYS.job("stump"), mapping={"last_heartbeat": "x", "worker_name": "gone", "farm_losses": 1})
    redis_client.hset(RQ_KEYS.job("with-meta"), mapping={"status": "", "meta": "something"})
    redis_client.hset(RQ_KEYS.job("no-queue"), mapping={"status": "queued", "data": "x"})
    redis_client.hset(RQ_KEYS.job("ends"), mapping={"status": "finished", "ended_at": "x"})
    redis_client.expire(RQ_KEYS.job("ends"), 60)
    redis_client.hset(RQ_KEYS.job("created"), mapping={"status": "created", "data": "x"})

    found = look(redis_url)

    assert [(leftover.kind, leftover.id) for leftover in found] == [
        ("stump", "no-queue"),
        ("stump", "stump"),
        ("stump", "with-meta"),
    ]
    assert mend(redis_url, *found) == 3
    assert redis_client.exists(RQ_KEYS.job("stump")) == 0
    assert redis_client.zrange(KEYS.quarantine, 0, -1) == [b"no-queue", b"with-meta"]
    assert b"payload" in redis_client.hget(KEYS.quarantine_reasons, "with-meta")
    assert mended(redis_client) == {b"stump": 1, b"quarantined": 2}
    assert look(redis_url) == []


def test_keys_of_a_wrong_type_stop_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    for key in (
        RQ_KEYS.started("default"),
        RQ_KEYS.intermediate("default"),
        RQ_KEYS.job("text"),
        KEYS.lost,
        KEYS.mended,
        "rq:executions:a",
    ):
        redis_client.set(key, "x")
    plant_started(redis_client, "a")

    assert mend(redis_url, *look(redis_url)) == 1
    assert queue_ids(redis_client) == ["a"]


class HealthyFarm:
    """A random state in which somebody answers for each job, as hosts, services and stock workers leave it."""

    def __init__(self, client: redis.Redis, draw: random.Random) -> None:
        self.client = client
        self.draw = draw
        self.hosts = {name: plant_host(client, name) for name in ("a", "b")}
        client.zadd(KEYS.lost, {"c:1-c": 1})
        client.hset(RQ_KEYS.worker("stock"), "state", "busy")
        client.expire(RQ_KEYS.worker("stock"), 60)
        client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("default"), RQ_KEYS.queue("high"))

    def plant(self, count: int) -> list[str]:
        ways = [
            *(self.waiting, self.at_front, self.placed, self.leased, self.recovered_soon, self.stock, self.ahead),
            *(self.between, self.ended, self.waiting_elsewhere, self.created, self.set_aside, self.run_in_process),
        ]
        ids = [f"job-{number}" for number in range(count)]
        for job_id in ids:
            self.draw.choice(ways)(job_id)
        return ids

    def record(self, job_id: str, **fields) -> str:
        queue = self.draw.choice(["default", "high"])
        moment = f"2026-01-02T03:04:{self.draw.randrange(60):02}.{self.draw.randrange(10**6):06}Z"
        plant_record(self.client, queue, job_id, enqueued_at=moment, **fields)
        return queue

    def execution(self, job_id: str, queue: str, ends_in: float, worker: str) -> None:
        self.client.zadd(RQ_KEYS.started(queue), {f"{job_id}:x": now(self.client) + ends_in})
        self.client.zadd(f"rq:executions:{job_id}", {"x": now(self.client) + ends_in + 60})
        self.client.expire(f"rq:executions:{job_id}", 150)
        self.client.hset(f"rq:execution:{job_id}:x", mapping={"id": "x", "job_id": job_id, "worker_name": worker})
        self.client.expire(f"rq:execution:{job_id}:x", 90)

    def waiting(self, job_id: str) -> None:
        self.client.rpush(RQ_KEYS.queue(self.record(job_id)), job_id)

    def at_front(self, job_id: str) -> None:
        self.client.lpush(RQ_KEYS.queue(self.record(job_id)), job_id)

    def placed(self, job_id: str) -> None:
        self.record(job_id)
        host = self.draw.choice(["a", "b"])
        self.client.rpush(KEYS.inbox(host, self.hosts[host]), job_id)

    def leased(self, job_id: str) -> None:
        host = self.draw.choice(["a", "b"])
        queue = self.record(job_id, status="started", worker_name=host)
        self.client.hset(KEYS.running(host, self.hosts[host]), job_id, f"{'0' * 32}|{queue}|1|1|rerun|1")
        if self.draw.random() < 0.5:
            self.execution(job_id, queue, self.draw.choice([-5, 60]), host)

    def recovered_soon(self, job_id: str) -> None:
        queue = self.record(job_id, status="started", worker_name="c")
        self.client.hset(KEYS.running("c", "1-c"), job_id, f"{'0' * 32}|{queue}|1|1|rerun|1")

    def stock(self, job_id: str) -> None:
        queue = self.record(job_id, status="started", worker_name="stock")
        self.execution(job_id, queue, self.draw.choice([-5, 60]), "stock")

    def ahead(self, job_id: str) -> None:
        queue = self.record(job_id, status="started", worker_name="gone")
        self.execution(job_id, queue, 60, "gone")

    def between(self, job_id: str) -> None:
        queue = self.record(job_id)
        self.client.rpush(RQ_KEYS.intermediate(queue), job_id)
        self.execution(job_id, queue, 60, "stock")

    def ended(self, job_id: str) -> None:
        self.record(job_id, status=self.draw.choice(["finished", "failed", "stopped", "canceled"]))
        self.client.expire(RQ_KEYS.job(job_id), 500)

    def waiting_elsewhere(self, job_id: str) -> None:
        self.record(job_id, status=self.draw.choice(["scheduled", "deferred", "ready_to_enqueue", "rate_limited"]))

    def created(self, job_id: str) -> None:
        self.client.hset(RQ_KEYS.job(job_id), mapping={"status": "created", "data": b"x"})

    def set_aside(self, job_id: str) -> None:
        self.client.hset(RQ_KEYS.job(job_id), mapping={"status": self.draw.choice(["queued", "started"]), "meta": "x"})
        self.client.zadd(KEYS.quarantine, {job_id: 1})

    def run_in_process(self, job_id: str) -> None:
        plant_record(self.client, "never-used", job_id)


def everything(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.scan_iter()}


@pytest.mark.parametrize("seed", range(12))
def test_a_healthy_farm_is_never_touched(redis_client: redis.Redis, redis_url: str, seed: int) -> None:
    lead(redis_client)
    ids = HealthyFarm(redis_client, random.Random(seed)).plant(60)
    before = everything(redis_client)

    assert look(redis_url, ("default", "high")) == []
    for kind in KINDS:
        tries = [Leftover(kind, job_id, queue, "x") for job_id in ids for queue in ("default", "high")]
        for start in range(0, len(tries), MENDED_AT_ONCE):
            assert mend(redis_url, *tries[start : start + MENDED_AT_ONCE]) == 0, (seed, kind)
    assert everything(redis_client) == before
