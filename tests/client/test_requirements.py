"""What a job requires of its host: written by the client, and there for as long as the job."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Job
from rq.registry import FailedJobRegistry

import farm.testing
from farm.client import AsyncClient, Call, Client, InvalidCall
from farm.keys import Keys, RqKeys
from farm.requirements import LABEL
from farm.store.job_reader import JobReader
from farm.store.job_status import Decline
from farm_settings import InvalidSetting, load
from tests.client import sample_jobs
from tests.client.running import run_all

NEEDS: Any = {"requires": ["large", "gpu", "gpu"], "memory_mb": 4096}
WRITTEN = [b"gpu,large", b"4096"]


def needs_of(client: redis.Redis, job_id: str) -> list[bytes | None]:
    found: list[bytes | None] = client.hmget(f"rq:job:{job_id}", "farm_requires", "farm_memory_mb")
    return found


def test_every_way_to_enqueue_writes_what_the_job_requires(client: Client, redis_client: redis.Redis) -> None:
    first = client.queue().enqueue(sample_jobs.add, 1)
    later = datetime.now(UTC) + timedelta(hours=1)
    jobs = [
        client.queue(**NEEDS).enqueue(sample_jobs.add, 1),
        client.queue(**NEEDS, unique=True, job_id="one").enqueue(sample_jobs.add, 1),
        client.queue(**NEEDS, delay=60).enqueue(sample_jobs.add, 1),
        client.queue(**NEEDS, at=later).enqueue(sample_jobs.add, 1),
        client.queue(**NEEDS, depends_on=first).enqueue(sample_jobs.add, 1),
        *client.queue(**NEEDS).enqueue_many([Call(sample_jobs.add, (1,)), ("shop.bill", (), {})]),
        *client.queue().enqueue_many([Call(sample_jobs.add, (1,), options=NEEDS)]),
    ]

    assert [needs_of(redis_client, job.id) for job in jobs] == [WRITTEN] * len(jobs)
    assert needs_of(redis_client, first.id) == [None, None]


def test_the_asynchronous_client_writes_the_same(redis_url: str, redis_client: redis.Redis) -> None:
    async def enqueue() -> str:
        async with AsyncClient(redis_url) as client:
            return (await client.queue(**NEEDS).enqueue(sample_jobs.add, 1)).id

    assert needs_of(redis_client, asyncio.run(enqueue())) == WRITTEN


def test_they_outlive_a_retry_a_failure_and_a_requeue(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(**NEEDS, retry=Retry(max=1)).enqueue(sample_jobs.fail, "text")
    run_all(redis_client)
    assert Job.fetch(job.id, connection=redis_client).is_failed
    FailedJobRegistry(queue=Queue(connection=redis_client)).requeue(job.id)

    assert needs_of(redis_client, job.id) == WRITTEN
    status = job.status()
    assert (status.requires, status.memory_mb) == (("gpu", "large"), 4096)
    Job.fetch(job.id, connection=redis_client).delete()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"requires": "gpu"}, r"requires='gpu': give a list of labels, as in requires=\["),
        ({"requires": {"gpu": 1}}, "give a list of labels"),
        ({"requires": ["g,pu"]}, "'g,pu' is no label, which has letters"),
        ({"requires": [""]}, "'' is no label"),
        ({"memory_mb": -1}, "memory_mb=-1: give a whole number of megabytes above 0"),
        ({"memory_mb": "4G"}, "memory_mb='4G'"),
        ({"memory_mb": True}, "memory_mb=True"),
    ],
)
def test_requirements_that_make_no_sense_are_refused(client: Client, options: Any, message: str) -> None:
    with pytest.raises(InvalidCall, match=message):
        client.queue(**options)


@pytest.mark.parametrize("label", ["gpu", "zone=eu", "a.b-c_9", "g pu", "g,pu", "g|pu", "gpü", "a:b"])
def test_a_label_that_a_job_can_require_is_one_that_a_host_can_have(label: str) -> None:
    if LABEL.fullmatch(label):
        assert load({"labels": [label]}, environ={}).host.labels == (label,)
    else:
        with pytest.raises(InvalidSetting, match=r"letters, digits and _ \. - = only"):
            load({"labels": [label]}, environ={})


def test_the_testing_kit_takes_them(redis_client: redis.Redis) -> None:
    with farm.testing.FakeFarm() as fake:
        fake.client.queue(**NEEDS).enqueue(sample_jobs.add, 1)
        options = fake.assert_enqueued(sample_jobs.add, 1).options
        assert (options.requires, options.memory_mb) == (("gpu", "large"), 4096)


def test_a_status_tells_who_declined_and_leaves_out_what_is_over(client: Client, redis_client: redis.Redis) -> None:

    job = client.queue().enqueue(sample_jobs.add, 1)
    now = redis_client.time()[0]
    declined = {
        "two|1-b": {"until": now + 60, "reason": "no GPU"},
        "one|2-a": {"until": now + 60, "reason": "busy"},
        "old|1-c": {"until": now - 1, "reason": "over"},
        "odd": 7,
        "odder|x": {"until": "soon"},
    }
    redis_client.hset(f"rq:job:{job.id}", "farm_declined", json.dumps(declined))
    until = datetime.fromtimestamp(now + 60, UTC)
    assert job.status().declined == (Decline("one", "busy", until), Decline("two", "no GPU", until))

    reader = JobReader(redis_client, Keys(), RqKeys())
    for nonsense in ("{", "[]", "7", '{"a|b": {"until": 1e400}}', b"\xff"):
        redis_client.hset(f"rq:job:{job.id}", "farm_declined", nonsense)
        found = reader.status(job.id)
        assert found is not None
        assert found.declined == ()
