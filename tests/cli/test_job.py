"""`farm job`: everything about one job."""

import json
import pickle
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.client import Client
from farm.keys import Keys
from farm.store.job_usage import JobUsage
from tests.client import sample_jobs
from tests.client.running import run_all
from tests.support.loaded_by_command import modules_of_rq

KEYS = Keys()


@pytest.fixture(autouse=True)
def _this_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)


@pytest.fixture
def client(redis_client: redis.Redis) -> Client:
    return Client(connection=redis_client)


def _farm(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["job", *arguments])


def _facts(run: Result) -> dict[str, str]:
    return dict(line.split("\t") for line in run.stdout.splitlines() if "\t" in line)


def test_a_waiting_job_shows_its_place_and_why_it_waits(client: Client, redis_client: redis.Redis) -> None:
    redis_client.hset(KEYS.deferral("calls"), mapping={"since": "1700000000", "reason": "every host is full"})
    client.queue("calls").enqueue("shop.bill", 1)
    job = client.queue("calls").enqueue("shop.bill", 7)
    run = _farm(job.id)
    facts = _facts(run)

    assert run.exit_code == 0
    assert (facts["status"], facts["queue"], facts["position"]) == ("deferred", "calls", "1")
    assert facts["deferred reason"] == "every host is full"
    assert facts["deferred since"] == facts["enqueued at"]
    assert facts["description"] == "shop.bill(7)"


def test_a_running_job_shows_its_host_and_lease(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue("shop.bill", 1)
    redis_client.hset(KEYS.identities, "h1", "3-aa")
    redis_client.hset(KEYS.running("h1", "3-aa"), job.id, f"{'f' * 32}|default|2|1700000000|rerun|9")
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "h1", "farm_crashes": 1})
    facts = json.loads(_farm(job.id, "--json").stdout)

    assert (facts["status"], facts["host"], facts["attempt"], facts["crashes"]) == ("started", "h1", 2, 1)
    assert facts["running_since"] == "2023-11-14T22:13:20.000+00:00"


def test_a_job_shows_how_far_it_says_that_it_is(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue("shop.bill", 1)
    said = '{"fraction": 0.5, "text": "page 2 of 4", "at": "2026-01-02T03:04:05Z"}'
    redis_client.hset(f"rq:job:{job.id}", "farm_progress", said)

    assert _facts(_farm(job.id))["progress"] == "50% page 2 of 4"
    progress = json.loads(_farm(job.id, "--json").stdout)["progress"]
    assert progress == {"fraction": 0.5, "text": "page 2 of 4", "at": "2026-01-02T03:04:05.000+00:00"}


def test_a_job_shows_what_its_last_run_used(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue("shop.bill", 1)
    used = JobUsage(2.5, 1.256, 350_400_000)
    redis_client.hset(f"rq:job:{job.id}", "farm_used", used.to_field())

    assert _facts(_farm(job.id))["used"] == "1.26 s of CPU time in 2.5 s, 350 MB of memory"
    told = json.loads(_farm(job.id, "--json").stdout)["used"]
    assert told == {"seconds": 2.5, "cpu_seconds": 1.256, "memory": 350_400_000}


def test_a_failed_job_shows_its_error_and_the_traceback_when_asked(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue(failure_ttl=60).enqueue(sample_jobs.fail, "no money")
    run_all(redis_client)

    assert _facts(_farm(job.id))["error"] == "ValueError: no money"
    assert "Traceback" not in _farm(job.id).stdout
    assert "in fail\n" in _farm(job.id, "--traceback").stdout
    assert "in fail\n" in json.loads(_farm(job.id, "--json").stdout)["traceback"]


def test_the_result_is_decoded_only_when_asked_for(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    job = client.queue().enqueue(sample_jobs.give_back, 1)
    run_all(redis_client)

    assert "result" not in _facts(_farm(job.id))
    assert _facts(_farm(job.id, "--result"))["result"] == "((1,), {})"


def test_nothing_that_a_job_carries_is_run(client: Client, redis_client: redis.Redis, tmp_path: Path) -> None:
    import base64

    job = client.queue().enqueue(sample_jobs.add, 1)
    run_all(redis_client)
    evil = pickle.dumps(sample_jobs.WritesAFileWhenUnpickled(tmp_path / "evil"))
    redis_client.hset(f"rq:job:{job.id}", mapping={"meta": evil, "data": evil, "result": evil})
    redis_client.xadd(f"rq:results:{job.id}", {"type": 1, "return_value": base64.b64encode(evil)})

    for arguments in ([], ["--json"], ["--traceback"]):
        assert _farm(job.id, *arguments).exit_code == 0
    assert not (tmp_path / "evil").exists()
    assert _farm(job.id, "--result").exit_code == 0
    assert (tmp_path / "evil").exists(), "the evil does work where it is asked for"


def test_a_job_that_is_not_there_ends_with_4() -> None:
    run = _farm("gone")

    assert run.exit_code == 4
    assert "gone" in run.stderr.splitlines()[-1]


def test_a_quarantined_job_shows_why(redis_client: redis.Redis) -> None:
    redis_client.zadd(KEYS.quarantine, {"odd": 1})
    redis_client.hset(KEYS.quarantine_reasons, "odd", "it has no data")
    facts = _facts(_farm("odd"))

    assert (facts["status"], facts["quarantine reason"]) == ("quarantined", "it has no data")


def test_looking_at_a_job_loads_nothing_of_rq(client: Client, farm_environment: dict[str, str]) -> None:
    job = client.queue().enqueue("shop.bill", 7)
    assert modules_of_rq(["job", job.id], farm_environment) == "[]"


def test_a_waiting_job_is_canceled_and_an_ended_one_is_left_alone(client: Client) -> None:
    job = client.queue().enqueue("shop.bill", 1)

    assert _farm(job.id, "--cancel").stdout == f"job {job.id} is canceled: it will not run\n"
    assert job.status().status == "canceled"
    assert "had ended before" in _farm(job.id, "--cancel").stdout


def test_a_running_job_is_told_to_end_with_its_grace(client: Client, redis_client: redis.Redis) -> None:
    job = client.queue().enqueue("shop.bill", 1)
    redis_client.hset(KEYS.identities, "h1", "3-aa")
    redis_client.hset(f"rq:job:{job.id}", mapping={"status": "started", "worker_name": "h1"})
    with redis_client.pubsub() as commands:
        commands.subscribe("rq:pubsub:h1")
        commands.get_message(timeout=5)
        run = _farm(job.id, "--cancel", "--grace", "30")
        message = commands.get_message(timeout=5)

    assert "30 s after it was asked to end" in run.stdout
    assert message is not None
    assert json.loads(message["data"]) == {"command": "cancel-job", "job_id": job.id, "grace": 30.0}


def test_a_cancel_of_no_job_ends_with_4_and_of_nonsense_with_2() -> None:
    assert _farm("gone", "--cancel").exit_code == 4
    assert _farm("gone", "--grace", "3").exit_code == 2
    assert _farm("gone", "--cancel", "--json").exit_code == 2
    assert _farm("gone", "--cancel", "--grace", "-1").exit_code == 2
