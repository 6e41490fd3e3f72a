"""How far running jobs say that they are: kept under their lease only, and for one attempt."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
import redis

from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.execution import ExecutionStore, FinishBatch, StartBatch, new_batch_name
from farm.store.hosts import HostStore, Registration
from farm.store.job_reader import JobReader
from farm.store.job_status import Progress
from farm_worker.beginnings import assign
from farm_worker.endings import from_outcome
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.progress import to_field
from tests.support.outcomes import outcome

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()
HALF = Progress(0.5, "half", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


class Stores:
    def __init__(self, hosts: HostStore, jobs: ExecutionStore) -> None:
        self.hosts = hosts
        self.jobs = jobs


def run(url: str, body: Callable[[Stores, Registration], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as client:
            hosts = HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0)
            jobs = ExecutionStore(client, KEYS, RQ_KEYS, max_crashes=3, on_lost="rerun", on_lost_of_queues={})
            who = await hosts.register("one")
            assert isinstance(who, Registration)
            await body(Stores(hosts, jobs), who)

    asyncio.run(scenario())


def plant_running(client: redis.Redis, who: Registration, job_id: str = "a", token: str = "t" * 32) -> None:
    client.hset(RQ_KEYS.job(job_id), mapping={"status": "started", "origin": "default", "data": "x"})
    client.hset(KEYS.running(who.host, who.identity), job_id, f"{token}|default|1|1700000000|rerun|1")


def kept(client: redis.Redis, job_id: str = "a") -> bytes | None:
    return client.hget(RQ_KEYS.job(job_id), "farm_progress")


def test_progress_is_kept_on_the_job_and_read_back(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stores: Stores, who: Registration) -> None:
        jobs = [f"job-{number}" for number in range(150)]
        for job in jobs:
            plant_running(redis_client, who, job)
        await stores.hosts.keep_progress(who, [(job.encode(), "t" * 32, to_field(HALF)) for job in jobs])

        assert json.loads(kept(redis_client, jobs[-1]) or b"") == {
            "fraction": 0.5,
            "text": "half",
            "at": "2026-01-02T03:04:05Z",
        }
        status = JobReader(redis_client, KEYS, RQ_KEYS).status(jobs[0])
        assert status is not None
        assert status.progress == HALF

    run(redis_url, body)


def test_a_run_that_holds_no_lease_any_more_writes_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stores: Stores, who: Registration) -> None:
        plant_running(redis_client, who)
        plant_running(redis_client, who, "deleted")
        redis_client.delete(RQ_KEYS.job("deleted"))
        said = [(b"a", "o" * 32, b"old"), (b"deleted", "t" * 32, b"x"), (b"never", "t" * 32, b"x")]
        await stores.hosts.keep_progress(who, said)

        assert kept(redis_client) is None
        assert not redis_client.exists(RQ_KEYS.job("deleted"), RQ_KEYS.job("never"))

    run(redis_url, body)


def test_a_host_that_was_given_up_writes_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stores: Stores, who: Registration) -> None:
        plant_running(redis_client, who)
        redis_client.hset(KEYS.identities, "one", "2-other")

        with pytest.raises(HostFenced):
            await stores.hosts.keep_progress(who, [(b"a", "t" * 32, b"x")])
        assert kept(redis_client) is None

    run(redis_url, body)


def test_a_key_of_the_wrong_type_holds_up_no_other(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(stores: Stores, who: Registration) -> None:
        plant_running(redis_client, who, "odd")
        plant_running(redis_client, who)
        redis_client.delete(RQ_KEYS.job("odd"))
        redis_client.set(RQ_KEYS.job("odd"), "text")
        await stores.hosts.keep_progress(who, [(b"odd", "t" * 32, b"x"), (b"a", "t" * 32, b"y")])

        assert kept(redis_client) == b"y"

    run(redis_url, body)


def test_the_last_words_come_with_the_ending_and_go_with_the_next_attempt(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(stores: Stores, who: Registration) -> None:
        redis_client.hset(RQ_KEYS.job("a"), mapping={"status": "queued", "origin": "default", "data": "x"})
        redis_client.rpush(KEYS.inbox(who.host, who.identity), "a")
        started = await stores.jobs.exchange(who, None, StartBatch(new_batch_name(), 1), 1)
        assignment = assign(started.started[0])
        assignment.progress = HALF
        ending = from_outcome(assignment, _failed_to_be_retried(assignment.token))
        await stores.jobs.exchange(who, FinishBatch(1, new_batch_name(), [ending]), None, 0)
        assert kept(redis_client) == to_field(HALF), "no beat was between, and it is there"

        redis_client.lrem(RQ_KEYS.queue("default"), 0, "a")
        redis_client.rpush(KEYS.inbox(who.host, who.identity), "a")
        await stores.jobs.exchange(who, None, StartBatch(new_batch_name(), 1), 1)
        assert redis_client.hget(RQ_KEYS.job("a"), "status") == b"started"
        assert kept(redis_client) is None

    run(redis_url, body)


def _failed_to_be_retried(token: str) -> Outcome:
    return outcome("failed", job_id=b"a", token=token, again="back")
