"""What a client sees of the processes and hosts that ended under its job."""

import asyncio

import pytest
import redis

import farm
from farm import AsyncClient, Client, JobNotFound
from tests.client import sample_jobs

CRASH = (
    '{"at": "2026-01-02T03:04:05+00:00", "host": "one", "reason": "crashed", "attempt": 1, "signal": "SIGSEGV",'
    ' "memory": 7, "detail": "process 3 was killed", "last_lines": ["about to", "crash"]}'
)
LOSS = '{"at": "2026-01-02T03:05:05.123456Z", "host": "two", "reason": "host_lost", "attempt": 2, "silent": 10.5}'


def test_a_handle_tells_of_each_end_in_order(redis_client: redis.Redis, redis_url: str) -> None:
    job = Client(connection=redis_client).queue().enqueue(sample_jobs.add, 1)
    redis_client.hset(f"rq:job:{job.id}", "farm_evidence", f"{CRASH}\n{LOSS}")

    crash, loss = job.evidence()

    assert isinstance(crash, farm.Evidence)
    assert (crash.signal, crash.memory, crash.last_lines) == ("SIGSEGV", 7, ("about to", "crash"))
    assert crash.sentence() == "2026-01-02T03:04:05+00:00, host one, attempt 1: process 3 was killed"
    assert loss.sentence().endswith("host two, attempt 2: the host was lost, 10.5 s after its last beat")
    assert job.status().evidence == (crash, loss)

    async def asked() -> tuple[farm.Evidence, ...]:
        async with AsyncClient(redis_url) as client:
            return await client.job(job.id).evidence()

    assert asyncio.run(asked()) == (crash, loss)


def test_a_job_that_nothing_ended_under_has_none_and_one_that_is_gone_is_not_found(redis_client: redis.Redis) -> None:
    client = Client(connection=redis_client)

    assert client.queue().enqueue(sample_jobs.add, 1).evidence() == ()
    with pytest.raises(JobNotFound):
        client.job("gone").evidence()
