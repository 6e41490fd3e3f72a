"""`farm requeue`: failed jobs go to the ends of their queues."""

import asyncio
import json

import pytest
import redis
from click.testing import CliRunner, Result
from rq.job import Job

from farm.cli import command_line
from farm.client import AsyncClient, Client
from farm.errors import JobError, JobNotFound
from farm.keys import RqKeys
from tests.client import sample_jobs
from tests.client.running import run_all

RQ_KEYS = RqKeys()


@pytest.fixture(autouse=True)
def _this_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)


@pytest.fixture
def failed(redis_client: redis.Redis) -> list[str]:
    """Two jobs that failed in `default`, in this order by what RQ's registry sorts by, and one in `low`."""
    client = Client(connection=redis_client)
    names = ["default", "default", "low"]
    jobs = [
        client.queue(name, failure_ttl=60 * number).enqueue(sample_jobs.fail, "no money")
        for number, name in enumerate(names, start=1)
    ]
    run_all(redis_client, "default", "low")
    return [job.id for job in jobs]


def _farm(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["requeue", *arguments])


def _waiting(client: redis.Redis, queue: str) -> list[str]:
    return [job_id.decode() for job_id in client.lrange(RQ_KEYS.queue(queue), 0, -1)]


def test_jobs_are_requeued_by_their_ids(failed: list[str], redis_client: redis.Redis) -> None:
    run = _farm(failed[2], failed[1])

    assert run.exit_code == 0, run.output
    assert run.stdout == "requeued 1 job of queue default\nrequeued 1 job of queue low\n"
    assert (_waiting(redis_client, "default"), _waiting(redis_client, "low")) == ([failed[1]], [failed[2]])


def test_all_failed_ones_are_requeued_of_one_queue_or_of_all(failed: list[str], redis_client: redis.Redis) -> None:
    assert _farm("--failed", "--queue", "low").stdout == "requeued 1 job of queue low\n"
    assert _farm("--failed").stdout == "requeued 2 jobs of queue default\n"
    assert _waiting(redis_client, "default") == failed[:2]
    assert _farm("--failed").stdout == "requeued 0 jobs\n"


def test_a_stopped_job_is_requeued_by_its_id_alone(failed: list[str], redis_client: redis.Redis) -> None:
    redis_client.hset(RQ_KEYS.job(failed[0]), "status", "stopped")

    assert _farm("--failed", "--queue", "default").stdout == "requeued 1 job of queue default\n"
    assert _farm(failed[0]).stdout == "requeued 1 job of queue default\n"


def test_a_poisoned_job_has_all_its_attempts_again(failed: list[str], redis_client: redis.Redis) -> None:
    redis_client.hset(RQ_KEYS.job(failed[0]), mapping={"farm_crashes": 3, "farm_losses": 2})
    _farm(failed[0])
    status = Client(connection=redis_client).job(failed[0]).status()

    assert (status.status, status.crashes, status.losses) == ("deferred", 0, 0)


def test_one_that_is_refused_does_not_keep_the_others(failed: list[str], redis_client: redis.Redis) -> None:
    waiting = Client(connection=redis_client).queue("other").enqueue("shop.bill", 1)
    run = _farm(waiting.id, failed[0])

    assert (run.exit_code, run.stdout) == (1, "requeued 1 job of queue default\n")
    assert run.stderr.splitlines()[-1].startswith(f"Error: job {waiting.id} has not failed, it is queued")
    gone = _farm("gone", failed[1])
    assert (gone.exit_code, gone.stdout) == (4, "requeued 1 job of queue default\n")


def test_json_tells_how_many_and_which_were_refused(failed: list[str]) -> None:
    run = _farm("--json", failed[0], failed[2], "gone")

    assert run.exit_code == 4
    assert json.loads(run.stdout) == {
        "requeued": 2,
        "queues": {"default": 1, "low": 1},
        "refused": [{"id": "gone", "outcome": "gone", "detail": ""}],
    }
    assert json.loads(_farm("--json", "--failed").stdout) == {"requeued": 1, "queues": {"default": 1}, "refused": []}


@pytest.mark.parametrize("arguments", [[], ["a", "--failed"], ["a", "--queue", "low"]])
def test_what_makes_no_sense_ends_with_2(arguments: list[str]) -> None:
    assert _farm(*arguments).exit_code == 2


def test_a_service_requeues_through_its_client(failed: list[str], redis_client: redis.Redis) -> None:
    client = Client(connection=redis_client)
    client.job(failed[0]).requeue()

    assert Job.fetch(failed[0], connection=redis_client).get_status() == "queued"
    with pytest.raises(JobError, match="it is queued"):
        client.job(failed[0]).requeue()
    with pytest.raises(JobNotFound):
        client.job("gone").requeue()
    assert client.requeue_failed("default") == 1
    assert client.requeue_failed("default") == 0


async def _requeue(redis_url: str, job_id: str) -> None:
    async with AsyncClient(redis_url) as client:
        await client.job(job_id).requeue()


def test_an_event_loop_requeues_too(failed: list[str], redis_url: str, redis_client: redis.Redis) -> None:
    asyncio.run(_requeue(redis_url, failed[2]))
    assert _waiting(redis_client, "low") == [failed[2]]
