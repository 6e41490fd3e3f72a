"""Deferral in place: the mark of a queue, and the index of its ids."""

from datetime import UTC, datetime

import pytest
import redis

from farm.store import deferral
from farm.store.deferral import DeferralStore, Progress
from tests.support.coordinated import (
    KEYS,
    RQ_KEYS,
    call,
    event_names,
    lead,
    leader,
    now,
    plant_jobs,
    plant_record,
    queue_ids,
    status,
)


def defer(url: str, queue: str = "default", reason: str = "every host is full") -> Progress:
    return call(
        url, lambda client: DeferralStore(client, KEYS, RQ_KEYS).defer(leader(client), queue, reason, "a=0.900")
    )


def undefer(url: str, queue: str = "default") -> bool:
    return call(url, lambda client: DeferralStore(client, KEYS, RQ_KEYS).undefer(leader(client), queue, "room"))


def index(client: redis.Redis, queue: str = "default") -> dict[str, float]:
    return {job_id.decode(): since for job_id, since in client.zrange(KEYS.deferred(queue), 0, -1, withscores=True)}


@pytest.mark.every_engine
def test_a_deferred_queue_is_marked_and_its_jobs_stay_in_it(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "1", "2")
    before = now(redis_client)

    first, second = defer(redis_url), defer(redis_url)

    assert (first, second) == (Progress(2, 2, True), Progress(2, 2, False))
    mark = redis_client.hgetall(KEYS.deferral("default"))
    assert before - 1 <= float(mark[b"since"]) <= now(redis_client)
    assert mark[b"reason"] == b"every host is full"
    assert (mark[b"hosts"], mark[b"count"]) == (b"a=0.900", b"2")
    assert index(redis_client) == {"1": float(mark[b"since"]), "2": float(mark[b"since"])}
    assert queue_ids(redis_client) == ["1", "2"]
    assert redis_client.hget(KEYS.counts("default"), "deferred") == b"2"
    assert event_names(redis_client) == ["deferral.began"]


def test_an_id_that_came_later_is_deferred_since_then(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "1")
    defer(redis_url)
    later = now(redis_client) + 100
    text = datetime.fromtimestamp(later, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    plant_jobs(redis_client, "default", "2", enqueued_at=text)
    plant_record(redis_client, "default", "front", enqueued_at="not a time")
    redis_client.lpush(RQ_KEYS.queue("default"), "front", "no-record")

    progress = defer(redis_url)

    assert progress.indexed == 4
    since = float(redis_client.hget(KEYS.deferral("default"), "since"))
    assert index(redis_client) == pytest.approx({"1": since, "front": since, "no-record": since, "2": later}, abs=0.01)


def test_ids_that_left_the_queue_leave_the_index(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "1", "2", "3")
    defer(redis_url)
    redis_client.lrem(RQ_KEYS.queue("default"), 1, "2")
    plant_jobs(redis_client, "default", "4")

    assert defer(redis_url) == Progress(3, 3, False)
    assert set(index(redis_client)) == {"1", "3", "4"}


def test_the_index_holds_the_first_ids_only(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferral, "INDEX_SIZE", 25)
    monkeypatch.setattr(deferral, "PAGE_SIZE", 10)
    lead(redis_client)
    ids = [f"{number:02}" for number in range(40)]
    plant_jobs(redis_client, "default", *ids)

    first = defer(redis_url)
    indexed = set(index(redis_client))
    for job_id in ("new1", "new2"):
        plant_record(redis_client, "default", job_id)
        redis_client.lpush(RQ_KEYS.queue("default"), job_id)
    second = defer(redis_url)

    assert (first.length, indexed) == (40, set(ids[:25]))
    assert (second.length, set(index(redis_client))) == (42, {"new1", "new2", *ids[:23]})


def test_ending_a_deferral_leaves_the_jobs_and_nothing_else(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "1")
    defer(redis_url)

    assert [undefer(redis_url), undefer(redis_url)] == [True, False]
    assert redis_client.exists(KEYS.deferral("default"), KEYS.deferred("default")) == 0
    assert queue_ids(redis_client) == ["1"]
    assert event_names(redis_client) == ["deferral.began", "deferral.ended"]


def test_an_empty_or_missing_queue_is_not_marked(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)

    assert defer(redis_url) == Progress(0, 0, False)
    assert redis_client.exists(KEYS.deferral("default"), KEYS.events) == 0


def test_a_queue_of_the_wrong_type_is_an_error_that_writes_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    redis_client.set(RQ_KEYS.queue("default"), "x")

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        defer(redis_url)

    assert not redis_client.exists(KEYS.deferral("default"))


def test_jobs_deferred_for_too_long_are_failed_if_asked_for(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    plant_jobs(redis_client, "default", "old", "gone", "canceled", "young")
    defer(redis_url)
    redis_client.zadd(
        KEYS.deferred("default"), {job_id: now(redis_client) - 60 for job_id in ("old", "gone", "canceled")}
    )
    redis_client.lrem(RQ_KEYS.queue("default"), 1, "gone")
    redis_client.hset(RQ_KEYS.job("canceled"), "status", "canceled")

    def fail() -> int:
        return call(
            redis_url, lambda client: DeferralStore(client, KEYS, RQ_KEYS).fail(leader(client), "default", 30.0)
        )

    assert [fail(), fail()] == [1, 0]
    assert [status(redis_client, job_id) for job_id in ("old", "gone", "canceled")] == ["failed", "queued", "canceled"]
    assert queue_ids(redis_client) == ["canceled", "young"]
    assert set(index(redis_client)) == {"young"}


def test_a_stock_worker_counts_as_serving_a_queue(redis_client: redis.Redis, redis_url: str) -> None:
    def served() -> bool:
        async def work(client):
            return await DeferralStore(client, KEYS, RQ_KEYS).served_elsewhere("default", {"ours"})

        return call(redis_url, work)

    workers = RQ_KEYS.queue_workers("default")
    redis_client.sadd(workers, RQ_KEYS.worker("ours"), RQ_KEYS.worker("stale"))
    redis_client.hset(RQ_KEYS.worker("ours"), "state", "idle")

    assert not served()

    redis_client.sadd(workers, RQ_KEYS.worker("stock"))
    redis_client.hset(RQ_KEYS.worker("stock"), "state", "idle")
    assert served()
