"""examples/two_hosts.py: two hosts from one file on one machine."""

import sys
from pathlib import Path

import redis

import farm
from tests.support.example import running


def test_two_hosts_from_one_file_share_the_jobs(
    examples: Path, farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    with running([sys.executable, "two_hosts.py"], examples, farm_environment, redis_client, hosts=2):
        jobs = [
            farm.Client(farm_environment["FARM_REDIS_URL"]).queue("calls").enqueue("time.sleep", 0.2) for _ in range(40)
        ]
        for job in jobs:
            job.result(timeout=30)
        hosts = {redis_client.hget(f"rq:job:{job.id}", "worker_name") for job in jobs}

    assert hosts == {b"one", b"two"}
