"""Payloads that processes read from Redis themselves, on real hosts."""

import hashlib
import os

import pytest

from farm.redis_server import RedisServer
from tests.support.farm import Farm


@pytest.mark.parametrize("executor", ["process", "thread"])
def test_large_and_small_jobs_all_get_what_was_enqueued(farm: Farm, executor: str) -> None:
    farm.host(processes=2, executor=executor)
    payloads = [os.urandom(200_000 if number % 3 else 10) for number in range(60)]

    jobs = [farm.enqueue("digest", payload) for payload in payloads]

    farm.wait_for(*jobs)
    expected = [hashlib.sha256(payload).hexdigest() for payload in payloads]
    assert [farm.fetch(job).return_value() for job in jobs] == expected


def test_large_jobs_outlive_a_restart_of_redis(own_farm: Farm, own_redis: RedisServer) -> None:
    own_farm.host(processes=2)
    payloads = [os.urandom(200_000) for _ in range(100)]
    jobs = [own_farm.enqueue("digest", payload) for payload in payloads]

    own_redis.stop()
    own_redis.start()

    own_farm.wait_for(*jobs, timeout=30)
    expected = [hashlib.sha256(payload).hexdigest() for payload in payloads]
    assert [own_farm.fetch(job).return_value() for job in jobs] == expected
    assert own_farm.count("failed") == 0
