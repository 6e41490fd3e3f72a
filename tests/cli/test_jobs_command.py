"""`farm jobs`: every job that the farm knows of, where it is, and what it waits for."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.client import Client
from tests.client import sample_jobs
from tests.client.running import run_all
from tests.support.loaded_by_command import modules_of_rq
from tests.support.planted import (
    IDENTITY,
    KEYS,
    RQ_KEYS,
    now,
    plant_deferral,
    plant_host,
    plant_leader,
    plant_lease,
    plant_queue,
)

Show = Callable[..., Result]


@pytest.fixture
def show(redis_url: str) -> Show:
    """Runs `farm jobs` with arguments."""

    def run(*arguments: str) -> Result:
        return CliRunner(env={"FARM_REDIS_URL": redis_url}).invoke(command_line, ["jobs", *arguments])

    return run


@pytest.fixture
def listed(show: Show) -> Callable[..., list[dict[str, Any]]]:
    """What `farm jobs --json` with arguments lists."""

    def run(*arguments: str) -> list[dict[str, Any]]:
        shown = show("--json", *arguments)
        assert shown.exit_code == 0, shown.output
        return list(json.loads(shown.stdout)["jobs"])

    return run


Listed = Callable[..., list[dict[str, Any]]]


def plant_job(client: redis.Redis, job_id: str, status: str = "queued", queue: str = "default", **fields: Any) -> str:
    client.sadd(RQ_KEYS.queues, RQ_KEYS.queue(queue))
    known = {
        "status": status,
        "origin": queue,
        "data": b"\x80never decoded",
        "description": "shop.bill(7, at='noon')",
        "created_at": "2026-01-02T03:04:05.000000Z",
    }
    client.hset(RQ_KEYS.job(job_id), mapping=known | fields)
    return job_id


def plant_one_of_each(client: redis.Redis) -> None:
    """One job in each place, named after its status."""
    plant_leader(client)
    plant_host(client, "one", queues="default")
    client.rpush(RQ_KEYS.queue("default"), plant_job(client, "queued"))
    client.rpush(KEYS.inbox("one", IDENTITY), plant_job(client, "placed"))
    plant_lease(client, "one", plant_job(client, "running", "started", worker_name="one"))
    client.rpush(RQ_KEYS.queue("low"), plant_job(client, "deferred", queue="low"))
    registries = {
        "ready": (RQ_KEYS.ready, "ready_to_enqueue", 1),
        "scheduled": (RQ_KEYS.scheduled, "scheduled", 1_900_000_000),
        "dependent": (RQ_KEYS.dependent, "deferred", 1),
        "failed": (RQ_KEYS.failed, "failed", 2e9),
        "stopped": (RQ_KEYS.failed, "stopped", 2e9 - 1),
        "canceled": (RQ_KEYS.canceled, "canceled", 1),
        "finished": (RQ_KEYS.finished, "finished", 2e9),
    }
    for name, (key, status, score) in registries.items():
        plant_job(client, name, status, dependency_ids='["mother"]', result_ttl=-1, worker_name="one")
        client.zadd(key("default"), {name: score})
    plant_job(client, "rate_limited", "rate_limited", rate_limit_key="bank")
    client.sadd("rq:rl-keys", "bank")
    client.zadd("rq:rl:bank:rate_limited", {"rate_limited": 1_700_000_000})
    client.zadd(KEYS.quarantine, {"quarantined": now(client)})
    client.hset(KEYS.quarantine_reasons, "quarantined", "it has no data")


def test_each_job_is_listed_once_with_its_status_and_why(listed: Listed, redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)
    jobs = {job["id"]: job for job in listed()}

    assert {name: job["status"] for name, job in jobs.items()} == {
        **{name: name for name in ("running", "queued", "deferred", "ready", "rate_limited", "scheduled", "dependent")},
        **{name: name for name in ("quarantined", "failed", "stopped", "canceled", "finished")},
        "placed": "queued",
    }
    assert {name: job["reason"] for name, job in jobs.items() if job["reason"]} == {
        "placed": "placed on one",
        "deferred": "no host",
        "rate_limited": "rate limit bank",
        "scheduled": "due 2030-03-17T17:46:40+00:00",
        "dependent": "waits for mother",
        "quarantined": "it has no data",
    }
    assert {name for name, job in jobs.items() if job["host"] == "one"} == {
        "placed",
        "running",
        "failed",
        "stopped",
        "finished",
    }
    assert jobs["running"]["attempt"] == 1
    assert jobs["queued"]["function"] == "shop.bill"
    assert jobs["queued"]["since"] == "2026-01-02T03:04:05.000+00:00"
    assert jobs["queued"]["age"] > 1000


def test_every_job_can_be_found_by_its_status(listed: Listed, redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)

    for job in listed():
        found = [one["id"] for one in listed("--status", job["status"])]
        assert job["id"] in found
        assert len(found) == (2 if job["status"] == "queued" else 1)
    assert [job["id"] for job in listed("--status", "failed", "--status", "running")] == ["running", "failed"]


def test_a_list_is_of_one_queue_or_of_one_host(listed: Listed, redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)

    assert [job["id"] for job in listed("--queue", "low")] == ["deferred"]
    assert [job["id"] for job in listed("--host", "one")] == ["running", "placed", "failed", "stopped", "finished"]
    assert [job["id"] for job in listed("--host", "one", "--status", "queued")] == ["placed"]
    assert listed("--host", "another") == []
    assert listed("--queue", "another") == []


def test_deferred_jobs_say_why_they_wait(listed: Listed, redis_client: redis.Redis) -> None:
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1", queues="default")
    redis_client.rpush(RQ_KEYS.queue("default"), plant_job(redis_client, "a"))
    plant_deferral(redis_client, "default", seconds=60, count=1)
    (job,) = listed()

    assert (job["status"], job["reason"]) == ("deferred", "every host is full")


@pytest.mark.parametrize("reason", ["RQ is suspended", "no coordinator leads"])
def test_jobs_that_nothing_starts_say_why(listed: Listed, redis_client: redis.Redis, reason: str) -> None:
    plant_host(redis_client, "worker-1", queues="default")
    redis_client.rpush(RQ_KEYS.queue("default"), plant_job(redis_client, "a"))
    if reason == "RQ is suspended":
        redis_client.set(RQ_KEYS.suspended, 1)
    (job,) = listed()

    assert (job["status"], job["reason"]) == ("queued", reason)


def test_jobs_of_a_lost_host_are_shown_until_they_are_given_back(listed: Listed, redis_client: redis.Redis) -> None:
    redis_client.zadd(KEYS.lost, {f"gone:{IDENTITY}": now(redis_client)})
    redis_client.rpush(KEYS.inbox("gone", IDENTITY), plant_job(redis_client, "placed"))
    plant_lease(redis_client, "gone", plant_job(redis_client, "running", "started", worker_name="gone"))
    running, placed = listed()

    assert (running["status"], running["host"]) == ("running", "gone")
    assert "lost" in running["reason"]
    assert (placed["status"], placed["host"]) == ("queued", "gone")


def test_a_job_of_a_plain_rq_worker_is_running_until_its_record_says_otherwise(
    listed: Listed, redis_client: redis.Redis
) -> None:
    plant_job(redis_client, "a", "started", worker_name="stock", started_at="2026-01-02T03:04:06Z")
    plant_job(redis_client, "b", "finished", result_ttl=-1)
    redis_client.zadd(RQ_KEYS.started("default"), {f"{name}:execution": now(redis_client) for name in "ab"})
    (job,) = listed()

    assert (job["id"], job["status"], job["host"], job["attempt"]) == ("a", "running", "stock", None)


def test_a_failed_job_shows_the_last_line_of_its_error(listed: Listed, redis_client: redis.Redis) -> None:
    Client(connection=redis_client).queue(failure_ttl=60).enqueue(sample_jobs.fail, "no money")
    run_all(redis_client)
    (job,) = listed("--status", "failed")

    assert job["reason"] == "ValueError: no money"


def test_a_waiting_job_whose_record_is_gone_or_of_a_wrong_type_is_shown(
    listed: Listed, redis_client: redis.Redis
) -> None:
    plant_queue(redis_client, "default", 1)
    redis_client.rpush(RQ_KEYS.queue("default"), "list", b"\xff\xfe")
    redis_client.rpush(RQ_KEYS.job("list"), "x")

    assert [job["reason"] for job in listed()] == ["its record cannot be read"] * 3


def test_keys_of_wrong_types_are_passed_over(listed: Listed, redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)
    keys = [RQ_KEYS.failed("default"), RQ_KEYS.queue("default"), KEYS.running("one", IDENTITY), KEYS.quarantine_reasons]
    for key in [*keys, "rq:rl-keys", RQ_KEYS.started("default")]:
        redis_client.delete(key)
        redis_client.set(key, "text", ex=60)

    assert {"placed", "deferred", "finished", "quarantined"} <= {job["id"] for job in listed()}


def test_a_long_list_is_cut_and_says_so(show: Show, redis_client: redis.Redis) -> None:
    with redis_client.pipeline() as pipeline:
        for number in range(250):
            pipeline.rpush(RQ_KEYS.queue("default"), plant_job(pipeline, f"job-{number:03}"))
        pipeline.execute()

    run = show("--limit", "120")
    assert [line.split("\t")[0] for line in run.stdout.splitlines()[1:]] == [
        f"job-{number:03}" for number in range(120)
    ]
    assert "There are more than these 120" in run.stderr
    assert json.loads(show("--limit", "120", "--json").stdout)["more"] is True
    whole = json.loads(show("--limit", "1000", "--json").stdout)
    assert (len(whole["jobs"]), whole["more"]) == (250, False)


def test_a_pipe_gets_columns_and_an_empty_farm_has_none(show: Show, redis_client: redis.Redis) -> None:
    head = "job\tfunction\tqueue\tstatus\thost\tattempt\tage\twhy\n"
    assert show().stdout == head
    redis_client.rpush(RQ_KEYS.queue("default"), plant_job(redis_client, "a", description="a\tb\nc(1)"))

    assert show().stdout.splitlines()[1].split("\t")[:6] == ["a", "a b c", "default", "deferred", "-", "-"]


def test_nothing_is_changed(show: Show, redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    show()

    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_a_status_that_there_is_not_ends_with_2(show: Show) -> None:
    run = show("--status", "lost")

    assert run.exit_code == 2
    assert "deferred" in run.stderr


def test_a_list_loads_nothing_of_rq(farm_environment: dict[str, str]) -> None:
    assert modules_of_rq(["jobs"], farm_environment) == "[]"


def test_a_service_lists_jobs_through_its_client(redis_client: redis.Redis) -> None:
    plant_one_of_each(redis_client)
    page = Client(connection=redis_client).jobs(statuses=["running"], host="one")

    assert [(job.id, job.status, job.attempt) for job in page.jobs] == [("running", "running", 1)]
    assert not page.more
