"""`farm drain` and `farm resume`: what is told to a host, and what it says of that.

The host's own part is in tests/host/test_desired.py.
"""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from tests.cli.test_host_command import JOB, plant_processes
from tests.support.planted import KEYS, plant_host, plant_lease
from tests.support.waiting import wait_until

Command = Callable[..., Result]


@pytest.fixture
def farm(redis_url: str) -> Command:
    """Runs `farm` with arguments."""

    def run(*arguments: str) -> Result:
        return CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, arguments)

    return run


def desired(client: redis.Redis) -> dict[bytes, bytes]:
    return client.hgetall(KEYS.desired("worker-1"))


def test_a_host_is_told_to_drain_and_to_stay(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")
    run = farm("drain", "worker-1")

    assert run.exit_code == 0
    assert run.stdout == "host worker-1 was asked to drain: it takes nothing new until `farm resume worker-1`\n"
    assert desired(redis_client) == {b"drain": b"stay"}
    assert 0 < redis_client.ttl(KEYS.desired("worker-1")) <= 60


def test_a_host_is_told_to_drain_and_to_end(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")

    assert "ends after its jobs" in farm("drain", "worker-1", "--exit").stdout
    assert desired(redis_client) == {b"drain": b"exit"}
    run = farm("resume", "worker-1")
    assert run.exit_code == 1
    assert "cannot be resumed" in run.stderr
    assert desired(redis_client) == {b"drain": b"exit"}


def test_what_still_runs_is_said(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", state="draining")
    plant_processes(redis_client)
    plant_lease(redis_client, "worker-1", JOB)
    run = farm("drain", "worker-1", "--wait", "0.1")

    assert run.exit_code == 5
    assert "after 0.1 s 1 job still runs on host worker-1" in run.stderr
    assert [line.split("\t")[1:4] for line in run.stdout.splitlines()[-1:]] == [[JOB, "shop.bill", "high"]]
    told = farm("drain", "worker-1", "--json")
    assert told.exit_code == 0
    shown = json.loads(told.stdout)
    assert [(job["job_id"], job["function"], job["attempt"]) for job in shown.pop("running")] == [(JOB, "shop.bill", 2)]
    assert shown == {"host": "worker-1", "drain": "stay", "drained": False, "state": "draining", "inbox": 0}


def test_a_wait_ends_when_the_host_drains_and_nothing_runs_there(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", state="draining")
    run = farm("drain", "worker-1", "--wait", "30")

    assert (run.exit_code, run.stdout) == (0, "host worker-1 is drained: nothing runs there\n")
    assert json.loads(farm("drain", "worker-1", "--wait", "30", "--json").stdout)["drained"] is True


def test_a_wait_is_over_in_time_though_the_host_says_nothing(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", age=5)
    run = farm("drain", "worker-1", "--wait", "0.1")

    assert run.exit_code == 5
    assert "it is suspect (no beat for 5 s)" in run.stdout
    assert "though nothing runs there" in run.stderr


def test_a_wait_for_the_exit_ends_when_the_host_has_left(
    redis_client: redis.Redis, farm_environment: dict[str, str]
) -> None:
    plant_host(redis_client, "worker-1", state="draining")
    command = [sys.executable, "-m", "farm", "drain", "worker-1", "--exit", "--wait", "30"]
    with subprocess.Popen(command, env=farm_environment, stdout=subprocess.PIPE, text=True) as process:
        wait_until(lambda: desired(redis_client), "it was told", 20)
        assert process.poll() is None, "a host that drains has not left"
        redis_client.zrem(KEYS.hosts, "worker-1")
        output, _ = process.communicate(timeout=20)

    assert (process.returncode, output) == (0, "host worker-1 has left\n")


def test_a_drained_host_is_resumed(farm: Command, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")
    farm("drain", "worker-1")

    assert farm("resume", "worker-1").stdout == "host worker-1 was asked to take jobs again\n"
    assert desired(redis_client) == {b"drain": b"no"}
    assert farm("resume", "worker-1").stdout == "host worker-1 was not drained: it is available\n"


def test_a_host_that_drains_though_nothing_says_so_any_more_is_resumed(
    farm: Command, redis_client: redis.Redis
) -> None:
    plant_host(redis_client, "worker-1", state="draining")
    run = farm("resume", "worker-1", "--json")

    assert json.loads(run.stdout) == {"host": "worker-1", "was_drained": True, "state": "draining"}
    assert desired(redis_client) == {b"drain": b"no"}


@pytest.mark.parametrize("command", ["drain", "resume"])
def test_a_host_that_is_not_there_ends_with_4_and_names_those_that_are(
    farm: Command, redis_client: redis.Redis, command: str
) -> None:
    for number in range(12):
        plant_host(redis_client, f"worker-{number:02}")
    run = farm(command, "worker-111")

    assert run.exit_code == 4
    assert "did you mean worker-11?" in run.stderr
    assert "worker-00, worker-01" in run.stderr
    assert "and 2 more" in run.stderr
    assert not redis_client.keys("*:desired")
