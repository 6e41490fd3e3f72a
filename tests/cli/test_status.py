import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from farm.cli import command_line
from farm.cli.findings import duration
from tests.support.planted import (
    KEYS,
    RQ_KEYS,
    plant_deferral,
    plant_host,
    plant_leader,
    plant_lease,
    plant_queue,
)


@pytest.fixture
def status(redis_url):
    """Runs `farm status` with arguments."""

    def run(*arguments):
        return CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, ["status", *arguments])

    return run


def rows(output):
    """The cells of both tables, by the first one."""
    return {line.split("\t")[0]: line.split("\t") for line in output.splitlines() if "\t" in line}


def test_hosts_and_queues_are_shown_as_columns(status, redis_client):
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1", queues="default", state="full", load=0.91, busy=8, reason="load 0.91 is over")
    redis_client.rpush(KEYS.inbox("worker-1", "1-abcdef01"), "a", "b")
    plant_queue(redis_client, "default", 3)
    plant_lease(redis_client, "worker-1", "job")
    result = status()
    assert result.exit_code == 0
    shown = rows(result.stdout)
    assert shown["worker-1"] == ["worker-1", "full", "0.91/0.75", "8/8 +2", "31%", "default", "load 0.91 is over"]
    assert shown["default"] == ["default", "3", "0", "0", "0", "1", "0", "0"]
    assert "coordinator: worker-1 (epoch 7)" in result.stdout
    assert "Redis: " in result.stderr


def test_jobs_that_run_side_by_side_are_counted(status, redis_client):
    plant_host(redis_client, "worker-1", busy=2, jobs=40)
    plant_host(redis_client, "worker-2", busy=2, jobs=2)
    shown = rows(status().stdout)
    assert (shown["worker-1"][3], shown["worker-2"][3]) == ("2/8, 40 jobs", "2/8")


def test_a_silent_host_is_shown_as_such_and_not_by_what_it_said_last(status, redis_client):
    plant_host(redis_client, "worker-1", age=5)
    result = status()
    assert rows(result.stdout)["worker-1"][1] == "suspect"
    assert "host worker-1 is silent" in result.stdout


def test_an_empty_farm_says_what_to_do(status):
    result = status()
    assert result.exit_code == 0
    assert "no live host (0 jobs wait): start one with `farm worker`" in result.stdout
    assert "no coordinator leads" in result.stdout


def test_a_queue_that_no_host_serves_is_named_with_its_jobs(status, redis_client):
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "reports", 12)
    assert "no host serves queue reports (12 jobs wait)" in status().stdout
    redis_client.sadd(RQ_KEYS.queue_workers("reports"), RQ_KEYS.worker("stock"))
    assert "no host serves queue reports (12 jobs wait; one `rq worker` listens)" in status().stdout


def test_a_deferred_queue_says_since_when_and_because_of_what(status, redis_client):
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "default", 15)
    plant_deferral(redis_client, "default", seconds=3660, count=15)
    output = status().stdout
    assert rows(output)["default"][2] == "15, 1h"
    assert "queue default is deferred since 20" in output
    assert "(1h 1m) because every host is full (worker-1=0.91): 15 jobs wait" in output


def test_a_host_full_and_empty_says_what_uses_the_resource(status, redis_client):
    reason = "full with nothing running: other programs on this machine use 86% of the CPU (THRESHOLD is 0.75)"
    plant_host(redis_client, "worker-1", state="full", busy=0, reason=reason)
    assert f"host worker-1 is {reason}\n" in status().stdout


def test_what_cannot_be_read_is_a_question_mark_and_named(status, redis_client):
    plant_queue(redis_client, "default", 1)
    redis_client.set(RQ_KEYS.failed("default"), "text")
    output = status().stdout
    assert rows(output)["default"][-1] == "?"
    assert "rq:failed:default is no key of RQ's type" in output


def test_json_has_the_same_with_numbers(status, redis_client):
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1", labels="gpu,big")
    plant_queue(redis_client, "default", 2)
    plant_deferral(redis_client, "default", seconds=5, count=2)
    farm = json.loads(status("--json").stdout)
    assert farm["coordinator"] == {"name": "worker-1", "epoch": 7}
    (host,) = farm["hosts"]
    assert (host["name"], host["load"], host["slots"], host["labels"]) == ("worker-1", 0.31, 8, ["gpu", "big"])
    queue = farm["queues"][0]
    assert (queue["name"], queue["queued"], queue["deferred"]) == ("default", 2, 2)
    assert queue["deferred_reason"] == "every host is full"
    assert queue["hosts"] == ["worker-1"]


def test_check_is_silent_and_well_while_a_host_lives_and_a_coordinator_leads(status, redis_client):
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1")
    result = status("--check")
    assert (result.exit_code, result.stdout) == (0, "")


def test_check_fails_with_the_reason(status, redis_client):
    plant_host(redis_client, "worker-1", age=4)
    result = status("--check")
    assert result.exit_code == 1
    assert "no live host" in result.stdout
    assert "no coordinator leads" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "worker-1"], 0, ""),
        (["--host", "draining"], 0, ""),
        (["--host", "silent"], 1, "host silent is suspect: no beat for"),
        (["--host", "broken"], 1, "host broken is unhealthy: load() raised"),
        (["--host", "nobody"], 1, "host nobody is not registered"),
        (["--coordinator"], 1, "no coordinator leads"),
    ],
)
def test_check_can_be_about_one_part(status, redis_client, arguments, code, words):
    plant_host(redis_client, "worker-1")
    plant_host(redis_client, "draining", state="draining")
    plant_host(redis_client, "silent", age=5)
    plant_host(redis_client, "broken", state="unhealthy", reason="load() raised")
    result = status("--check", *arguments)
    assert result.exit_code == code
    assert words in result.stdout


def test_check_needs_redis():
    runner = CliRunner(env={"FARM_REDIS_URL": "redis://127.0.0.1:1/0"})
    result = runner.invoke(command_line, ["status", "--check"])
    assert result.exit_code == 3


@pytest.mark.parametrize(
    "arguments", [["--host", "a"], ["--coordinator"], ["--check", "--watch"], ["--check", "--json"]]
)
def test_options_that_make_no_sense_together_are_refused(status, arguments):
    assert status(*arguments).exit_code == 2


def test_watch_shows_it_again_until_interrupted(redis_client, farm_environment):
    plant_host(redis_client, "worker-1")
    command = [sys.executable, "-m", "farm", "status", "--watch"]
    with subprocess.Popen(
        command, env=farm_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        seen = 0
        for line in process.stdout:
            seen += line.startswith("worker-1\t")
            if seen == 2:
                break
        process.send_signal(2)
        process.communicate(timeout=10)
    assert seen == 2
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (60, "1m"), (3725, "1h 2m"), (90000, "1d 1h"), (-5, "0s")]
)
def test_a_duration_is_told_in_its_two_greatest_units(seconds, text):
    assert duration(seconds) == text
