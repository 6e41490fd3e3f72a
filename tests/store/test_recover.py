"""Giving up a silent host, and giving its jobs back."""

import base64
import zlib

import pytest
import redis

from farm.store.recovery import Recovered, RecoveryStore, SilentHost
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    call,
    event_names,
    lead,
    leader,
    plant_host,
    plant_jobs,
    plant_lease,
    plant_record,
    queue_ids,
    status,
)

HOST_TIMEOUT = 10.0


def fence(url: str, host: SilentHost) -> bool:
    return call(url, lambda client: RecoveryStore(client, KEYS, RQ_KEYS).fence(leader(client), host, HOST_TIMEOUT))


def recover(url: str, member: str = "a:1-a", max_host_losses: int = 10, so_far: int = 0) -> Recovered:
    async def work(client):
        return await RecoveryStore(client, KEYS, RQ_KEYS).recover(leader(client), member, max_host_losses, so_far)

    return call(url, work)


def lose(client: redis.Redis, host: str = "a") -> str:
    """A host that was fenced, with nothing on it yet."""
    identity = plant_host(client, host)
    client.hdel(KEYS.identities, host)
    client.zrem(KEYS.hosts, host)
    client.zadd(KEYS.lost, {f"{host}:{identity}": 1})
    return identity


def failure(client: redis.Redis, job_id: str) -> str:
    ((_, entry),) = client.xrange(f"rq:results:{job_id}")
    assert entry[b"type"] == b"2"
    return zlib.decompress(base64.b64decode(entry[b"exc_string"])).decode()


@pytest.mark.every_engine
def test_a_silent_host_is_given_up_once(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", queues="one,two", age=HOST_TIMEOUT + 1)
    plant_host(redis_client, "b", queues="one")

    async def silent(client):
        return await RecoveryStore(client, KEYS, RQ_KEYS).silent_hosts(HOST_TIMEOUT)

    found, _ = call(redis_url, silent)
    first, second = fence(redis_url, found[0]), fence(redis_url, found[0])

    assert found == [SilentHost("a", "1-a")]
    assert first
    assert redis_client.hgetall(KEYS.identities) == {b"b": b"1-b"}
    assert redis_client.zrange(KEYS.hosts, 0, -1) == redis_client.zrange(KEYS.load, 0, -1) == [b"b"]
    assert redis_client.zrange(KEYS.lost, 0, -1) == [b"a:1-a"]
    assert redis_client.exists(KEYS.host("a"), RQ_KEYS.worker("a")) == 0
    assert redis_client.smembers(RQ_KEYS.workers) == redis_client.smembers(RQ_KEYS.queue_workers("one"))
    assert redis_client.scard(RQ_KEYS.queue_workers("two")) == 0
    assert not second
    assert event_names(redis_client) == ["host.lost"]


def test_a_host_that_beat_again_or_was_replaced_is_not_given_up(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", age=HOST_TIMEOUT - 2)
    plant_host(redis_client, "b", age=HOST_TIMEOUT + 1)

    assert not fence(redis_url, SilentHost("a", "1-a"))
    assert not fence(redis_url, SilentHost("b", "0-older"))
    assert redis_client.hlen(KEYS.identities) == 2
    assert event_names(redis_client) == []


def test_a_beat_without_identity_is_cleared_away(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    redis_client.zadd(KEYS.hosts, {"ghost": 1})

    assert fence(redis_url, SilentHost("ghost", ""))
    assert redis_client.zcard(KEYS.hosts) == redis_client.zcard(KEYS.lost) == 0


@pytest.mark.every_engine
def test_jobs_of_a_lost_host_go_back_in_order_running_ones_first(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    plant_jobs(redis_client, "default", "waiting")
    for sequence, job_id in [(10, "run2"), (9, "run1"), (11, "run3")]:
        plant_record(redis_client, "default", job_id)
        plant_lease(redis_client, "a", identity, job_id, sequence)
    for job_id in ["in1", "in2"]:
        plant_record(redis_client, "default", job_id)
        redis_client.rpush(KEYS.inbox("a", identity), job_id)

    page, again = recover(redis_url), recover(redis_url)

    assert page == Recovered(given_back=5)
    assert again == Recovered()
    assert queue_ids(redis_client) == ["run1", "run2", "run3", "in1", "in2", "waiting"]
    assert redis_client.hmget(RQ_KEYS.job("run1"), "status", "worker_name", "started_at", "farm_losses") == [
        b"queued",
        b"",
        b"",
        b"1",
    ]
    assert redis_client.hexists(RQ_KEYS.job("in1"), "farm_losses") is False
    assert redis_client.hget(KEYS.counts("default"), "recovered") == b"5"
    assert redis_client.zcard(RQ_KEYS.started("default")) == redis_client.exists(KEYS.lost) == 0
    assert redis_client.keys("rq:execution*") == redis_client.keys("farm:host:a:*") == []
    assert event_names(redis_client) == ["jobs.recovered"]


def test_a_page_is_bounded_and_keeps_the_order_over_pages(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    ids = [f"{number:03}" for number in range(250)]
    for number, job_id in enumerate(ids):
        plant_record(redis_client, "default", job_id)
        if number < 120:
            plant_lease(redis_client, "a", identity, job_id, number)
        else:
            redis_client.rpush(KEYS.inbox("a", identity), job_id)

    pages = [recover(redis_url, so_far=100 * number) for number in range(3)]

    assert [(page.given_back, page.left) for page in pages] == [(100, 150), (100, 50), (50, 0)]
    assert queue_ids(redis_client) == ids
    ((_, event),) = redis_client.xrange(KEYS.events)
    assert event[b"jobs"] == b"250"


def test_jobs_that_went_another_way_are_dropped_and_counted(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    for job_id, state in [("canceled", "canceled"), ("finished", "finished"), ("elsewhere", "started")]:
        plant_record(redis_client, "default", job_id, status=state)
        redis_client.expire(RQ_KEYS.job(job_id), 60)
        redis_client.rpush(KEYS.inbox("a", identity), job_id)
    redis_client.rpush(KEYS.inbox("a", identity), "deleted")
    plant_record(redis_client, "default", "stopped")
    plant_lease(redis_client, "a", identity, "stopped", 1)
    redis_client.hset(RQ_KEYS.job("stopped"), "status", "stopped")

    assert recover(redis_url) == Recovered(dropped=5)
    assert queue_ids(redis_client) == []
    assert redis_client.hget(KEYS.counts("default"), "dropped") == b"4"
    assert not redis_client.exists(RQ_KEYS.job("deleted"))
    assert status(redis_client, "elsewhere") == "started"


def test_a_job_that_lost_too_many_hosts_is_failed_as_poisoned(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    for sequence, (job_id, losses) in enumerate([("last", 1), ("poison", 2)]):
        plant_record(redis_client, "default", job_id, farm_losses=losses)
        plant_lease(redis_client, "a", identity, job_id, sequence)
    plant_record(redis_client, "other", "tolerant", status="deferred", allow_dependency_failures=1)
    plant_record(redis_client, "other", "strict", status="deferred")
    redis_client.sadd("rq:job:poison:dependents", "tolerant", "strict")
    redis_client.zadd(RQ_KEYS.dependent("other"), {"tolerant": 1, "strict": 1})

    assert recover(redis_url, max_host_losses=2) == Recovered(given_back=1, failed=1)
    assert (status(redis_client, "last"), status(redis_client, "poison")) == ("queued", "failed")
    assert "3 hosts that were lost" in failure(redis_client, "poison")
    assert redis_client.zscore(RQ_KEYS.failed("default"), "poison") > 1.7e9
    assert 0 < redis_client.ttl(RQ_KEYS.job("poison")) <= 31536000
    assert redis_client.hget(KEYS.counts("default"), "poisoned") == b"1"
    assert "job.poisoned" in event_names(redis_client)
    assert queue_ids(redis_client, "other") == ["tolerant"]
    assert (status(redis_client, "tolerant"), status(redis_client, "strict")) == ("queued", "deferred")


def test_a_job_that_must_not_run_twice_is_failed(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    plant_record(redis_client, "default", "once", failure_ttl=100)
    plant_lease(redis_client, "a", identity, "once", 1, on_lost="fail")
    plant_record(redis_client, "default", "not-begun", farm_on_lost="fail")
    redis_client.rpush(KEYS.inbox("a", identity), "not-begun")

    assert recover(redis_url) == Recovered(given_back=1, failed=1)
    assert queue_ids(redis_client) == ["not-begun"]
    assert "must not run twice" in failure(redis_client, "once")
    assert 0 < redis_client.ttl(RQ_KEYS.job("once")) <= 100


def test_unreadable_records_go_to_quarantine_and_hold_nobody_up(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    redis_client.set(RQ_KEYS.job("text"), "x")
    plant_record(redis_client, "", "homeless")
    plant_record(redis_client, "broken", "stranded")
    redis_client.set(RQ_KEYS.queue("broken"), "x")
    plant_record(redis_client, "default", "fine")
    redis_client.rpush(KEYS.inbox("a", identity), "text", "homeless", "stranded", "fine")
    plant_record(redis_client, "default", "odd-lease", status="started")
    redis_client.hset(KEYS.running("a", identity), "odd-lease", "what is this")

    assert recover(redis_url) == Recovered(given_back=2, quarantined=3)
    assert queue_ids(redis_client) == ["odd-lease", "fine"]
    assert set(redis_client.zrange(KEYS.quarantine, 0, -1)) == {b"text", b"homeless", b"stranded"}
    assert redis_client.hget(KEYS.quarantine_reasons, "stranded") == b"the key of queue broken is not a list"
    assert event_names(redis_client).count("job.quarantined") == 3


def test_an_identity_that_is_not_lost_keeps_its_jobs(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a")
    redis_client.rpush(KEYS.inbox("a", identity), "1")

    assert recover(redis_url) == Recovered()
    assert redis_client.llen(KEYS.inbox("a", identity)) == 1


def test_a_job_that_was_enqueued_anew_and_runs_elsewhere_is_not_given_back(
    redis_client: redis.Redis, redis_url: str
) -> None:
    lead(redis_client)
    identity = lose(redis_client)
    plant_record(redis_client, "default", "twice")
    plant_lease(redis_client, "a", identity, "twice", 1)
    plant_lease(redis_client, "b", "1-b", "twice", 1)

    assert recover(redis_url) == Recovered(dropped=1)
    assert (status(redis_client, "twice"), queue_ids(redis_client)) == ("started", [])
