"""`farm scale`: the numbers that whoever starts and ends hosts needs, for people, as JSON, and by HTTP."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.error import HTTPError

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.redis_server import RedisServer
from tests.support.planted import (
    KEYS,
    RQ_KEYS,
    now,
    plant_deferral,
    plant_host,
    plant_leader,
    plant_lease,
    plant_queue,
)
from tests.support.waiting import wait_until

Scale = Callable[..., Result]
FIELDS = [
    *("at", "queues", "queued", "placed", "running", "deferred", "deferred_reason", "oldest_wait", "hosts", "draining"),
    *("capacity", "free", "jobs_per_host", "slots_needed", "desired_hosts", "why", "unserved", "complete"),
]


@pytest.fixture
def scale(redis_url: str) -> Scale:
    """Runs `farm scale` with arguments."""
    return lambda *arguments: CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, ["scale", *arguments])


def answer(scale: Scale, *arguments: str) -> dict[str, object]:
    result = scale("--json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def picked(found: dict[str, object], *names: str) -> tuple[object, ...]:
    return tuple(found[name] for name in names)


def plant_waiting(client: redis.Redis, queue: str, *ages: float) -> None:
    """Jobs enqueued so many seconds ago, head first."""
    plant_queue(client, queue)
    for number, age in enumerate(ages):
        at = datetime.fromtimestamp(now(client) - age, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        client.hset(RQ_KEYS.job(f"{queue}-{number}"), mapping={"status": "queued", "enqueued_at": at})
        client.rpush(RQ_KEYS.queue(queue), f"{queue}-{number}")


def test_an_empty_farm_wants_no_host(scale: Scale) -> None:
    found = answer(scale)
    assert list(found) == FIELDS
    assert picked(found, "queued", "running", "hosts", "capacity", "desired_hosts") == (0, 0, 0, 0, 0)


def test_what_waits_without_any_host_wants_one_and_says_why(scale: Scale, redis_client: redis.Redis) -> None:
    plant_waiting(redis_client, "default", *[5.0] * 40)
    redis_client.hset(KEYS.deferral("default"), mapping={"since": now(redis_client), "reason": "no host", "count": 40})
    found = answer(scale)
    assert picked(found, "queued", "deferred", "deferred_reason", "desired_hosts") == (40, 40, "no host", 1)
    shown = scale().stdout
    assert "deferred  40: no host\n" in shown
    assert "no host tells how many jobs one carries: 1 to begin with" in shown
    assert answer(scale, "--jobs-per-host", "8")["desired_hosts"] == 5
    assert scale("--number", "--jobs-per-host", "8").stdout == "5\n"


def test_the_numbers_are_those_of_the_hosts_that_serve_the_queues(scale: Scale, redis_client: redis.Redis) -> None:
    plant_leader(redis_client)
    plant_host(redis_client, "one", queues="calls", slots=8, capacity=8)
    plant_host(redis_client, "two", queues="calls,low", slots=4, capacity=2, state="full")
    plant_host(redis_client, "elsewhere", queues="reports", slots=100, capacity=100)
    plant_host(redis_client, "leaving", queues="calls", slots=8, capacity=0, state="draining")
    plant_host(redis_client, "gone", queues="calls", age=60)
    for number in range(3):
        plant_lease(redis_client, "one", f"calls-running-{number}", "calls")
    plant_lease(redis_client, "two", "low-running", "low")
    redis_client.rpush(KEYS.inbox("one", "1-abcdef01"), "placed")
    plant_waiting(redis_client, "calls", 61.0, 5.0)
    plant_waiting(redis_client, "reports", 3000.0)

    found = answer(scale, "--queue", "calls")
    assert picked(found, "queued", "placed", "running", "hosts", "draining") == (2, 1, 3, 2, 1)
    assert picked(found, "capacity", "free") == (12, 4 + 1)
    assert found["jobs_per_host"] == 5.0
    assert 60 < float(str(found["oldest_wait"])) < 100
    assert found["desired_hosts"] == 2  # 4 run there, 2 wait and 1 is placed; the two carry 8 and 2
    assert found["unserved"] == ["reports"]
    assert answer(scale)["queues"] == ["calls", "low", "reports"]


def test_people_see_it_on_one_screen(scale: Scale, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", queues="default", state="full", slots=8, capacity=6)
    for number in range(6):
        plant_lease(redis_client, "worker-1", f"running-{number}")
    plant_waiting(redis_client, "default", *[200.0] * 12)
    plant_deferral(redis_client, "default", seconds=100, count=12)
    shown = scale("--max", "2").stdout
    assert shown.splitlines() == [
        "queues    default",
        "queued    12, the oldest for 3m 20s",
        "running   6",
        "deferred  12: every host is full",
        "capacity  8 slots of 1 host; 0 free now",
        "desired   2 hosts",
        "why       6 run and 12 wait, each with a slot of its own as nothing is known of how long they take: 18 slots; "
        "a host carries 6 (what it holds while full): 3 hosts, but at most 2",
    ]


USAGE = dict.fromkeys(("user", "system", "children", "wait", "waits", "memory"), 0.0) | {
    "memory_buckets": {},
    "wall_buckets": {},
    "cpu_buckets": {},
}
"""What is kept of a function, but for its jobs and their time."""


def test_what_was_measured_of_functions_counts(scale: Scale, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", queues="default", slots=8)
    plant_waiting(redis_client, "default", *[1.0] * 400)
    assert answer(scale)["desired_hosts"] == 50
    entry = USAGE | {"at": now(redis_client), "jobs": 10.0, "weight": 10.0, "wall": 30.0, "counted": 10}
    redis_client.hset(KEYS.usage("default"), "shop.bill", json.dumps(entry))
    redis_client.expire(KEYS.usage("default"), 60)
    found = answer(scale, "--within", "1m")
    assert picked(found, "slots_needed", "desired_hosts") == (20.0, 3)
    assert "3 s each by what was measured, to be done in 60 s: 20 slots" in str(found["why"])


def test_a_function_whose_first_jobs_still_run_counts_as_a_long_one(scale: Scale, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", queues="default", slots=8)
    plant_waiting(redis_client, "default", *[1.0] * 400)
    entry = USAGE | {"at": now(redis_client), "jobs": 0.5, "weight": 0.5, "wall": 1.24, "counted": 0}
    redis_client.hset(KEYS.usage("default"), "shop.bill", json.dumps(entry))
    redis_client.expire(KEYS.usage("default"), 60)

    assert answer(scale)["desired_hosts"] == 50


def test_scheduled_jobs_that_are_due_wait_like_others(scale: Scale, redis_client: redis.Redis) -> None:
    plant_queue(redis_client, "default")
    at = now(redis_client)
    redis_client.zadd(RQ_KEYS.scheduled("default"), {"due": at - 5, "later": at + 500})
    found = answer(scale)
    assert picked(found, "queued", "desired_hosts") == (1, 1)


def test_the_job_put_at_the_head_last_does_not_hide_the_older_ones(scale: Scale, redis_client: redis.Redis) -> None:
    plant_waiting(redis_client, "default", 2.0, 90.0)
    assert float(str(answer(scale)["oldest_wait"])) > 89


def test_keys_of_a_wrong_type_count_as_empty(scale: Scale, redis_client: redis.Redis) -> None:
    for key in (RQ_KEYS.queue("default"), RQ_KEYS.scheduled("default"), KEYS.usage("default")):
        redis_client.set(key, "text", ex=60)
    assert answer(scale, "--queue", "default")["desired_hosts"] == 0


def test_it_asks_redis_as_often_however_much_waits(scale: Scale, redis_client: redis.Redis) -> None:
    def asked() -> int:
        before = redis_client.info("stats")["total_commands_processed"]
        answer(scale)
        return int(redis_client.info("stats")["total_commands_processed"] - before)

    plant_host(redis_client, "worker-1", queues="default")
    plant_waiting(redis_client, "default", *[1.0] * 10)
    few = asked()
    plant_waiting(redis_client, "default", *[1.0] * 3000)
    assert asked() == few < 60


@pytest.mark.parametrize(
    "arguments",
    [
        ["--within", "soon"],
        ["--min", "3", "--max", "2"],
        ["--listen", "here"],
        ["--jobs-per-host", "0"],
        ["--json", "--number"],
    ],
)
def test_what_makes_no_sense_is_refused(scale: Scale, arguments: list[str]) -> None:
    assert scale(*arguments).exit_code == 2


def test_without_redis_it_ends_with_3() -> None:
    runner = CliRunner(env={"FARM_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert runner.invoke(command_line, ["scale", "--json"]).exit_code == 3


def test_an_address_in_use_is_an_error_of_one_line(scale: Scale) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = scale("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert result.exit_code == 1
    assert "cannot listen at 127.0.0.1:" in result.stderr


def test_a_scaler_gets_the_same_by_http_each_time_as_it_is_then(
    own_redis: RedisServer, farm_environment: dict[str, str]
) -> None:
    environment = farm_environment | {"FARM_REDIS_URL": own_redis.url}
    command = [sys.executable, "-m", "farm", "scale", "--max", "5", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        address = next(found[1] for line in lines if (found := re.match(r"listens at (\S+)", line)))

        def desired() -> object:
            with urllib.request.urlopen(f"http://{address}/", timeout=10) as response:
                assert response.headers["Content-Type"] == "application/json"
                return json.loads(response.read())["desired_hosts"]

        assert desired() == 0
        with redis.Redis.from_url(own_redis.url) as client:
            plant_waiting(client, "default", 1.0)
        assert desired() == 1
        own_redis.stop()
        with pytest.raises(HTTPError, match="503"):
            desired()
        own_redis.start()
        wait_until(lambda: _answers(desired), "it answers again")
        # who sends nothing does not keep others waiting for ever
        host, port = address.split(":")
        with socket.create_connection((host, int(port))):
            since = time.monotonic()
            assert desired() is not None
            assert time.monotonic() - since < 30
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def _answers(desired: Callable[[], object]) -> bool:
    try:
        return desired() is not None
    except HTTPError:
        return False
