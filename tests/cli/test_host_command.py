"""`farm host`: one host, its processes, and what is wanted of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.store.job_status import Progress
from farm.store.process_view import ProcessView, RunningJob, to_line
from tests.support.planted import KEYS, now, plant_host

Show = Callable[..., Result]

JOB = "4f0c7d1e-3f5c-4f6e-9d1c-0a1b2c3d4e5f"
PROCESSES = (
    ProcessView(number=1, pid=4711, state="ready", age=65.0, jobs_done=12, memory=52_000_000, peak_memory=61_000_000),
    ProcessView(
        number=2,
        pid=4712,
        state="busy",
        age=5.0,
        jobs_done=0,
        job_id=JOB,
        function="shop.bill",
        job_seconds=3.0,
        queue="high",
        attempt=2,
        progress=Progress(0.25, "page 3 of 12", datetime(2026, 1, 2, tzinfo=UTC)),
    ),
)


@pytest.fixture
def host(redis_url: str) -> Show:
    """Runs `farm host` with arguments."""

    def run(*arguments: str) -> Result:
        return CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, ["host", *arguments])

    return run


def plant_processes(client: redis.Redis, name: str = "worker-1") -> None:
    client.hset(KEYS.processes(name), mapping={str(process.number): to_line(process) for process in PROCESSES})
    client.hset(KEYS.processes(name), "at", now(client))
    client.expire(KEYS.processes(name), 60)


def test_a_host_its_processes_and_their_jobs_are_shown_as_columns(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", state="full", reason="load 0.91 is over", idle_processes=3)
    plant_processes(redis_client)
    run = host("worker-1")

    assert run.exit_code == 0, run.stderr
    about, processes, jobs = [
        [line.split("\t") for line in part.splitlines()] for part in run.stdout.rstrip().split("\n\n")
    ]
    facts = dict(about)
    assert (facts["state"], facts["reason"], facts["idle processes"]) == ("full", "load 0.91 is over", "3")
    assert (facts["load"], facts["threshold"], facts["memory"]) == ("0.31", "0.75", "31%")
    assert facts["slots"] == "8, 2 busy, 6 idle"
    assert facts["queues"] == "default, high"
    assert processes[1:] == [
        ["1", "4711", "ready", "1m 5s", "12", "52 MB", "61 MB"],
        ["2", "4712", "busy", "5s", "0", "-", "-"],
    ]
    assert jobs[1:] == [["2", JOB, "shop.bill", "high", "2", "3s", "25% page 3 of 12"]]


def test_all_jobs_of_a_process_are_shown_and_how_many_more(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")
    jobs = [RunningJob(job_id=name, function="shop.look", queue="low", attempt=1, job_seconds=3.0) for name in "abc"]
    line = to_line(PROCESSES[0].with_jobs(jobs, unlisted=480))
    redis_client.hset(KEYS.processes("worker-1"), mapping={"1": line, "at": now(redis_client)})
    redis_client.expire(KEYS.processes("worker-1"), 60)

    shown = host("worker-1").stdout.rstrip().split("\n\n")[-1].splitlines()[1:]
    assert [row.split("\t")[:4] for row in shown] == [
        *(["1", name, "shop.look", "low"] for name in "abc"),
        ["1", "and 480 more", "-", "-"],
    ]
    (process,) = json.loads(host("worker-1", "--json").stdout)["processes"]
    assert (process["job_id"], process["unlisted"]) == ("a", 480)
    assert [job["job_id"] for job in process["beside"]] == ["b", "c"]


def test_a_silent_host_is_shown_as_such(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", age=5)
    run = host("worker-1")

    assert "suspect, said available last" in run.stdout
    assert "no beat for 5 s" in run.stdout


def test_json_holds_all_that_is_known(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", idle_processes=3)
    plant_processes(redis_client)
    shown = json.loads(host("worker-1", "--json").stdout)

    assert (shown["name"], shown["idle_processes"], shown["slots"], shown["queues"]) == (
        "worker-1",
        3,
        8,
        ["default", "high"],
    )
    assert [process["job_id"] for process in shown["processes"]] == [None, JOB]
    assert shown["processes"][1]["progress"]["fraction"] == 0.25
    assert shown["desired"] == {}


def test_what_is_wanted_is_said_and_kept_for_the_host(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1")

    assert host("worker-1", "--idle-processes", "4").stdout == (
        "host worker-1 was asked to keep 4 idle processes warm\n"
    )
    assert "no more than its 8 slots" in host("worker-1", "--idle-processes", "9").stdout
    assert redis_client.hgetall(KEYS.desired("worker-1")) == {b"idle_processes": b"9"}
    assert "wanted\tidle_processes=9" in host("worker-1").stdout


def test_a_host_that_does_not_answer_is_said_to_hear_of_it_later(host: Show, redis_client: redis.Redis) -> None:
    plant_host(redis_client, "worker-1", age=5)

    assert "suspect" in host("worker-1", "--idle-processes", "4").stdout


@pytest.mark.parametrize("options", [[], ["--idle-processes", "1"], ["--json"]])
def test_a_host_that_is_not_there_ends_with_4_and_the_nearest_name(
    host: Show, redis_client: redis.Redis, options: list[str]
) -> None:
    plant_host(redis_client, "worker-1")
    run = host("worker-11", *options)

    assert run.exit_code == 4
    assert "did you mean worker-1?" in run.stderr
    assert not run.stdout


def test_a_negative_number_of_processes_is_a_mistake(host: Show) -> None:
    assert host("worker-1", "--idle-processes", "-1").exit_code == 2
