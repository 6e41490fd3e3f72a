"""`farm cancel`: waiting jobs, and running ones only if that is asked for."""

import json

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.client import Client, JobHandle
from farm.keys import Keys

KEYS = Keys()


@pytest.fixture(autouse=True)
def _this_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)


@pytest.fixture
def job(redis_client: redis.Redis) -> JobHandle[object]:
    return Client(connection=redis_client).queue().enqueue("shop.bill", 1)


@pytest.fixture
def running(job: JobHandle[object], redis_client: redis.Redis) -> str:
    """The id of a job that a host runs."""
    redis_client.hset(KEYS.identities, "h1", "3-aa")
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "h1"})
    return job.id


def _farm(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["cancel", *arguments])


def test_waiting_jobs_are_canceled(job: JobHandle[object], redis_client: redis.Redis) -> None:
    other = Client(connection=redis_client).queue().enqueue("shop.bill", 2)
    run = _farm(job.id, other.id, job.id)

    assert run.exit_code == 0
    assert run.stdout == "".join(f"job {each.id} is canceled: it will not run\n" for each in (job, other))
    assert [each.status().status for each in (job, other)] == ["canceled", "canceled"]
    assert redis_client.llen("rq:queue:default") == 0
    assert "had ended before" in _farm(job.id).stdout


def test_a_running_job_is_left_alone(running: str, redis_client: redis.Redis) -> None:
    run = _farm(running)

    assert run.exit_code == 1
    assert "--stop stops it" in run.stdout
    assert redis_client.hget(f"rq:job:{running}", "status") == b"started"


def test_a_running_job_is_stopped_if_that_is_asked_for(running: str, redis_client: redis.Redis) -> None:
    with redis_client.pubsub() as commands:
        commands.subscribe("rq:pubsub:h1")
        commands.get_message(timeout=5)
        run = _farm(running, "--stop", "--grace", "30")
        message = commands.get_message(timeout=5)

    assert run.exit_code == 0
    assert "30 s after it was asked to end" in run.stdout
    assert message is not None
    assert json.loads(message["data"]) == {"command": "cancel-job", "job_id": running, "grace": 30.0}


def test_one_that_is_not_there_does_not_keep_the_others(job: JobHandle[object]) -> None:
    run = _farm("gone", job.id)

    assert run.exit_code == 4
    assert "gone" in run.stderr.splitlines()[-1]
    assert job.status().status == "canceled"


def test_json_tells_of_each(running: str, redis_client: redis.Redis) -> None:
    waiting = Client(connection=redis_client).queue().enqueue("shop.bill", 2)
    broken = {"status": "queued", "created_at": "never", "origin": "default", "data": "x"}
    redis_client.hset("rq:job:broken", mapping=broken)
    redis_client.zadd(KEYS.quarantine, {"aside": 1})
    redis_client.rpush("rq:job:list", "x")
    run = _farm("--json", running, waiting.id, "gone", "broken", "aside", "list")

    assert run.exit_code == 4
    answers = json.loads(run.stdout)
    assert [(answer["id"], answer["outcome"]) for answer in answers] == [
        (running, "running"),
        (waiting.id, "canceled"),
        ("gone", "not found"),
        ("broken", "error"),
        ("aside", "error"),
        ("list", "not found"),
    ]
    assert [bool(answer["error"]) for answer in answers] == [False, False, True, True, True, True]


@pytest.mark.parametrize("arguments", [[], ["a", "--grace", "3"], ["a", "--stop", "--grace", "-1"]])
def test_what_makes_no_sense_ends_with_2(arguments: list[str]) -> None:
    assert _farm(*arguments).exit_code == 2
