"""What a person sees: commands in a pseudo-terminal of a width, and in a pipe."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from tests.cli.test_host_command import plant_processes
from tests.cli.test_jobs_command import plant_job, plant_one_of_each
from tests.support.planted import IDENTITY, KEYS, plant_deferral, plant_host, plant_leader, plant_queue

Show = Callable[..., str]

LONG_REASON = "load 0.972 is at or over the threshold 0.75; 0.969 of it is not caused by this host"


@pytest.fixture
def show(farm_environment: dict[str, str]) -> Show:
    """All that `farm` with these arguments writes to a terminal of so many columns."""

    def run(*arguments: str, columns: int = 80, **variables: str) -> str:
        controller, terminal = pty.openpty()
        environ = {**farm_environment, "TERM": "xterm-256color", "COLUMNS": str(columns), **variables}
        environ.pop("FORCE_COLOR", None)
        with subprocess.Popen(
            [sys.executable, "-m", "farm", *arguments], env=environ, stdin=terminal, stdout=terminal, stderr=terminal
        ) as process:
            os.close(terminal)
            written = b""
            with suppress(OSError):  # how a terminal that everybody left is read
                while data := os.read(controller, 65536):
                    written += data
            os.close(controller)
        assert process.returncode == 0, written
        return written.decode().replace("\r\n", "\n")

    return run


@pytest.fixture
def farm(redis_client: redis.Redis) -> None:
    """A host with much to say and a deferred queue."""
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1.example", queues="default", state="full", load=0.972, reason=LONG_REASON)
    plant_queue(redis_client, "default", 12)
    plant_deferral(redis_client, "default", seconds=3660, count=12)


@pytest.mark.usefixtures("farm")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_tables_of_status_fit_and_break_no_word_of_their_heads(show: Show, columns: int) -> None:
    lines = [line.rstrip() for line in show("status", columns=columns, NO_COLOR="1").splitlines()]

    tables = lines[lines.index("Hosts") : next(number for number, line in enumerate(lines) if "coordinator:" in line)]
    assert max(map(len, tables)) <= columns
    heads = [line.split() for line in tables if line.startswith(("host ", "queue "))]
    assert heads == [
        ["host", "state", "load", "busy", "memory", "queues", "why"],
        ["queue", "queued", "deferred", "dependent", "scheduled", "running", "finished", "failed"],
    ]
    assert any("12, 1h" in line for line in tables)


@pytest.mark.usefixtures("farm")
def test_colours_are_left_out_where_they_are_not_wanted(show: Show) -> None:
    assert "\x1b[" in show("status")
    assert "\x1b[" not in show("status", NO_COLOR="1")


def test_the_settings_fit_into_eighty_columns(show: Show) -> None:
    lines = show("settings").splitlines()

    assert max(len(line) for line in lines if "\x1b" not in line) <= 80
    assert any(line.split() == ["threshold", "0.75", "default"] for line in lines)


@pytest.mark.usefixtures("farm")
def test_a_host_and_its_jobs_fit_a_terminal_of_80_columns(show: Show, redis_client: redis.Redis) -> None:
    plant_processes(redis_client, "worker-1.example")
    shown = show("host", "worker-1.example", NO_COLOR="1")
    lines = [line.rstrip() for line in shown.splitlines() if not line.startswith("Redis:")]

    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.startswith("process ")]
    assert [len(head) for head in heads] == [8, 8], "no word of a head is broken"


@pytest.mark.parametrize("arguments", [["jobs"], ["quarantine", "list"], ["quarantine", "show", "quarantined"]])
def test_lists_of_jobs_fit_and_break_no_word_of_their_heads(
    show: Show, redis_client: redis.Redis, arguments: list[str]
) -> None:
    plant_one_of_each(redis_client)
    plant_job(redis_client, "quarantined", data=b"\x80" * 900)
    lease = redis_client.hget(KEYS.running("one", IDENTITY), "running")
    redis_client.hset(KEYS.running("one", IDENTITY), "4f0c7d1e-3f5c-4f6e-9d1c-0a1b2c3d4e5f", lease or "")
    shown = show(*arguments, NO_COLOR="1")
    lines = [line.rstrip() for line in shown.splitlines() if not line.startswith("Redis:")]

    assert max(map(len, lines)) <= 80
    heads = [line.split() for line in lines if line.startswith(("job ", "name ", "field "))]
    assert heads in (
        [["job", "function", "queue", "status", "host", "attempt", "age", "why"]],
        [["job", "age", "why"]],
        [["field", "value"], ["name", "bytes", "value"]],
    )
