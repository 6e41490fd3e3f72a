"""Outcomes of a host that is gone are written under its own lease, and refused when that was taken away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.job import Job

from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.execution import ExecutionStore, StartBatch, new_batch_name
from farm.store.hosts import HostStore, Registration
from farm_worker.settlement import settle_left
from farm_worker.spool import Spool
from tests.support.outcomes import ending

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()


class Machine:
    """A host that ran one job, whose outcome it could not deliver before it died."""

    def __init__(self, client: redis.Redis, store: ExecutionStore, hosts: HostStore, folder: Path) -> None:
        self.client, self.store, self.hosts, self.folder = client, store, hosts, folder

    async def run_and_die(self, job: Job) -> Registration:
        who = await self.hosts.register("one")
        assert isinstance(who, Registration)
        self.client.lrem(RQ_KEYS.queue("default"), 1, job.id)
        self.client.rpush(KEYS.inbox("one", who.identity), job.id)
        (started,) = (await self.store.exchange(who, None, StartBatch(new_batch_name(), 1), 1)).started
        spool = Spool(self.folder)
        spool.keep(who, None, [ending(started.job_id, started.token, ttl=500, queue="default")])
        spool.close()
        return who

    async def settle(self) -> None:
        await settle_left(self.folder, self.store, self.hosts)


def run(url: str, client: redis.Redis, folder: Path, body: Callable[[Machine], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as connection:
            store = ExecutionStore(connection, KEYS, RQ_KEYS, max_crashes=3, on_lost="rerun", on_lost_of_queues={})
            await body(Machine(client, store, HostStore(connection, KEYS, RQ_KEYS, host_timeout=10.0), folder))

    asyncio.run(scenario())


def test_the_outcome_is_recorded_and_the_job_does_not_run_again(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(machine: Machine) -> None:
        who = await machine.run_and_die(job)
        await machine.settle()
        assert job.get_status(refresh=True) == "finished"
        assert redis_client.hlen(KEYS.running("one", who.identity)) == 0
        assert list(tmp_path.iterdir()) == []

    run(redis_url, redis_client, tmp_path, body)


def test_what_comes_after_the_lease_was_taken_away_is_refused_and_counted(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(machine: Machine) -> None:
        await machine.run_and_die(job)
        redis_client.hset(KEYS.identities, "one", "2-another")
        await machine.settle()
        assert job.get_status(refresh=True) == "started"
        assert redis_client.hget(KEYS.counts("default"), "refused") == b"1"
        ((_, event),) = [one for one in redis_client.xrange(KEYS.events) if one[1][b"event"] == b"write.refused"]
        assert (event[b"host"], event[b"job"], event[b"outcomes"]) == (b"one", job.id.encode(), b"1")
        assert list(tmp_path.iterdir()) == []

    run(redis_url, redis_client, tmp_path, body)


def test_settling_twice_writes_nothing_twice(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(machine: Machine) -> None:
        await machine.run_and_die(job)
        (path,) = tmp_path.iterdir()
        kept = path.read_bytes()
        await machine.settle()
        path.write_bytes(kept)
        await machine.settle()
        assert redis_client.xlen(RQ_KEYS.results(job.id)) == 1
        assert redis_client.hget(KEYS.counts("default"), "finished") == b"1"

    run(redis_url, redis_client, tmp_path, body)
