"""Ids of jobs may hold anything that somebody wrote: commands find them, and print nothing that steers a terminal."""

import json

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from tests.cli.test_jobs_command import plant_job
from tests.support.planted import KEYS, RQ_KEYS, now

ODD_IDS = (
    " ",
    "a b",
    "a:b",
    "a|b",
    "a\nb\tc\rd",
    "../../x",
    "{}",
    "%s%n",
    "[bold]x[/bold]",
    "\x1b[31mred\x07",
    "ünïcode-😀",
    "\u202ereversed",
    "x" * 5000,
    "-1",
    "null",
    "nul\0within",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
)


def raw(job_id: str) -> bytes:
    return job_id.encode("utf-8", "surrogateescape")


@pytest.fixture(autouse=True)
def _jobs(redis_url: str, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each id failed once, and is in quarantine."""
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)
    template = redis_client.hgetall(RQ_KEYS.job(plant_job(redis_client, "template", "failed")))
    redis_client.delete(RQ_KEYS.job("template"))
    for job_id in ODD_IDS:
        redis_client.hset(b"rq:job:" + raw(job_id), mapping=template)
        redis_client.zadd(RQ_KEYS.failed("default"), {raw(job_id): 9_000_000_000})
        redis_client.zadd(KEYS.quarantine, {raw(job_id): now(redis_client)})


def _farm(*arguments: str) -> Result:
    run = CliRunner().invoke(command_line, arguments)
    assert run.exception is None or isinstance(run.exception, SystemExit), (arguments, run.exception)
    assert not {"\x1b", "\x07", "\0", "\r"} & set(run.output)
    return run


def test_each_is_listed_on_one_line() -> None:
    assert len(_farm("jobs", "--status", "failed").stdout.splitlines()) == 1 + len(ODD_IDS)
    assert len(_farm("quarantine", "list").stdout.splitlines()) == 1 + len(ODD_IDS)
    assert {job["id"] for job in json.loads(_farm("jobs", "--json", "--status", "failed").stdout)["jobs"]} == set(
        ODD_IDS
    )
    assert {job["id"] for job in json.loads(_farm("quarantine", "list", "--json").stdout)["jobs"]} == set(ODD_IDS)


@pytest.mark.parametrize("job_id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_each_is_found_by_its_id(job_id: str, redis_client: redis.Redis) -> None:
    assert _farm("quarantine", "show", "--", job_id).exit_code == 0
    assert _farm("quarantine", "requeue", "--", job_id).exit_code == 0, "it is failed: that is elsewhere"
    assert _farm("quarantine", "drop", "--", job_id).exit_code == 4
    assert _farm("requeue", "--", job_id).exit_code == 0
    assert redis_client.lrange(RQ_KEYS.queue("default"), 0, -1) == [raw(job_id)]
    assert _farm("requeue", "--", job_id).exit_code == 1
    assert _farm("cancel", "--", job_id).exit_code in (0, 1, 4), "RQ refuses some of them"


def test_all_of_them_are_requeued_at_once(redis_client: redis.Redis) -> None:
    assert _farm("requeue", "--failed").stdout == f"requeued {len(ODD_IDS)} jobs of queue default\n"
    assert set(redis_client.lrange(RQ_KEYS.queue("default"), 0, -1)) == set(map(raw, ODD_IDS))
