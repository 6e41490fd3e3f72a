"""`farm redis`: one command, or lines from standard input, on the Redis that the farm uses."""

import json
import pickle
import subprocess
import sys

import pytest
import redis

pytestmark = pytest.mark.usefixtures("redis_client")


def farm_redis(environ: dict[str, str], *arguments: str, lines: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "farm", "redis", *arguments],
        env=environ,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_from_arguments_is_answered(farm_environment: dict[str, str]) -> None:
    done = farm_redis(farm_environment, "PING")
    assert (done.returncode, done.stdout) == (0, "PONG\n")
    assert done.stderr.startswith("Redis: unix://")


def test_negative_numbers_and_options_of_redis_are_no_options_of_ours(
    farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    redis_client.zadd("test:load", {"a": 0.25, "longer": 0.5})
    done = farm_redis(farm_environment, "ZRANGE", "test:load", "0", "-1", "WITHSCORES")
    assert done.stdout == "a       0.25\nlonger  0.5\n"


def test_a_hash_is_shown_as_fields_and_values(farm_environment: dict[str, str], redis_client: redis.Redis) -> None:
    redis_client.hset("test:host", mapping={"state": "full", "cpu": "0.9"})
    assert farm_redis(farm_environment, "HGETALL", "test:host").stdout == "state  full\ncpu    0.9\n"


def test_an_error_of_redis_ends_with_code_1(farm_environment: dict[str, str]) -> None:
    done = farm_redis(farm_environment, "NO_SUCH_COMMAND")
    assert done.returncode == 1
    assert done.stdout.startswith("(error) ")


def test_lines_from_input_share_a_connection(farm_environment: dict[str, str]) -> None:
    done = farm_redis(
        farm_environment, lines='MULTI\nSET test:a "two words"\n\nGET test:a\nEXEC\nGET test:none\nquit\nPING\n'
    )
    assert done.stdout.splitlines() == ["OK", "QUEUED", "QUEUED", "1) OK", "2) two words", "(nil)"]
    assert done.returncode == 0


def test_one_error_among_lines_is_told_by_the_exit_code_and_the_rest_runs(farm_environment: dict[str, str]) -> None:
    done = farm_redis(farm_environment, lines="NO_SUCH_COMMAND\nPING\n")
    assert done.returncode == 1
    assert done.stdout.endswith("PONG\n")


def test_a_line_with_open_quotes_is_refused(farm_environment: dict[str, str]) -> None:
    done = farm_redis(farm_environment, lines='SET a "b\n')
    assert done.returncode == 2
    assert "Check its quotes" in done.stderr


def test_json_is_one_line_a_reply(farm_environment: dict[str, str], redis_client: redis.Redis) -> None:
    redis_client.hset("test:counts", mapping={"finished": 3})
    done = farm_redis(farm_environment, "--json", "HGETALL", "test:counts")
    assert json.loads(done.stdout) == {"finished": "3"}


def test_a_pickle_is_shown_in_escapes_and_never_loaded(
    farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    redis_client.set("test:pickle", pickle.dumps(sys.exit))
    done = farm_redis(farm_environment, "GET", "test:pickle")
    assert done.returncode == 0
    assert done.stdout.startswith('"\\x80\\x04')


def test_bytes_that_are_no_text_reach_redis_as_they_are(
    farm_environment: dict[str, str], redis_client: redis.Redis
) -> None:
    subprocess.run(
        [sys.executable.encode(), b"-m", b"farm", b"redis", b"SET", b"test:a", b"\xff\x80"],
        env=farm_environment,
        capture_output=True,
        check=True,
    )
    assert redis_client.get("test:a") == b"\xff\x80"


def test_a_blocking_command_waits_as_long_as_it_was_told(farm_environment: dict[str, str]) -> None:
    done = farm_redis(farm_environment, "BLPOP", "test:nothing", "6")
    assert (done.returncode, done.stdout) == (0, "(nil)\n")


def test_no_redis_ends_with_code_3_and_the_address(farm_environment: dict[str, str]) -> None:
    done = farm_redis({**farm_environment, "FARM_REDIS_URL": "unix:///nowhere/redis.sock"}, "PING")
    assert done.returncode == 3
    assert "unix:///nowhere/redis.sock does not answer" in done.stderr
