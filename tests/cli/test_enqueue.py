"""`farm enqueue`: a job from the shell."""

import json
import subprocess
import sys

import pytest
import redis
from click.testing import CliRunner, Result
from rq.job import Job

from farm.cli import command_line
from farm.keys import Keys
from tests.client.running import a_worker_beside

JOBS = "tests.client.sample_jobs"


@pytest.fixture(autouse=True)
def _this_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)


def _farm(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["enqueue", *arguments])


def test_it_prints_the_id_of_a_job_that_plain_rq_can_read(redis_client: redis.Redis) -> None:
    run = _farm(
        "shop.bill", "7", '"7"', "seven", "[1]", "--kwargs", '{"much": 2}', "--kwargs", "when=now", "-q", "calls"
    )
    job = Job.fetch(run.stdout.strip(), connection=redis_client)

    assert run.exit_code == 0
    assert (job.func_name, job.args, job.kwargs) == ("shop.bill", (7, "7", "seven", [1]), {"much": 2, "when": "now"})
    assert redis_client.lrange("rq:queue:calls", 0, -1) == [job.id.encode()]
    assert "Redis: " in run.stderr


def test_options_reach_the_job(redis_client: redis.Redis) -> None:
    _farm("shop.bill")
    run = _farm("shop.bill", "--timeout", "2m", "--at-front", "--on-lost", "fail", "--job-id", "mine", "--", "-7")
    job = Job.fetch("mine", connection=redis_client)

    assert run.stdout == "mine\n"
    assert (job.timeout, job.args) == (120, (-7,))
    assert redis_client.lindex("rq:queue:default", 0) == b"mine"
    assert redis_client.hget("rq:job:mine", "farm_on_lost") == b"fail"


def test_requirements_reach_the_job(redis_client: redis.Redis) -> None:
    run = _farm("shop.bill", "--requires", "large", "--requires", "gpu", "--memory-mb", "4096")
    fields = redis_client.hmget(f"rq:job:{run.stdout.strip()}", "farm_requires", "farm_memory_mb")

    assert fields == [b"gpu,large", b"4096"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["bill"],
        ["shop.bill", "--requires", "g pu"],
        ["shop.bill", "--memory-mb", "0"],
        ["shop.bill", "--kwargs", "nothing"],
        ["shop.bill", "--timeout", "soon"],
        ["shop.bill", "--on-lost", "maybe"],
        ["shop.bill", "--job-id", "no id"],
        [],
    ],
    ids=str,
)
def test_a_call_that_cannot_be_used_ends_with_2_and_writes_nothing(
    redis_client: redis.Redis, arguments: list[str]
) -> None:
    run = _farm(*arguments)

    assert run.exit_code == 2, run.output
    assert run.stderr.splitlines()[-1].startswith("Error: ")
    assert redis_client.dbsize() == 0


def test_wait_prints_the_result(redis_client: redis.Redis) -> None:
    with a_worker_beside(redis_client):
        run = _farm("--wait", f"{JOBS}.add", "1", "--kwargs", "other=2")

    assert (run.exit_code, run.stdout) == (0, "3\n"), run.output


def test_wait_prints_what_json_has_no_form_for_as_python_shows_it(redis_client: redis.Redis) -> None:
    with a_worker_beside(redis_client):
        run = _farm("--wait", "builtins.complex", "1", "2")

    assert run.stdout == "(1+2j)\n"


def test_wait_tells_a_failure_on_stderr_and_ends_with_1(redis_client: redis.Redis) -> None:
    with a_worker_beside(redis_client):
        run = _farm("--wait", f"{JOBS}.fail", "no money", "--json")

    assert run.exit_code == 1
    assert "Traceback" in run.stderr
    assert "ValueError: no money" in run.stderr
    assert json.loads(run.stdout)["status"] == "failed"
    redis_client.flushall()  # RQ keeps results of failed jobs for ever


def test_wait_says_that_the_job_is_deferred_and_ends_with_5(redis_client: redis.Redis) -> None:
    redis_client.hset(Keys().deferral("default"), mapping={"since": "1700000000", "reason": "every host is full"})
    run = _farm("--wait", "--wait-timeout", "1.5", "shop.bill")

    assert run.exit_code == 5
    assert "Waiting: deferred since " in run.stderr
    assert run.stderr.count("Waiting: ") == 1
    assert "did not end within 1.5 s" in run.stderr
    assert "every host is full" in run.stderr


def test_the_id_comes_as_json_too() -> None:
    run = _farm("shop.bill", "--job-id", "mine", "--json", "-q", "calls")

    assert json.loads(run.stdout) == {"id": "mine", "queue": "calls"}


def test_a_second_job_of_the_same_id_is_refused() -> None:
    _farm("shop.bill", "--job-id", "mine")

    assert _farm("shop.bill", "--job-id", "mine").exit_code == 2


def test_it_runs_as_a_command(redis_client: redis.Redis, farm_environment: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from farm.cli import command_line; command_line()", "enqueue", "shop.bill", "7"],
        env=farm_environment | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )

    assert redis_client.lrange("rq:queue:default", 0, -1) == [run.stdout.strip().encode()]
