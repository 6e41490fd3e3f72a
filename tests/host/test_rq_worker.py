"""RQ's worker with the farm inside, as its own program and in the program of others."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue
from rq.job import Job

from farm.keys import Keys
from farm.store.client_address import address_of
from farm.store.connection import connect
from farm_worker.rq import Worker
from tests.support.farm import USER_MODULES
from tests.support.waiting import wait_until

KEYS = Keys()
RQ = str(Path(sys.executable).parent / "rq")


@pytest.fixture
def queue(redis_client: redis.Redis) -> Queue:
    return Queue("default", connection=redis_client)


@contextmanager
def rq_worker(redis_url: str, environment: Mapping[str, str], *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [RQ, "worker", "-w", "farm_worker.rq.Worker", "--url", redis_url, *options]
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def states(client: redis.Redis) -> list[bytes | None]:
    """Of all hosts."""
    return [client.hget(KEYS.host(name.decode()), "state") for name in client.hkeys(KEYS.identities)]


def test_a_burst_runs_all_jobs_and_ends(redis_url: str, farm_environment: dict[str, str], queue: Queue) -> None:
    jobs = [queue.enqueue("math.sqrt", number) for number in range(30)]
    jobs += [queue.enqueue("math.sqrt", -1)]
    with rq_worker(redis_url, farm_environment, "--burst") as process:
        output, _ = process.communicate(timeout=50)
    assert process.returncode == 0, output
    assert [job.return_value() for job in jobs[:3]] == [0.0, 1.0, 2.0**0.5]
    assert {job.get_status() for job in jobs[:-1]} == {"finished"}
    assert jobs[-1].get_status() == "failed"
    assert (queue.count, len(queue.started_job_registry)) == (0, 0)


def test_term_lets_the_running_job_end_and_starts_no_other(
    redis_url: str, farm_environment: dict[str, str], queue: Queue
) -> None:
    running, waiting = queue.enqueue("system_jobs.wait_for_go"), queue.enqueue("math.sqrt", 4)
    client = queue.connection
    with rq_worker(redis_url, farm_environment, "--path", str(USER_MODULES)) as process:
        wait_until(lambda: client.hexists("test:pids", running.id), "the first job runs", 30)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: states(client) == [b"draining"], "the worker takes no more")
        client.set("test:go", 1)
        output, _ = process.communicate(timeout=50)
    assert process.returncode == 0, output
    assert (running.get_status(), waiting.get_status()) == ("finished", "queued")
    assert queue.job_ids == [waiting.id]


def test_what_it_is_given_needs_no_name(redis_client: redis.Redis) -> None:
    class OwnJob(Job):
        """In no module."""

    def handler(job: Job, *_: Any) -> None:
        job.meta["seen by"] = f"{type(job).__name__} in {os.getpid()}"
        job.save_meta()

    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("math.sqrt", -1)
    assert Worker([queue], job_class=OwnJob, exception_handlers=[handler]).work(burst=True)
    job.refresh()
    assert job.meta["seen by"].startswith("OwnJob in ")
    assert not job.meta["seen by"].endswith(f" {os.getpid()}")


def test_a_burst_without_jobs_says_so(redis_client: redis.Redis) -> None:
    assert not Worker(["default"], connection=redis_client).work(burst=True)
    assert not redis_client.zcard(KEYS.hosts)


def test_the_address_of_a_client_leads_to_the_same_redis(redis_client: redis.Redis) -> None:
    redis_client.set("here", "1", ex=60)
    with connect(address_of(redis_client)) as client:
        assert client.get("here") == b"1"


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://user:pass%40word@[::1]:7000/3",
        "rediss://:secret@example.org:6380/1?ssl_cert_reqs=none",
        "unix://:secret@/run/redis.sock?db=2",
        "redis+sentinel://:secret@one:26379,two:26380/main/1",
    ],
)
def test_an_address_survives_the_client(url: str) -> None:
    client = connect(url)
    again = connect(address_of(client))
    ours, theirs = client.connection_pool, again.connection_pool
    names = ("host", "port", "db", "username", "password", "path", "ssl_cert_reqs")
    assert [ours.connection_kwargs.get(name) or None for name in names] == [
        theirs.connection_kwargs.get(name) or None for name in names
    ]
    assert ours.connection_class is theirs.connection_class
