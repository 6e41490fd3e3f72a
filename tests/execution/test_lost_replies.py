"""Replies of Redis that are lost after the command was carried out: nothing is done twice, and nothing is forgotten."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from rq import Queue
from rq.job import Job

import farm_worker.host
from farm.coordinator.coordinator import Coordinator
from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm_settings import load
from farm_worker.hooks import Hooks
from farm_worker.host import Host
from farm_worker.stopping import Stopping
from tests.support.waiting import wait_until

KEYS, RQ_KEYS = Keys(), RqKeys()
USER_MODULES = Path(__file__).parents[1] / "support" / "user_modules"
JOBS = 300


class Faults:
    """Loses a share of the replies to the clients made by `connect`, once it is armed."""

    def __init__(self, share: float) -> None:
        self.armed = False
        self.lost = 0
        self._share = share
        self._random = random.Random(7)

    def connect(self, url: str, *, name: str = "") -> redis.asyncio.Redis:
        client = connect_async(url, name=name)
        pool: Any = client.connection_pool
        faults = self

        class Faulty(pool.connection_class):
            greets = False

            async def on_connect(self) -> None:
                self.greets = True
                try:
                    await super().on_connect()
                finally:
                    self.greets = False

            async def read_response(self, *arguments: Any, **options: Any) -> Any:
                reply = await super().read_response(*arguments, **options)
                if not self.greets and faults.loses_this():
                    await self.disconnect(nowait=True)
                    raise redis.ConnectionError("the reply was lost")
                return reply

        pool.connection_class = Faulty
        return client

    def loses_this(self) -> bool:
        loses = self.armed and self._random.random() < self._share
        self.lost += loses
        return loses


async def host_of(url: str) -> Host:
    environment = {
        **os.environ,
        "FARM_REDIS_URL": url,
        "FARM_NAME": "one",
        "FARM_PROCESSES": "2",
        "FARM_APP": "calm",
        "FARM_PATH": str(USER_MODULES),
        "FARM_STANDBY_COORDINATOR": "false",
        "FARM_LOG_JOBS": "failures",
    }
    settings = load(environ=environment)
    return Host(settings, url, await Hooks.start(settings, environment), Stopping(), environment, {}, None)


async def until_ended(host: Host, client: redis.Redis, faults: Faults) -> list[Job]:
    """The jobs: they come once there is a host for them, as without one they would be deferred."""
    running = asyncio.create_task(host.run())

    def on(predicate: Any, description: str) -> Any:
        return asyncio.to_thread(wait_until, lambda: running.done() or predicate(), description, 40)

    await on(lambda: client.hget(KEYS.host("one"), "state") == b"available", "the host is available")
    client.set(RQ_KEYS.suspended, 1)
    prepared = [Queue.prepare_data("system_jobs.count_and_pause", (0.0,)) for _ in range(JOBS)]
    jobs = Queue("default", connection=client).enqueue_many(prepared)
    faults.armed = True
    client.delete(RQ_KEYS.suspended)
    await on(lambda: client.hget(KEYS.counts("default"), "finished") == b"%d" % JOBS, "all jobs are done")
    faults.armed = False
    host.stopping.request("the test is over")
    await running
    return jobs


@pytest.mark.parametrize("share", [pytest.param(0.05, marks=pytest.mark.slow), 0.2])
def test_each_job_runs_once_and_is_recorded_once(
    redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    faults = Faults(share)
    monkeypatch.setattr(farm_worker.host, "connect_async", faults.connect)
    monkeypatch.setattr("farm.coordinator.coordinator.connect_async", faults.connect)

    async def scenario() -> list[Job]:
        settings = load(environ={})
        coordinator = Coordinator(redis_url, KEYS, RQ_KEYS, settings.lease, settings.admission, "leader")
        leading = asyncio.create_task(coordinator.run())
        try:
            return await until_ended(await host_of(redis_url), redis_client, faults)
        finally:
            coordinator.stop()
            await leading

    jobs = asyncio.run(scenario())

    effects = redis_client.hgetall("test:effects")
    assert faults.lost > 3
    assert effects == {job.id.encode(): b"1" for job in jobs}
    assert {redis_client.xlen(RQ_KEYS.results(job.id)) for job in jobs} == {1}
    assert {job.get_status() for job in Job.fetch_many([job.id for job in jobs], redis_client) if job} == {"finished"}
    counts = {
        name: value for name, value in redis_client.hgetall(KEYS.counts("default")).items() if name != b"recalled"
    }
    assert counts == {b"finished": b"%d" % JOBS}
    assert redis_client.exists(RQ_KEYS.queue("default"), KEYS.lost, *redis_client.keys("farm:host:one:*")) == 0
