"""`farm quarantine`: jobs whose records cannot be read, from the shell and through the client."""

import json

import pytest
import redis
from click.testing import CliRunner, Result

from farm.cli import command_line
from farm.client import Client
from farm.errors import JobNotFound
from farm.keys import Keys, RqKeys
from tests.support.planted import now

KEYS, RQ_KEYS = Keys(), RqKeys()


@pytest.fixture(autouse=True)
def _this_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_REDIS_URL", redis_url)


@pytest.fixture(autouse=True)
def _quarantine(redis_client: redis.Redis) -> None:
    """`mended`, which can be read by now, and `broken`, which cannot."""
    redis_client.zadd(KEYS.quarantine, {"mended": now(redis_client) - 3930, "broken": now(redis_client)})
    redis_client.hset(KEYS.quarantine_reasons, mapping={"mended": "it lacked a queue", "broken": "it has no data"})
    redis_client.hset(RQ_KEYS.job("mended"), mapping={"status": "queued", "origin": "calls", "data": b"\x80" * 300})
    redis_client.hset(RQ_KEYS.job("broken"), mapping={"status": "queued", "origin": "calls"})


def _farm(*arguments: str) -> Result:
    return CliRunner().invoke(command_line, ["quarantine", *arguments])


def test_the_list_tells_why_each_is_there(redis_client: redis.Redis) -> None:
    run = _farm("list")

    assert run.exit_code == 0
    assert run.stdout.splitlines()[0] == "job\tage\twhy"
    assert run.stdout.splitlines()[2] == "mended\t1h 5m\tit lacked a queue"
    assert "1 more" in _farm("list", "--limit", "1").stderr
    shown = json.loads(_farm("list", "--json").stdout)
    assert [(job["id"], job["reason"]) for job in shown["jobs"]] == [
        ("broken", "it has no data"),
        ("mended", "it lacked a queue"),
    ]
    assert shown["total"] == 2
    redis_client.delete(KEYS.quarantine)
    assert _farm("list").stdout == "job\tage\twhy\n"


def test_a_record_is_shown_raw_and_of_a_size_that_can_be_read() -> None:
    run = _farm("show", "mended")

    assert run.exit_code == 0
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    assert ["reason", "it lacked a queue"] in rows
    assert ["type", "hash"] in rows
    data = next(row for row in rows if row[0] == "data")
    assert data[1] == "300"
    assert data[2] == '"' + "\\x80" * 200 + '" …'


def test_json_shows_the_record_too() -> None:
    shown = json.loads(_farm("show", "mended", "--json").stdout)

    assert (shown["id"], shown["reason"], shown["type"]) == ("mended", "it lacked a queue", "hash")
    assert [(field["name"], field["bytes"]) for field in shown["fields"]] == [
        ("data", 300),
        ("origin", 5),
        ("status", 6),
    ]
    assert shown["fields"][1]["head"] == "calls"


def test_one_that_can_be_read_goes_back_and_the_other_says_why_it_stays(redis_client: redis.Redis) -> None:
    run = _farm("requeue", "mended", "broken")

    assert run.exit_code == 1
    assert run.stdout == "job mended is back at the head of queue calls\n"
    assert "job broken stays in quarantine: the hash of the job lacks data" in run.stderr
    assert redis_client.lrange(RQ_KEYS.queue("calls"), 0, -1) == [b"mended"]
    again = _farm("requeue", "mended")
    assert again.exit_code == 4
    assert "farm quarantine list" in again.stderr


def test_a_dropped_one_is_gone(redis_client: redis.Redis) -> None:
    run = _farm("drop", "broken", "mended")

    assert (run.exit_code, run.stdout) == (0, "job broken is dropped\njob mended is dropped\n")
    assert not redis_client.keys("rq:job:*")
    assert not redis_client.exists(KEYS.quarantine, KEYS.quarantine_reasons)


def test_json_tells_what_became_of_each() -> None:
    requeued = _farm("requeue", "--json", "broken", "mended", "gone")
    assert requeued.exit_code == 4
    assert [(one["id"], one["outcome"]) for one in json.loads(requeued.stdout)] == [
        ("broken", "unreadable"),
        ("mended", "requeued"),
        ("gone", "absent"),
    ]
    dropped = _farm("drop", "--json", "broken")
    assert dropped.exit_code == 0
    assert json.loads(dropped.stdout) == [{"id": "broken", "outcome": "dropped", "detail": ""}]


def test_one_that_is_not_there_ends_with_4() -> None:
    for command in ("show", "requeue", "drop"):
        run = _farm(command, "gone")
        assert run.exit_code == 4
        assert "gone is not in quarantine" in run.stderr


@pytest.mark.parametrize("arguments", [["requeue"], ["drop"], ["show"], ["release", "a"]])
def test_what_makes_no_sense_ends_with_2(arguments: list[str]) -> None:
    assert _farm(*arguments).exit_code == 2


def test_a_service_sees_to_the_quarantine_through_its_client(redis_client: redis.Redis) -> None:
    quarantine = Client(connection=redis_client).quarantine

    assert [entry.id for entry in quarantine.entries()] == ["broken", "mended"]
    assert quarantine.record("mended").fields[0].name == "data"
    assert [answer.outcome for answer in quarantine.requeue("mended", "broken")] == ["requeued", "unreadable"]
    assert [answer.outcome for answer in quarantine.drop("broken")] == ["dropped"]
    with pytest.raises(JobNotFound):
        quarantine.record("broken")
